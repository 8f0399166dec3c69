//! Replies to the kernel, and errors in its numbers.

use crate::fs::forest::Validity;
use crate::fs::{Errno, ReadError};
use fuser::{
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyLseek, ReplyStatfs, ReplyWrite, ReplyXattr,
};
use std::time::Duration;

/// How long the kernel may keep what never changes: as long as it can count.
pub(super) const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Returns how long the kernel may keep an answer.
pub(super) fn time_to_live(validity: Validity) -> Duration {
    match validity {
        Validity::Forever => FOREVER,
        Validity::Now => Duration::ZERO,
    }
}

/// Returns the kernel's number for an error.
pub(super) fn errno_of(error: &ReadError) -> fuser::Errno {
    match error.errno() {
        Errno::Io => fuser::Errno::EIO,
        Errno::Access => fuser::Errno::EACCES,
        Errno::NotADirectory => fuser::Errno::ENOTDIR,
        Errno::IsADirectory => fuser::Errno::EISDIR,
        Errno::Invalid => fuser::Errno::EINVAL,
        Errno::Stale => fuser::Errno::ESTALE,
        Errno::Overflow => fuser::Errno::EOVERFLOW,
        Errno::Again => fuser::Errno::EAGAIN,
    }
}

/// A reply that can be an error.
pub(super) trait Refuse {
    /// Replies with an error.
    fn refuse(self, errno: fuser::Errno);
}

macro_rules! refuse {
    ($($reply:ty),*) => {
        $(impl Refuse for $reply {
            fn refuse(self, errno: fuser::Errno) {
                self.error(errno);
            }
        })*
    };
}

refuse!(
    ReplyAttr,
    ReplyCreate,
    ReplyData,
    ReplyDirectory,
    ReplyDirectoryPlus,
    ReplyEmpty,
    ReplyEntry,
    ReplyLseek,
    ReplyStatfs,
    ReplyWrite,
    ReplyXattr
);

/// Answers a question for a value of unknown length: with its length if the caller gave no room,
/// else with the value if it fits.
pub(super) fn send_sized(reply: ReplyXattr, room: u32, value: &[u8]) {
    match u32::try_from(value.len()) {
        Ok(length) if room == 0 => reply.size(length),
        Ok(length) if length <= room => reply.data(value),
        _ => reply.error(fuser::Errno::ERANGE),
    }
}
