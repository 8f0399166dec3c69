//! Counts the requests of the kernel by kind.

use std::sync::atomic::{AtomicU64, Ordering};

/// The kinds of requests that are counted.
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

/// How many requests the kernel sent, by kind.
#[derive(Debug, Default)]
pub struct RequestCounts {
    asked: [AtomicU64; ASKED.len()],
    /// Requests that another thread had to answer.
    pub(super) handed_over: AtomicU64,
    /// Bytes of content in answers.
    pub(super) read_bytes: AtomicU64,
    /// Files put into the kernel's cache before they were asked for.
    pub(super) sent_ahead: AtomicU64,
}

impl RequestCounts {
    /// Counts a request.
    pub(super) fn add(&self, asked: Asked) {
        if let Some(count) = self.asked.get(asked as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many requests of each kind there were. Then `handed_over`, the requests that
    /// could not be answered at once; `read_bytes`, the bytes of content in answers; and
    /// `sent_ahead`, the files delivered before they were asked for.
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

    /// Returns how many requests were answered. Forgets need no answer.
    pub fn answered(&self) -> u64 {
        ASKED
            .iter()
            .zip(&self.asked)
            .filter(|((asked, _), _)| *asked != Asked::Forget)
            .map(|(_, count)| count.load(Ordering::Relaxed))
            .sum()
    }
}
