//! What is known of a level, as a JSON document and in words.

use crate::config::show_bytes;
use crate::format::identity::Cipher;
use crate::format::manifest::{Bytes, Counts, Manifest, PathText};
use jiff::Timestamp;
use serde::Serialize;

/// A level as programs read it. Sizes in bytes, times in RFC 3339.
#[derive(Debug, Serialize)]
pub(super) struct LevelDocument<'manifest> {
    backup: String,
    level_id: &'manifest str,
    level: u32,
    /// The level it was compared with.
    parent: Option<&'manifest str>,
    started: Timestamp,
    ended: Timestamp,
    zone: &'manifest str,
    /// From its beginning to its end.
    seconds: f64,
    sources: &'manifest [PathText],
    counts: &'manifest Counts,
    bytes: &'manifest Bytes,
    engine: &'manifest str,
    compression: Option<&'static str>,
    compression_level: Option<u32>,
    cipher: Cipher,
    tool: &'manifest str,
}

impl<'manifest> LevelDocument<'manifest> {
    pub(super) fn of(backup: &impl ToString, manifest: &'manifest Manifest, cipher: Cipher) -> Self {
        let own = manifest.levels.first();
        Self {
            backup: backup.to_string(),
            level_id: manifest.id.as_str(),
            level: manifest.level,
            parent: manifest.parent.as_ref().map(|parent| parent.id.as_str()),
            started: manifest.started,
            ended: manifest.ended,
            zone: &manifest.zone,
            seconds: manifest.ended.duration_since(manifest.started).as_secs_f64(),
            sources: &manifest.sources,
            counts: &manifest.counts,
            bytes: &manifest.bytes,
            engine: &manifest.engine,
            compression: own.map(|own| own.compression.name()),
            compression_level: own.map(|own| own.compression_level),
            cipher,
            tool: &manifest.tool,
        }
    }
}

/// How a run came out, in a few words: `12 files and 3 directories, 1.2 MiB, 400 KiB stored`.
pub(super) fn in_words(counts: &Counts, bytes: &Bytes) -> String {
    let mut text = format!(
        "{} and {}, {}, {} stored",
        several(counts.files, "file", "files"),
        several(counts.directories, "directory", "directories"),
        show_bytes(bytes.logical),
        show_bytes(bytes.stored)
    );
    if counts.skipped > 0 {
        text.push_str(&format!("; {} skipped, which no backup can hold", several(counts.skipped, "socket", "sockets")));
    }
    text
}

/// A number with its noun.
pub(super) fn several(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
