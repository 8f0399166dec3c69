//! Hides the names of hosts and backups: the objects of an encrypted store have other names than
//! the rest of freezer sees.
//!
//! [`HiddenStore`] wraps the store. Above it, `manifests/web-1/docs/…` is what every other store
//! has too; below it, HOST and NAME are keyed hashes. The names come back from manifests, which
//! [`NameBook`] reads when a listing shows a backup that it does not know: one of each backup,
//! several at once. A backup whose manifests cannot be read keeps its hash for a name, and can be
//! opened under it.
//!
//! Layout: docs/format.md, "Hidden names".

mod book;
mod store;
#[cfg(test)]
mod tests;

pub(super) use book::NameBook;
pub(super) use store::HiddenStore;
