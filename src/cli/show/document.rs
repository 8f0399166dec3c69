//! What is known of a level, as a JSON document and in words.

use crate::config::show_bytes;
use crate::format::identity::Cipher;
use crate::format::manifest::{Bytes, Counts, Manifest, PathText};
use crate::model::BackupName;
use jiff::Timestamp;
use serde::Serialize;

/// A level as programs read it. Sizes in bytes, times in RFC 3339.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct LevelDocument<'manifest> {
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
    pub(in crate::cli) fn of(
        backup: &impl ToString,
        manifest: &'manifest Manifest,
        cipher: Cipher,
    ) -> Self {
        let own = manifest.levels.first();
        Self {
            backup: backup.to_string(),
            level_id: manifest.id.as_str(),
            level: manifest.level,
            parent: manifest.parent.as_ref().map(|parent| parent.id.as_str()),
            started: manifest.date(),
            ended: manifest.ended,
            zone: &manifest.zone,
            seconds: manifest.ended.duration_since(manifest.date()).as_secs_f64(),
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

/// A new level as the original's clients know it: what a scheduler records with the API. Beside
/// what it has for programs.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct OriginalDocument {
    action: &'static str,
    backup_media: &'static str,
    backup_name: String,
    client_os: &'static str,
    client_version: &'static str,
    container: String,
    container_segments: &'static str,
    curr_backup_level: u32,
    encrypted: bool,
    engine_name: String,
    fs_real_path: String,
    hostname: String,
    mode: &'static str,
    path_to_backup: String,
    storage: String,
    time_stamp: i64,
    vol_snap_path: String,
}

impl OriginalDocument {
    pub(in crate::cli) fn of(
        backup: &BackupName,
        manifest: &Manifest,
        cipher: Cipher,
        store: &str,
    ) -> Self {
        let (storage, container) = match store.split_once(':') {
            Some((scheme, rest))
                if store.contains("://") || matches!(scheme, "swift" | "s3" | "sftp") =>
            {
                let rest = rest.trim_start_matches("//");
                let kind = match scheme {
                    "sftp" => "ssh",
                    "file" => "local",
                    kind => kind,
                };
                (kind, rest.split_once('?').map_or(rest, |(path, _)| path))
            }
            _ => ("local", store),
        };
        let paths: Vec<String> = manifest.sources.iter().map(ToString::to_string).collect();
        let path = paths.join(" ");
        Self {
            action: "backup",
            backup_media: "fs",
            backup_name: backup.name().to_owned(),
            client_os: std::env::consts::OS,
            client_version: env!("CARGO_PKG_VERSION"),
            container: container.to_owned(),
            container_segments: "",
            curr_backup_level: manifest.level,
            encrypted: cipher != Cipher::None,
            engine_name: manifest.engine.clone(),
            fs_real_path: path.clone(),
            hostname: backup.host().to_owned(),
            mode: "fs",
            path_to_backup: path.clone(),
            storage: storage.to_owned(),
            time_stamp: manifest.started.as_second(),
            vol_snap_path: path,
        }
    }
}

/// How a run came out, in a few words: `12 files and 3 directories, 1.2 MiB, 400 KiB stored`.
pub(in crate::cli) fn in_words(counts: &Counts, bytes: &Bytes) -> String {
    let mut text = format!(
        "{} and {}, {}, {} stored",
        several(counts.files, "file", "files"),
        several(counts.directories, "directory", "directories"),
        show_bytes(bytes.logical),
        show_bytes(bytes.stored)
    );
    if counts.skipped > 0 {
        text.push_str(&format!(
            "; {} skipped, which no backup can hold",
            several(counts.skipped, "socket", "sockets")
        ));
    }
    text
}

/// A number with its noun.
pub(in crate::cli) fn several(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
