//! The listings of several places, as one.

use crate::store::{Error, ObjectInfo, ObjectName, Store};
use std::collections::BTreeMap;

/// The next names of one place.
pub(super) struct PlaceNames {
    objects: Vec<ObjectInfo>,
    /// Whether the place has more.
    has_more: bool,
}

impl PlaceNames {
    /// Reads at most `most` names behind `after`.
    pub(super) fn read(
        store: &dyn Store,
        prefix: &str,
        after: Option<&ObjectName>,
        most: usize,
    ) -> Result<Self, Error> {
        let mut names = Self {
            objects: Vec::new(),
            has_more: false,
        };
        store.list(prefix, &mut |object| {
            if after.is_some_and(|after| object.name <= *after) {
                return true;
            }
            names.has_more = names.objects.len() == most;
            if !names.has_more {
                names.objects.push(object);
            }
            !names.has_more
        })?;
        Ok(names)
    }
}

/// Shows what any place has, in order. `next` returns the next names of each place behind one.
///
/// Memory holds what `next` returns: where there is more, the places are listed again from the
/// beginning, and the names before are passed over.
pub(super) fn merge(
    next: &mut dyn FnMut(Option<ObjectName>) -> Result<Vec<PlaceNames>, Error>,
    found: &mut dyn FnMut(ObjectInfo) -> bool,
) -> Result<(), Error> {
    let mut after: Option<ObjectName> = None;
    loop {
        let listings = next(after.take())?;
        // Behind the last name of a place that has more, nothing is known of that place.
        let ends = listings.iter().filter(|names| names.has_more);
        let until = ends
            .filter_map(|names| names.objects.last())
            .map(|last| last.name.clone())
            .min();
        let all: BTreeMap<ObjectName, u64> = listings
            .into_iter()
            .flat_map(|names| names.objects)
            .filter(|object| until.as_ref().is_none_or(|until| object.name <= *until))
            .map(|object| (object.name, object.length))
            .collect();
        for (name, length) in all {
            if !found(ObjectInfo { name, length }) {
                return Ok(());
            }
        }
        if until.is_none() {
            return Ok(());
        }
        after = until;
    }
}
