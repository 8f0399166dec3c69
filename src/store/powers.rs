//! The abilities that only some stores have, each by its name.

use super::{Error, ObjectName, Rope};
use jiff::Timestamp;

/// The abilities of a store beyond the five calls of [`Store`](super::Store). A power that it does
/// not have is `None`, and the caller does without it.
///
/// A power is a function that lives as long as the store is borrowed. A wrapper that counts,
/// repeats or delays calls wraps the function of the store behind it.
pub struct Powers<'store> {
    /// Stores an object only where there is none of that name.
    pub create_once: Option<CreateOnce<'store>>,
    /// Stores an object and asks the store not to put it in place of another.
    pub put_unless_there: Option<PutUnlessThere<'store>>,
    /// Tells until when an object is locked.
    pub held_until: Option<HeldUntil<'store>>,
    /// Makes many objects one large object for other programs.
    pub join: Option<Join<'store>>,
    /// Leaves places out that lack what the next objects need.
    pub lean_on: Option<LeanOn<'store>>,
}

/// Stores an object only where there is none of that name: of several callers at the same moment at
/// most one is told [`Created::New`].
pub type CreateOnce<'store> =
    Box<dyn Fn(&ObjectName, &Rope) -> Result<Created, Error> + Send + Sync + 'store>;

/// Stores an object and asks the store not to replace one: returns `false` when it refused.
///
/// No promise, as [`CreateOnce`] is one: a store that looks first and stores later can be overtaken
/// in between. Tried again after an answer was lost, it may be refused for what it stored itself.
pub type PutUnlessThere<'store> =
    Box<dyn Fn(&ObjectName, &Rope) -> Result<bool, Error> + Send + Sync + 'store>;

/// Returns the moment before which nobody may remove or replace an object; `None` where it is free,
/// or there is no such object.
///
/// [`Store::delete`](super::Store::delete) refuses a held object with
/// [`ErrorKind::Denied`](super::ErrorKind::Denied).
pub type HeldUntil<'store> =
    Box<dyn Fn(&ObjectName) -> Result<Option<Timestamp>, Error> + Send + Sync + 'store>;

/// Makes the objects below a prefix, in the order of their names, one object under the name that
/// comes first, without copying. The number says how many there are. Other programs can fetch that
/// object whole; nothing here reads it.
pub type Join<'store> =
    Box<dyn Fn(&ObjectName, &str, u64) -> Result<(), Error> + Send + Sync + 'store>;

/// Says that what is stored next makes no sense without this object: of several places that are one
/// store, those that lack it take no further part.
pub type LeanOn<'store> = Box<dyn Fn(&ObjectName) -> Result<(), Error> + Send + Sync + 'store>;

impl Powers<'_> {
    /// Returns no power at all: for a kind that has none.
    pub fn none() -> Self {
        Self {
            create_once: None,
            put_unless_there: None,
            held_until: None,
            join: None,
            lean_on: None,
        }
    }
}

/// The result of [`CreateOnce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is there now.
    New,
    /// There was one, which is as it was.
    WasThere,
    /// This place cannot tell, as trying it has shown: nothing was done.
    Cannot,
}
