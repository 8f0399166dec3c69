//! Where objects are kept: named, immutable byte strings. A store knows nothing of what is in them.
//!
//! [`Store`] is the contract that every kind keeps; `tests/it/store/` is its conformance suite. Kinds are one file
//! each (`local`, `memory`, and `discard`, which keeps nothing); behaviour is added by wrapping (`faulty`). [`location`] reads what people write after
//! `--store` and opens the store it names. The [`Error`]'s kind alone says what a caller
//! may do about it.

mod calls;
mod discard;
mod error;
pub mod faulty;
pub mod local;
pub mod location;
pub mod memory;
mod name;
mod percent;

pub use calls::Calls;
pub use discard::Discard;
pub use error::{Error, Kind, Verb};
pub use name::ObjectName;

use std::sync::Arc;

/// The body of an object as the pieces it was made of, in order: written without being joined first.
pub type Rope = Vec<Vec<u8>>;

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub name: ObjectName,
    /// Its length in bytes.
    pub length: u64,
}

/// A place that keeps objects.
///
/// Every method may be called from many threads at once. Names are exact: no case folding.
pub trait Store: Send + Sync {
    /// Stores an object, in place of any of that name.
    ///
    /// All or nothing: a reader sees the old object, or none, or the whole new one; after an error too. When it
    /// returns, the bytes will survive a crash of the machine.
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error>;

    /// Reads a whole object of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`Kind::Missing`] when there is none; [`Kind::TooLarge`] when it is longer than `limit`.
    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error>;

    /// Reads exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Kind::Missing`] when there is no such object; [`Kind::Short`] when it ends before the range does. Never
    /// fewer bytes than asked for.
    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error>;

    /// Calls `found` for each object whose name begins with `prefix`, in bytewise order of names, until it returns
    /// `false`. Memory does not grow with the number of objects beyond one directory or page.
    ///
    /// `prefix` is whole components (`""`, or ends with `/`). What is missing lists as empty. `found` may call this
    /// store: an object that is stored or removed during the listing may be shown or not, every other one is shown once.
    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error>;

    /// Removes an object; one that is not there counts as removed.
    fn delete(&self, name: &ObjectName) -> Result<(), Error>;

    /// The store as people write it, such as `file:///srv/backups`; never with a secret in it.
    fn location(&self) -> String;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        (**self).put(name, body)
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        (**self).get(name, limit)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        (**self).get_range(name, offset, length)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        (**self).list(prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        (**self).delete(name)
    }

    fn location(&self) -> String {
        (**self).location()
    }
}

/// Whether `prefix` is one that [`Store::list`] takes.
fn legal_prefix(prefix: &str) -> bool {
    prefix.is_empty() || prefix.strip_suffix('/').is_some_and(|components| ObjectName::new(components).is_some())
}
