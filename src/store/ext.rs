//! Shorter forms of the calls of a store.

use super::{Created, Error, ErrorKind, ObjectName, Operation, Rope, Selection, Store};
use jiff::Timestamp;

/// Shorter calls, made of the five calls and the powers. No store can replace them, so they mean
/// the same however a store is wrapped.
pub trait StoreExt: Store {
    /// Reads a whole object of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] when there is none; [`ErrorKind::TooLarge`] when it is longer than
    /// `limit`.
    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        only_piece(self, name, Selection::Whole { limit })
    }

    /// Reads exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] when there is no such object; [`ErrorKind::Short`] when it ends
    /// before the range does. Never fewer bytes than asked for.
    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let lengths = &[length];
        only_piece(self, name, Selection::Pieces { offset, lengths })
    }

    /// Reads pieces of exactly these lengths from `offset` on with one request, and hands each over
    /// as soon as it is there, until `take` returns `false`.
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
        self.read(name, Selection::Pieces { offset, lengths }, take)
    }

    /// Stores an object only where there is none of that name, where the store can see to that.
    fn put_new(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        match self.powers().create_once {
            Some(create_once) => create_once(name, body),
            None => Ok(Created::Cannot),
        }
    }

    /// Stores an object, and asks the store not to put it in place of another where it knows such a
    /// wish. Returns `false` when it refused.
    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        match self.powers().put_unless_there {
            Some(put_unless_there) => put_unless_there(name, body),
            None => self.put(name, body).map(|()| true),
        }
    }

    /// Returns the moment before which nobody may remove or replace an object, if it is locked.
    fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        match self.powers().held_until {
            Some(held_until) => held_until(name),
            None => Ok(None),
        }
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

/// Reads a selection that is one piece.
fn only_piece<S: Store + ?Sized>(
    store: &S,
    name: &ObjectName,
    wanted: Selection<'_>,
) -> Result<Vec<u8>, Error> {
    let mut read = None;
    store.read(name, wanted, &mut |piece| {
        read = Some(piece);
        true
    })?;
    read.ok_or_else(|| Error::new(ErrorKind::Short, Operation::Get, name))
}
