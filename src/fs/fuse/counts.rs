//! How often the kernel asked for what.

use std::sync::atomic::{AtomicU64, Ordering};

/// Kinds of requests, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Lookup,
    Forget,
    Getattr,
    Readlink,
    Open,
    Opendir,
    Read,
    Readdir,
    Readdirplus,
    Statfs,
    Getxattr,
    Listxattr,
    Lseek,
    Access,
    Flush,
    Release,
    Change,
}

const ASKED: [(Asked, &str); 17] = [
    (Asked::Lookup, "lookup"),
    (Asked::Forget, "forget"),
    (Asked::Getattr, "getattr"),
    (Asked::Readlink, "readlink"),
    (Asked::Open, "open"),
    (Asked::Opendir, "opendir"),
    (Asked::Read, "read"),
    (Asked::Readdir, "readdir"),
    (Asked::Readdirplus, "readdirplus"),
    (Asked::Statfs, "statfs"),
    (Asked::Getxattr, "getxattr"),
    (Asked::Listxattr, "listxattr"),
    (Asked::Lseek, "lseek"),
    (Asked::Access, "access"),
    (Asked::Flush, "flush"),
    (Asked::Release, "release"),
    (Asked::Change, "change"),
];

/// How many requests there were, by kind.
#[derive(Debug, Default)]
pub struct RequestCounts {
    asked: [AtomicU64; ASKED.len()],
    pub(super) handed_over: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    pub(super) sent_ahead: AtomicU64,
}

impl RequestCounts {
    pub(super) fn add(&self, asked: Asked) {
        if let Some(count) = self.asked.get(asked as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The kinds and how often each was asked; then `handed_over`, how many of them could not be
    /// answered at once, `read_bytes`, how many bytes of content were answered, and `sent_ahead`,
    /// how many files were sent before they were asked for.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let kinds = ASKED
            .iter()
            .zip(&self.asked)
            .map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)));
        let more = [
            ("handed_over", &self.handed_over),
            ("read_bytes", &self.read_bytes),
            ("sent_ahead", &self.sent_ahead),
        ];
        kinds
            .chain(more.map(|(name, count)| (name, count.load(Ordering::Relaxed))))
            .collect()
    }

    /// How many requests were answered in all; forgets need no answer.
    pub fn answered(&self) -> u64 {
        ASKED
            .iter()
            .zip(&self.asked)
            .filter(|((asked, _), _)| *asked != Asked::Forget)
            .map(|(_, count)| count.load(Ordering::Relaxed))
            .sum()
    }
}
