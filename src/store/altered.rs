//! A store that a test alters.

use super::{Error, ObjectInfo, ObjectName, Powers, Rope, Selection, Store};

/// What a test changes about a store: each call goes to the store behind, unless the test writes
/// its own.
///
/// Only for tests. A wrapper of the product says for each call and each power what it does.
pub trait Alteration: Send + Sync {
    /// Returns the store behind.
    fn inner(&self) -> &dyn Store;

    /// As [`Store::put`].
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.inner().put(name, body)
    }

    /// As [`Store::read`].
    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        self.inner().read(name, wanted, take)
    }

    /// As [`Store::list`].
    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.inner().list(prefix, found)
    }

    /// As [`Store::delete`].
    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.inner().delete(name)
    }

    /// As [`Store::powers`].
    fn powers(&self) -> Powers<'_> {
        self.inner().powers()
    }
}

/// A store with an alteration.
#[derive(Debug, Default)]
pub struct Altered<A>(pub A);

impl<A: Alteration> Store for Altered<A> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.0.put(name, body)
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        self.0.read(name, wanted, take)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.0.list(prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.0.delete(name)
    }

    fn location(&self) -> String {
        self.0.inner().location()
    }

    fn powers(&self) -> Powers<'_> {
        self.0.powers()
    }
}
