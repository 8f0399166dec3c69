//! Reads many manifests at once.

use super::{Access, AccessError};
use crate::format::manifest::Outline;
use crate::model::{BackupName, LevelId};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Manifests that are read at once: they are small, and reading them from afar is waiting.
const READERS: usize = 8;

/// Reads the outlines of manifests, several at once, in any order.
pub fn outlines(
    access: &Access,
    backup: &BackupName,
    levels: Vec<LevelId>,
) -> Vec<(LevelId, Result<Outline, AccessError>)> {
    let next = AtomicUsize::new(0);
    let read = || {
        let mut mine = Vec::new();
        while let Some(level) = levels.get(next.fetch_add(1, Ordering::Relaxed)) {
            mine.push((level.clone(), access.outline(backup, level)));
        }
        mine
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (1..READERS.min(levels.len()))
            .map(|_| scope.spawn(read))
            .collect();
        let mut all = read();
        for reader in readers {
            all.extend(
                reader
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        all
    })
}
