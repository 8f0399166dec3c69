//! What the arguments of `freezer backup` ask for.

use super::arguments::Arguments;
use crate::backup::{
    BackupError, BackupLock, BackupRequest, BlockOptions, CheckpointRule, Engine, Evidence, Levels,
    Lies, Mounts, SameContent, SourceError,
};
use crate::cli::open::place::StorePlace;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Usage;
use crate::model::{BackupName, Cancel, Excludes};
use crate::platform::calls::{CallKind, NOWHERE, during};
use crate::platform::{DirHandle, PatientCaller, host_name};
use crate::store::location::Location;
use anyhow::Context;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The lengths that a block of the engine rsync may have, in bytes.
const BLOCK_BYTES: RangeInclusive<u32> = 512..=64 << 20;

/// Checks the arguments and returns what to back up, and how.
pub(super) fn of(
    arguments: &Arguments,
    places: &[StorePlace],
    session: &Session,
) -> anyhow::Result<BackupRequest> {
    let sources = sources(arguments)?;
    let backup = backup_name(arguments, &sources)?;
    let compression_level = compression_level(arguments)?;
    if arguments.max_segment_size.0 == 0 {
        return Err(Usage::new("a segment cannot have 0 bytes")
            .hint("leave --max-segment-size out, or name a size such as 32MiB")
            .into());
    }
    let patterns = arguments.exclude.iter();
    Ok(BackupRequest {
        lock: lock(arguments, &backup),
        backup,
        sources,
        excludes: Excludes::new(patterns.map(|pattern| pattern.as_encoded_bytes())),
        mounts: if arguments.one_file_system {
            Mounts::Stay
        } else {
            Mounts::Cross
        },
        skip: places
            .iter()
            .filter_map(|place| device_and_inode(&place.location))
            .collect(),
        levels: levels(arguments),
        engine: engine(arguments)?,
        compression: arguments.compression,
        compression_level,
        segment_bytes: arguments.max_segment_size.0,
        upload_jobs: arguments.upload_jobs.into(),
        source_timeout: patience(arguments),
        tags: arguments.tag.clone(),
        zone: session.zone.iana_name().unwrap_or("").to_owned(),
        // With several stores, each may have got another checkpoint.
        checkpoints: (places.len() == 1).then(|| CheckpointRule {
            interval: arguments.checkpoint_interval.0,
            ..CheckpointRule::default()
        }),
    })
}

/// Returns the paths to back up, after checking that they exist: before a store is made in vain.
fn sources(arguments: &Arguments) -> Result<Vec<PathBuf>, BackupError> {
    let sources: Vec<PathBuf> = arguments
        .paths
        .iter()
        .chain(&arguments.path_to_backup)
        .cloned()
        .collect();
    let caller = PatientCaller::new(patience(arguments), Cancel::new());
    for path in &sources {
        let asked = path.clone();
        let look = move || during(CallKind::Stat, NOWHERE, || asked.symlink_metadata());
        let error = match caller.call(look) {
            Ok(Ok(_)) => continue,
            Ok(Err(source)) => SourceError::Open {
                path: path.clone(),
                source,
            },
            // The run names it and goes on with the others.
            Err(_) if sources.len() > 1 => continue,
            Err(source) => SourceError::NoAnswer {
                path: path.clone(),
                source,
            },
        };
        return Err(BackupError::Source(error));
    }
    Ok(sources)
}

/// Returns how long one call to a file system of the sources may take; `None` for ever.
fn patience(arguments: &Arguments) -> Option<Duration> {
    Some(arguments.source_timeout.0).filter(|patience| !patience.is_zero())
}

fn backup_name(arguments: &Arguments, sources: &[PathBuf]) -> anyhow::Result<BackupName> {
    let name = match (&arguments.backup_name, sources) {
        (Some(name), [_, ..]) => name.clone(),
        (None, [path]) => name_of(path)?,
        (_, []) => {
            return Err(Usage::new("nothing to back up was named")
                .hint("freezer backup PATH")
                .into());
        }
        (None, _) => {
            return Err(Usage::new("several paths need a name")
                .hint("name the backup: -N NAME")
                .into());
        }
    };
    let host = match &arguments.hostname {
        Some(host) => host.clone(),
        None => host_name().context("could not find out this machine's name")?,
    };
    let backup = BackupName::new(&host, &name)
        .map_err(|error| Usage::new(error.to_string()).hint("name the backup: -N NAME"))?;
    Ok(backup)
}

/// Returns the last part of a path, which may be `.` or end in `..`.
fn name_of(path: &Path) -> anyhow::Result<String> {
    let absolute =
        std::path::absolute(path).with_context(|| format!("could not find {}", path.display()))?;
    let resolved = if absolute.file_name().is_some() {
        absolute
    } else {
        path.canonicalize().unwrap_or(absolute)
    };
    let name = resolved
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned);
    Ok(name.ok_or_else(|| {
        Usage::new(format!("{} gives the backup no name", path.display())).hint("name it: -N NAME")
    })?)
}

fn compression_level(arguments: &Arguments) -> Result<u32, Usage> {
    let compression = arguments.compression;
    let level = arguments
        .compression_level
        .unwrap_or(compression.default_level());
    let levels = compression.levels();
    if levels.contains(&level) {
        return Ok(level);
    }
    let message = format!("{} has no level {level}", compression.name());
    Err(Usage::new(message).hint(format!("it has {} to {}", levels.start(), levels.end())))
}

fn lock(arguments: &Arguments, backup: &BackupName) -> Option<BackupLock> {
    (!arguments.dry_run).then(|| BackupLock {
        host: host_name().unwrap_or_else(|_| backup.host().to_owned()),
        patience: arguments.wait.patience(),
    })
}

fn engine(arguments: &Arguments) -> Result<Engine, Usage> {
    if arguments.engine == "tar" {
        return Ok(Engine::Tar);
    }
    if arguments.tar_levels {
        let message = "--engine rsync stores blocks, and --tar-levels needs whole files";
        return Err(Usage::new(message).hint("leave one of them out"));
    }
    let block_bytes = arguments.block_size.0;
    let least_block_bytes = u32::try_from(block_bytes)
        .ok()
        .filter(|bytes| BLOCK_BYTES.contains(bytes))
        .ok_or_else(|| {
            Usage::new(format!("a block cannot have {block_bytes} bytes"))
                .hint("--block-size takes 512 bytes to 64 MiB")
        })?;
    Ok(Engine::Rsync(BlockOptions {
        threshold_bytes: arguments.block_threshold.0,
        least_block_bytes,
    }))
}

fn levels(arguments: &Arguments) -> Levels {
    Levels {
        incremental: !arguments.no_incremental && arguments.level.is_none(),
        max_level: arguments.max_level,
        always_level: arguments.always_level,
        restart_after_days: arguments.restart_always_level,
        evidence: if arguments.checksum {
            Evidence::Content
        } else {
            Evidence::Metadata
        },
        lies: Lies {
            ctime: arguments.ignore_ctime,
            inode: arguments.ignore_inode,
        },
        same_content: if arguments.tar_levels {
            SameContent::Store
        } else {
            SameContent::Lean
        },
    }
}

/// Returns the device and inode of a store's folder: a backup of the whole machine skips it.
fn device_and_inode(location: &Location) -> Option<(u64, u64)> {
    let Location::Folder(path) = location else {
        return None;
    };
    let stat = DirHandle::open(path)
        .and_then(|folder| folder.stat())
        .ok()?;
    Some((stat.device, stat.inode))
}
