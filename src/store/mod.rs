//! Where objects are kept: named, immutable byte strings. A store does not know their contents.
//!
//! [`Store`] is the contract that every kind and wrapper keeps, and `tests/it/store/` its
//! conformance suite: five calls that every place can do, and [`Powers`] for what only some can.
//! Kinds are one file each (`local`, `s3`, `swift`, `sftp`, `opendal`, `memory`, and `discard`,
//! which keeps nothing); behaviour is added by wrapping (`retry`, `limit`, `in_order`, `mirror`,
//! `disk_cache`, `faulty`, `trial`, and `altered` for tests). [`location`] reads what people write
//! after `--store` and opens the store it names, as [`StoreSettings`] say. The kind of an [`Error`]
//! alone says what a caller can do.
//!
//! Every call blocks its thread. The kinds in a network talk through `net`; `error` wraps the
//! errors of `net`, and `runtime` is the one place that waits for asynchronous code.

mod address;
pub mod altered;
mod calls;
mod discard;
pub mod disk_cache;
mod error;
mod ext;
pub mod faulty;
mod file_url;
mod folder_rows;
mod folders;
pub mod in_order;
pub mod limit;
pub mod local;
pub mod location;
pub mod memory;
pub mod mirror;
mod name;
mod object_server;
mod opendal;
mod powers;
mod range;
pub mod retry;
mod runtime;
mod s3;
mod selection;
mod settings;
mod sftp;
mod swift;
pub mod trial;

pub use calls::Calls;
pub use discard::Discard;
pub use error::{Error, ErrorKind, Operation};
pub use ext::StoreExt;
pub use name::ObjectName;
pub use powers::{CreateOnce, Created, HeldUntil, Join, LeanOn, Powers, PutUnlessThere};
pub use selection::Selection;
pub use settings::{LockMode, ObjectLock, StoreSettings};

use std::ops::Deref;

/// The body of an object in pieces, which are written in order and need not be joined first.
pub type Rope = Vec<Vec<u8>>;

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The name.
    pub name: ObjectName,
    /// The length in bytes.
    pub length: u64,
}

/// A place that keeps objects.
///
/// Five calls, and [`powers`](Self::powers) for what only some places can do. None has a default,
/// so a wrapper decides about each of them. [`StoreExt`] has the shorter forms that callers use.
///
/// Every method may be called from many threads at once. Names are exact: no case folding.
pub trait Store: Send + Sync {
    /// Stores an object, in place of any of that name.
    ///
    /// All or nothing: a reader sees the old object, or none, or the whole new one; after an error
    /// too. When it returns, the bytes will survive a crash of the machine.
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error>;

    /// Reads one object with one request, and hands over what the [`Selection`] says, piece by
    /// piece and in order, each as soon as it has come, until `take` returns `false`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] when there is no such object; [`ErrorKind::Short`] when it ends
    /// before the last piece does; [`ErrorKind::TooLarge`] when all of it is wanted and it is
    /// longer than the limit. No piece is ever shorter than it was wanted, and those handed over
    /// before an error are good.
    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error>;

    /// Calls `found` for each object whose name begins with `prefix`, in bytewise order of names,
    /// until it returns `false`. Memory does not grow with the number of objects beyond one
    /// directory or page.
    ///
    /// `prefix` is whole components (`""`, or ends with `/`). What is missing lists as empty.
    /// `found` may call this store: an object that is stored or removed during the listing may be
    /// shown or not, every other one is shown once.
    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error>;

    /// Removes an object; one that is not there counts as removed.
    fn delete(&self, name: &ObjectName) -> Result<(), Error>;

    /// Returns the store as people write it, such as `file:///srv/backups`; never with a secret.
    fn location(&self) -> String;

    /// Returns what this store can do beyond the five calls. A wrapper passes on each power of the
    /// store behind it, wraps it, or leaves it out on purpose.
    fn powers(&self) -> Powers<'_>;
}

/// A pointer to a store is that store.
impl<P> Store for P
where
    P: Deref + Send + Sync,
    P::Target: Store,
{
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        (**self).put(name, body)
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        (**self).read(name, wanted, take)
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

    fn powers(&self) -> Powers<'_> {
        (**self).powers()
    }
}

/// Returns whether `prefix` is one that [`Store::list`] takes.
fn legal_prefix(prefix: &str) -> bool {
    prefix.is_empty()
        || prefix
            .strip_suffix('/')
            .is_some_and(|components| ObjectName::new(components).is_some())
}

/// Refuses a prefix that [`Store::list`] does not take.
fn check_prefix(prefix: &str) -> Result<(), Error> {
    if legal_prefix(prefix) {
        Ok(())
    } else {
        Err(Error::of_store(ErrorKind::Failed, Operation::List)
            .because(format!("{prefix:?} is not a prefix of whole components")))
    }
}
