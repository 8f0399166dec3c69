//! Notices a store that belongs to somebody else.

use super::session::Session;
use crate::platform::{DirHandle, Owners, ProcessIdentity};
use crate::store::location::Location;
use std::path::Path;

/// Warns root before a restore from a folder of another user, who may be able to put programs with
/// root's rights into backups.
pub(in crate::cli) fn warn(session: &Session) -> anyhow::Result<()> {
    let Location::Folder(folder) = session.location()? else {
        return Ok(());
    };
    let Some(uid) = owner_of(&folder).filter(|uid| *uid != 0) else {
        return Ok(());
    };
    if !ProcessIdentity::of_process().is_root() {
        return Ok(());
    }
    let name = Owners::new().named(uid, 0).user;
    let user = if name.is_empty() {
        format!("number {uid}")
    } else {
        name.escape_ascii().to_string()
    };
    session.output.warn(format_args!(
        "the store {} belongs to user {user}, who can change backups in it that no passphrase \
         protects, or whose passphrase they know: --untrusted restores no setuid programs, \
         capabilities, devices or foreign owners",
        folder.display()
    ));
    Ok(())
}

/// Returns the number of the user whom a folder belongs to, where the system tells.
fn owner_of(folder: &Path) -> Option<u32> {
    Some(DirHandle::open(folder).ok()?.stat().ok()?.uid)
}
