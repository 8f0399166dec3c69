//! Where objects are kept: named, immutable byte strings. A store knows nothing of what is in them.
//!
//! [`Store`] is the contract that every kind keeps; `tests/it/store/` is its conformance suite.
//! Kinds are one file each (`local`, `s3`, `swift`, `sftp`, `opendal`, `memory`, and `discard`,
//! which keeps nothing); behaviour is added by wrapping (`retry`, `limit`, `mirror`, `disk_cache`,
//! `faulty`, `trial`). [`location`] reads what people write after `--store` and opens the store it
//! names, with what [`Settings`] says besides. The [`Error`]'s kind alone says what a caller may do
//! about it.
//!
//! Everything here blocks the thread that calls. The kinds in a network talk through `net`, whose
//! errors become ours in `error`; `runtime` is the one place that waits for asynchronous code.

mod address;
mod calls;
mod discard;
pub mod disk_cache;
mod error;
pub mod faulty;
mod folders;
pub mod limit;
pub mod local;
pub mod location;
pub mod memory;
pub mod mirror;
mod name;
mod opendal;
mod range;
pub mod retry;
mod runtime;
mod s3;
mod settings;
mod sftp;
mod swift;
pub mod trial;

pub use calls::Calls;
pub use discard::Discard;
pub use error::{Error, Kind, Verb};
pub use name::ObjectName;
pub use settings::{LockMode, ObjectLock, Settings};

use jiff::Timestamp;
use std::sync::Arc;

/// The body of an object as the pieces it was made of, in order: written without being joined
/// first.
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
    /// All or nothing: a reader sees the old object, or none, or the whole new one; after an error
    /// too. When it returns, the bytes will survive a crash of the machine.
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
    /// [`Kind::Missing`] when there is no such object; [`Kind::Short`] when it ends before the
    /// range does. Never fewer bytes than asked for.
    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error>;

    /// Reads bytes from `offset` on in pieces of exactly these lengths, and hands each over as soon
    /// as it is there, in order, until `take` returns `false`. One request, however many pieces
    /// they are; they have a byte at least.
    ///
    /// # Errors
    ///
    /// As of [`get_range`](Self::get_range). What was handed over before stays good.
    fn get_pieces(
        &self,
        name: &ObjectName,
        offset: u64,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let length = together(lengths).ok_or_else(|| Error::new(Kind::Short, Verb::Get, name))?;
        let whole = self.get_range(name, offset, length)?;
        let mut rest = whole.as_slice();
        for length in lengths {
            let (piece, behind) = rest
                .split_at_checked(*length)
                .ok_or_else(|| Error::new(Kind::Short, Verb::Get, name))?;
            rest = behind;
            if !take(piece.to_vec()) {
                break;
            }
        }
        Ok(())
    }

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

    /// Makes the `count` objects below the prefix `parts`, in the order of their names, one object
    /// under another name that other programs can fetch whole: without copying, where the store can
    /// do that. It takes no part in anything else here.
    fn join(&self, whole: &ObjectName, parts: &str, count: u64) -> Result<Joined, Error> {
        let (_, _, _) = (whole, parts, count);
        Ok(Joined::Cannot)
    }

    /// Says that what is going to be stored makes no sense without this object. Where several
    /// places are one store, those that lack it take no further part; a single place need not look.
    fn lean_on(&self, object: &ObjectName) -> Result<(), Error> {
        let _ = object;
        Ok(())
    }

    /// Stores an object only where there is none of that name: of several who do so at the same
    /// moment at most one is told [`Created::New`]. A store that cannot see to that does nothing.
    fn put_new(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        let _ = (name, body);
        Ok(Created::Cannot)
    }

    /// Stores an object and asks the store not to put it in place of another, where it knows of
    /// such a wish: `false` when it refused.
    ///
    /// No promise, as [`put_new`](Self::put_new) is one: a store that knows nothing of it replaces
    /// what is there, and one that looks first and stores later can be overtaken in between. Tried
    /// again after an answer was lost, it may be refused for what it stored itself.
    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        self.put(name, body).map(|()| true)
    }

    /// Until when nobody may remove or replace an object; nothing where that is free, or there is
    /// no such object, or the store knows no such thing.
    ///
    /// [`delete`](Self::delete) refuses it until then ([`Kind::Denied`]).
    fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        let _ = name;
        Ok(None)
    }

    /// The store as people write it, such as `file:///srv/backups`; never with a secret in it.
    fn location(&self) -> String;
}

/// A pointer to a store is that store.
macro_rules! pointers {
    ($($pointer:ident),*) => { $(
        impl<S: Store + ?Sized> Store for $pointer<S> {
            fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
                (**self).put(name, body)
            }

            fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
                (**self).get(name, limit)
            }

            fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
                (**self).get_range(name, offset, length)
            }

            fn get_pieces(
                &self,
                name: &ObjectName,
                offset: u64,
                lengths: &[usize],
                take: &mut dyn FnMut(Vec<u8>) -> bool,
            ) -> Result<(), Error> {
                (**self).get_pieces(name, offset, lengths, take)
            }

            fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
                (**self).list(prefix, found)
            }

            fn delete(&self, name: &ObjectName) -> Result<(), Error> {
                (**self).delete(name)
            }

            fn join(&self, whole: &ObjectName, parts: &str, count: u64) -> Result<Joined, Error> {
                (**self).join(whole, parts, count)
            }

            fn lean_on(&self, object: &ObjectName) -> Result<(), Error> {
                (**self).lean_on(object)
            }

            fn put_new(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
                (**self).put_new(name, body)
            }

            fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
                (**self).put_unless_there(name, body)
            }

            fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
                (**self).held_until(name)
            }

            fn location(&self) -> String {
                (**self).location()
            }
        }
    )* };
}

pointers!(Arc, Box);

/// What came of [`Store::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is there now.
    New,
    /// There was one, which is as it was.
    WasThere,
    /// This kind of store cannot tell: nothing was done.
    Cannot,
}

/// What came of [`Store::join`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The one object is there.
    Done,
    /// This kind of store has nothing of the sort.
    Cannot,
}

/// How long pieces are together; nothing where no object could be so long.
fn together(lengths: &[usize]) -> Option<usize> {
    lengths
        .iter()
        .try_fold(0_usize, |sum, length| sum.checked_add(*length))
}

/// Whether `prefix` is one that [`Store::list`] takes.
fn legal_prefix(prefix: &str) -> bool {
    prefix.is_empty()
        || prefix
            .strip_suffix('/')
            .is_some_and(|components| ObjectName::new(components).is_some())
}
