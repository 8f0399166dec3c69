//! What to do about an error, and which exit code it has.
//!
//! One function for each kind of error, without a wildcard: a new variant has to choose.

use crate::backup::{BackupError, SourceError};
use crate::catalog::{AccessError, CatalogError, LockError};
use crate::cli::show::failure::{FAILED, INTERRUPTED, Interrupted, USAGE, Usage};
use crate::config::PassphraseError;
use crate::config::file::FileError;
use crate::format::DocumentError;
use crate::format::frame::FrameError;
#[cfg(unix)]
use crate::fs::mount::MountError;
use crate::restore::{ExportError, RestoreError};
use crate::sched::connection::ApiError;
use crate::store;
use crate::store::disk_cache;
use crate::upkeep::{CheckError, PruneError, RepairError, SyncError};
use std::error::Error;

const DAMAGED: &str = "the store is damaged: freezer check tells which backups and files that touches; the others can be read";
const PASS_FILE: &str = "write the passphrase on the first line of a file that only you can read: --encrypt-pass-file FILE";
const BUG: &str =
    "this is a bug in freezer: please report it, with the output of the same command and -vv";

/// The exit code of an error, by the first of its causes that has one.
pub(in crate::cli) fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code).unwrap_or(FAILED)
}

fn code(cause: &(dyn Error + 'static)) -> Option<u8> {
    let interrupted = cause.is::<Interrupted>()
        || matches!(cause.downcast_ref(), Some(BackupError::Cancelled))
        || matches!(cause.downcast_ref(), Some(RestoreError::Cancelled))
        || matches!(cause.downcast_ref(), Some(ExportError::Cancelled))
        || matches!(cause.downcast_ref(), Some(CheckError::Cancelled))
        || matches!(cause.downcast_ref(), Some(PruneError::Cancelled))
        || matches!(cause.downcast_ref(), Some(SyncError::Cancelled));
    let usage = cause.is::<Usage>() || cause.is::<FileError>();
    usage
        .then_some(USAGE)
        .or(interrupted.then_some(INTERRUPTED))
}

/// What to do next, by the innermost cause that knows.
pub(in crate::cli) fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(usage) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Usage>())
    {
        return usage.advice().map(str::to_owned);
    }
    let causes: Vec<_> = error.chain().collect();
    causes.into_iter().rev().find_map(of).map(str::to_owned)
}

fn of(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    #[cfg(unix)]
    if let Some(error) = cause.downcast_ref() {
        return of_mount(error);
    }
    None.or_else(|| cause.downcast_ref().and_then(of_store))
        .or_else(|| cause.downcast_ref().and_then(of_disk_cache))
        .or_else(|| cause.downcast_ref().and_then(of_access))
        .or_else(|| cause.downcast_ref().and_then(of_catalog))
        .or_else(|| cause.downcast_ref().and_then(of_lock))
        .or_else(|| cause.downcast_ref().and_then(of_document))
        .or_else(|| cause.downcast_ref().and_then(of_frame))
        .or_else(|| cause.downcast_ref().and_then(of_passphrase))
        .or_else(|| cause.downcast_ref().and_then(of_file))
        .or_else(|| cause.downcast_ref().and_then(of_backup))
        .or_else(|| cause.downcast_ref().and_then(of_source))
        .or_else(|| cause.downcast_ref().and_then(of_restore))
        .or_else(|| cause.downcast_ref().and_then(of_export))
        .or_else(|| cause.downcast_ref().and_then(of_check))
        .or_else(|| cause.downcast_ref().and_then(of_prune))
        .or_else(|| cause.downcast_ref().and_then(of_api))
        .or_else(|| cause.downcast_ref().and_then(of_repair))
        .or_else(|| cause.downcast_ref().and_then(of_sync))
}

fn of_sync(error: &SyncError) -> Option<&'static str> {
    match error {
        SyncError::Copy { .. } | SyncError::Note(_) | SyncError::Cancelled => {
            Some("run freezer sync again: it goes on where this one ended")
        }
        SyncError::Repacked { .. } => Some(
            "repack only in the first of the two, and prune the copy by the same rules as that; or make a new copy elsewhere",
        ),
        SyncError::Catalog(_)
        | SyncError::List(_)
        | SyncError::Manifest { .. }
        | SyncError::Lock(_) => None,
    }
}

fn of_api(error: &ApiError) -> Option<&'static str> {
    match error {
        ApiError::Login { .. } => Some(
            "OS_AUTH_URL and what belongs to it, or OS_CLOUD and clouds.yaml, say who logs in where",
        ),
        ApiError::Unreachable { .. } => {
            Some("another server is named with --api-url; freezer api --dev runs one")
        }
        ApiError::Refused { status: 401, .. } => Some(
            "the token is none of this server's, or no longer: freezer api tokens shows those that hold",
        ),
        ApiError::Refused { .. } | ApiError::Answer(_) => None,
    }
}

fn of_prune(error: &PruneError) -> Option<&'static str> {
    match error {
        PruneError::Claimed { .. } => {
            Some("what holds it is below locks/ in the store; it may have to be removed by hand")
        }
        PruneError::Remove(_) => Some("run freezer prune again: it goes on where this one ended"),
        PruneError::Catalog(_)
        | PruneError::List(_)
        | PruneError::Manifest { .. }
        | PruneError::Withdraw(_)
        | PruneError::Table { .. }
        | PruneError::Store(_)
        | PruneError::Frame(_)
        | PruneError::Seal(_)
        | PruneError::Segments(_)
        | PruneError::Lock(_)
        | PruneError::Random(_)
        | PruneError::Cancelled => None,
    }
}

fn of_repair(error: &RepairError) -> Option<&'static str> {
    match error {
        RepairError::Outage(_) => {
            Some("try again when the store can be reached: nothing was taken for damaged")
        }
        RepairError::Check(_)
        | RepairError::Index(_)
        | RepairError::Frame(_)
        | RepairError::TooLong
        | RepairError::Store(_)
        | RepairError::Lock(_) => None,
    }
}

fn of_store(error: &store::Error) -> Option<&'static str> {
    match error.kind() {
        store::ErrorKind::Missing | store::ErrorKind::Short | store::ErrorKind::TooLarge => {
            Some(DAMAGED)
        }
        store::ErrorKind::Denied => {
            Some("use an account that may read and write the store, or give this one the right to")
        }
        store::ErrorKind::Full => Some(
            "make room in the store, or choose another with --store; what is stored already is unharmed",
        ),
        store::ErrorKind::Unavailable => Some("try again when the store can be reached"),
        store::ErrorKind::Failed => None,
    }
}

fn of_disk_cache(error: &disk_cache::OpenError) -> Option<&'static str> {
    use disk_cache::OpenError;
    match error {
        OpenError::Make { .. } | OpenError::Use { .. } => {
            Some("name a folder on a local disk that you may write to: --disk-cache DIR")
        }
        OpenError::Unsafe { .. } => Some(
            "another user could have put files there: name a folder that only you may write to with --disk-cache DIR, or remove that one (a cache holds only copies)",
        ),
        OpenError::NotOurs(_) => Some(
            "the cache is kept in a subfolder of that name: move the other files away, or name another folder with --disk-cache DIR",
        ),
        OpenError::OtherForm(_) => Some(
            "remove that folder (a cache holds only copies), or name another with --disk-cache DIR",
        ),
        OpenError::Busy(_) => {
            Some("end that process if it hangs, or name another folder with --disk-cache DIR")
        }
    }
}

fn of_access(error: &AccessError) -> Option<&'static str> {
    match error {
        AccessError::NoStore(_) => {
            Some("freezer backup PATH makes one there; another is named with --store PATH")
        }
        AccessError::IdentityLost(_) => Some(
            "put freezer.json back from a copy of the store: without it nothing in it can be read",
        ),
        AccessError::PassphraseNeeded(_) => Some(PASS_FILE),
        AccessError::KeysLost(_) => Some(
            "put the folder keys back from a copy of the store: without one of its keys nothing in it can be read",
        ),
        AccessError::WrongPassphrase(_) => {
            Some("any passphrase that was added with freezer key add opens it too; case counts")
        }
        AccessError::NotEncrypted(_) => Some(
            "leave --encrypt-pass-file out, or name the store you meant: if it was encrypted before, somebody has put another in its place",
        ),
        AccessError::Exists(_) => Some("choose another place with --store PATH"),
        AccessError::OtherStore { .. } => {
            Some("name an empty place, or one that was made as a copy of this store")
        }
        AccessError::NoKey(_) => Some("freezer key list shows the keys"),
        AccessError::LastKey(_) => Some("freezer key change puts a new passphrase in its place"),
        AccessError::Document { .. } | AccessError::Manifest { .. } => Some(DAMAGED),
        AccessError::Key(_) | AccessError::Store(_) => None,
    }
}

fn of_catalog(error: &CatalogError) -> Option<&'static str> {
    match error {
        CatalogError::UnknownBackup { .. } => {
            Some("freezer list shows the backups of this store; another is named with --store PATH")
        }
        CatalogError::Ambiguous { .. } => Some("name the host too: HOST/NAME"),
        CatalogError::NoSuchLevel { .. } => Some("freezer list BACKUP shows its points in time"),
        CatalogError::Exists { .. } => Some("run it again: the next level gets another id"),
        CatalogError::List { .. }
        | CatalogError::Level { .. }
        | CatalogError::Unreadable { .. } => None,
    }
}

fn of_lock(error: &LockError) -> Option<&'static str> {
    match error {
        LockError::Held { .. } | LockError::HeldByUnknown { .. } => Some(
            "wait for its end with --wait; should it have died on another machine, its claim ends ten minutes later at most",
        ),
        LockError::Lost(_) => Some("run it again: earlier points in time are unharmed"),
        LockError::Cancelled(_)
        | LockError::Store { .. }
        | LockError::Catalog(_)
        | LockError::Random(_) => None,
    }
}

fn of_document(error: &DocumentError) -> Option<&'static str> {
    match error {
        DocumentError::Version { .. } => {
            Some("install a newer freezer; this one leaves the store alone")
        }
        DocumentError::Json(_) | DocumentError::Content(_) => Some(DAMAGED),
    }
}

fn of_frame(error: &FrameError) -> Option<&'static str> {
    match error {
        FrameError::Tampered(_) | FrameError::Malformed { .. } | FrameError::Codec { .. } => {
            Some(DAMAGED)
        }
        FrameError::Level { .. } => Some("leave --compression-level out for the usual one"),
        FrameError::Random(_) => None,
    }
}

fn of_passphrase(error: &PassphraseError) -> Option<&'static str> {
    match error {
        PassphraseError::Read { .. } | PassphraseError::Unusable { .. } => Some(PASS_FILE),
    }
}

fn of_file(error: &FileError) -> Option<&'static str> {
    match error {
        FileError::Read { .. } => Some("name a file that you may read: --config FILE"),
        FileError::Line { .. } => Some(
            "mend the line: the keys are the long names of options, one `name = value` on a line",
        ),
    }
}

fn of_backup(error: &BackupError) -> Option<&'static str> {
    match error {
        BackupError::Cancelled => {
            Some("run it again: it goes on from its last checkpoint, if it had come to one")
        }
        BackupError::Thread(_) => {
            Some("raise the limit of processes, or try again when the machine does less")
        }
        BackupError::Segments(_) => Some("allow larger segments: --max-segment-size"),
        BackupError::Base(_) => {
            Some("freezer check tells what is damaged; --no-incremental leans on nothing")
        }
        BackupError::BlockTooLong
        | BackupError::Member(_)
        | BackupError::Index(_)
        | BackupError::Stopped => Some(BUG),
        BackupError::Lock(_)
        | BackupError::Source(_)
        | BackupError::Store(_)
        | BackupError::Catalog(_)
        | BackupError::Frame(_)
        | BackupError::Manifest(_) => None,
    }
}

fn of_source(error: &SourceError) -> Option<&'static str> {
    match error {
        SourceError::None => Some("name what to back up: freezer backup PATH"),
        SourceError::Open { .. } => {
            Some("name a file or directory that is there and that you may read")
        }
        SourceError::Unfit(_) => Some("back it up alone"),
    }
}

fn of_restore(error: &RestoreError) -> Option<&'static str> {
    match error {
        RestoreError::Missing(_) => Some("freezer ls BACKUP shows what there is"),
        RestoreError::Target { .. } => {
            Some("name a directory that you may write to: --target DIRECTORY")
        }
        RestoreError::InStore { .. } => {
            Some("name a directory outside: --target DIRECTORY; it can be moved from there")
        }
        RestoreError::NotEmpty(_) => {
            Some("name another, or replace what has the same names with --overwrite")
        }
        RestoreError::Full { .. } => Some("make room and run it again with --overwrite"),
        RestoreError::Cancelled => {
            Some("what is there is whole; run it again with --overwrite for the rest")
        }
        RestoreError::Thread(_) => {
            Some("raise the limit of processes, or try again when the machine does less")
        }
        RestoreError::Tree { .. } => None,
    }
}

fn of_export(error: &ExportError) -> Option<&'static str> {
    match error {
        ExportError::Cut(..) => {
            Some("freezer restore leaves damaged files out and restores all others")
        }
        ExportError::Member(_) => Some(BUG),
        ExportError::Cancelled => Some("what was written is no whole archive: remove it"),
        ExportError::Tree(..) | ExportError::Write(_) => None,
    }
}

fn of_check(error: &CheckError) -> Option<&'static str> {
    match error {
        CheckError::Thread(_) => {
            Some("raise the limit of processes, or try again when the machine does less")
        }
        CheckError::Cancelled => Some("nothing was changed; what was told so far holds"),
        CheckError::List(_) | CheckError::Manifest { .. } | CheckError::Random(_) => None,
    }
}

#[cfg(unix)]
fn of_mount(error: &MountError) -> Option<&'static str> {
    match error {
        MountError::MountPoint { .. } | MountError::NotADirectory(_) => {
            Some("name a directory that is there and is yours")
        }
        MountError::Occupied(_) => {
            Some("name an empty directory, or hide what is in this one with --cover")
        }
        MountError::CoversStore { .. } => {
            Some("name a directory that neither holds the store nor lies in it")
        }
        MountError::Mount { .. } => Some(
            "FUSE is needed: install fuse3, make sure that /dev/fuse is there, and for --allow-other that /etc/fuse.conf has user_allow_other",
        ),
        MountError::NoAnswer { .. } => {
            Some("freezer umount DIRECTORY takes it away; -vv --foreground shows what it does")
        }
        MountError::Unmount { .. } => Some(
            "leave it with every program that is in it (fuser -vm DIRECTORY shows them), and try again",
        ),
        MountError::Entangled { .. } => Some(
            "unmount that first, if it is to go: umount DIRECTORY; then freezer umount DIRECTORY",
        ),
        MountError::NotOurs(_) => Some("`mount -t fuse.freezer` lists the mounts there are"),
        MountError::Serve { .. } => None,
    }
}
