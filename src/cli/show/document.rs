//! A level as the JSON documents that programs read.

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
    /// The id of the level that this one was compared with.
    parent: Option<&'manifest str>,
    started: Timestamp,
    ended: Timestamp,
    zone: &'manifest str,
    /// How long the run took.
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

/// A new level with the keys of the original: a scheduler records it with the API.
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
