//! Lists what lies below a prefix of object names.

use crate::store::{self, ObjectInfo, Store};

/// Returns every object below `prefix`. Memory holds all of them.
///
/// # Errors
///
/// Returns the store's error when the listing fails.
pub fn objects_below(store: &dyn Store, prefix: &str) -> Result<Vec<ObjectInfo>, store::Error> {
    let mut objects = Vec::new();
    store.list(prefix, &mut |object| {
        objects.push(object);
        true
    })?;
    Ok(objects)
}

/// Returns whether any object lies below `prefix`. Stops at the first.
///
/// # Errors
///
/// Returns the store's error when the listing fails.
pub fn is_any_below(store: &dyn Store, prefix: &str) -> Result<bool, store::Error> {
    let mut is_any = false;
    store.list(prefix, &mut |_| {
        is_any = true;
        false
    })?;
    Ok(is_any)
}
