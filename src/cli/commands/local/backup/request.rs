//! What the arguments of `freezer backup` ask for.

use super::arguments::Arguments;
use crate::backup::{
    BackupError, BackupLock, BackupRequest, BlockOptions, CheckpointRule, Engine, Evidence, Levels,
    Lies, Mounts, SameContent, SourceError,
};
use crate::cli::open::list_file;
use crate::cli::open::place::StorePlace;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Usage;
use crate::model::{BackupName, Cancel, Case, Excludes};
use crate::platform::calls::{CallKind, NOWHERE, during};
use crate::platform::{DirHandle, PatientCaller, host_name};
use crate::store::location::Location;
use anyhow::Context;
use std::borrow::Cow;
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
    Ok(BackupRequest {
        lock: lock(arguments, &backup),
        backup,
        excludes: excludes(arguments)?,
        sources,
        mounts: match (arguments.one_file_system, arguments.follow_subvolumes) {
            (false, _) => Mounts::Cross,
            (true, false) => Mounts::Stay,
            (true, true) => Mounts::StayButSubvolumes,
        },
        skip: Vec::new(),
        allow_empty: arguments.allow_empty,
        skip_unchanged: arguments.skip_if_unchanged,
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

/// Returns the paths to back up. Fails where none of them exists: before a store is made in vain.
fn sources(arguments: &Arguments) -> anyhow::Result<Vec<PathBuf>> {
    let typed = arguments.paths.iter().chain(&arguments.path_to_backup);
    let mut sources: Vec<PathBuf> = typed.cloned().collect();
    for file in &arguments.files_from {
        let text = list_file::read(file)?;
        sources.extend(list_file::lines(&text).map(list_file::path_of));
    }
    for file in &arguments.files_from0 {
        let text = list_file::read(file)?;
        sources.extend(list_file::ended_by_zeros(&text).map(list_file::path_of));
    }
    let caller = PatientCaller::new(patience(arguments), Cancel::new());
    let mut missing = None;
    for path in &sources {
        let (path, asked) = (path.clone(), path.clone());
        let look = move || during(CallKind::Stat, NOWHERE, || asked.symlink_metadata());
        let error = match caller.call(look) {
            Ok(Ok(_)) => return Ok(sources),
            Ok(Err(source)) => SourceError::Open { path, source },
            Err(source) => SourceError::NoAnswer { path, source },
        };
        missing = missing.or(Some(error));
    }
    match missing {
        None => Ok(sources),
        Some(error) => Err(BackupError::Source(error).into()),
    }
}

/// Returns the rules about what is left out: those of files first, so that typed ones win.
fn excludes(arguments: &Arguments) -> anyhow::Result<Excludes> {
    let caller = PatientCaller::new(patience(arguments), Cancel::new());
    let mut excludes = Excludes::default();
    let names = arguments.exclude_if_present.iter();
    excludes.if_present = names.map(|name| name.as_encoded_bytes().to_vec()).collect();
    excludes.caches = arguments.exclude_caches;
    excludes.larger_than = arguments.exclude_larger_than.map(|size| size.0);
    for file in &arguments.exclude_from {
        let text = list_file::read(file)?;
        for pattern in list_file::lines(&text).filter(|line| !line.starts_with(b"#")) {
            excludes.add(&on_real_path(pattern, &caller), Case::Counts);
        }
    }
    for pattern in &arguments.exclude {
        excludes.add(
            &on_real_path(pattern.as_encoded_bytes(), &caller),
            Case::Counts,
        );
    }
    for pattern in &arguments.iexclude {
        excludes.add(
            &on_real_path(pattern.as_encoded_bytes(), &caller),
            Case::Ignored,
        );
    }
    Ok(excludes)
}

/// Resolves the symbolic links on the way of an absolute pattern, as far as it says the way in
/// letters. Files are compared by their real paths, and `$PWD` may lead over a link.
fn on_real_path<'pattern>(pattern: &'pattern [u8], caller: &PatientCaller) -> Cow<'pattern, [u8]> {
    let is_special = |byte: &u8| b"*?[\\".contains(byte);
    let start = usize::from(pattern.starts_with(b"!"));
    let path = pattern.get(start..).unwrap_or_default();
    let letters = path.iter().position(is_special).unwrap_or(path.len());
    let way = path.get(..letters).unwrap_or_default();
    let end = way.trim_ascii_end().iter().rposition(|byte| *byte == b'/');
    let (Some(end), true) = (end.filter(|end| *end > 0), path.starts_with(b"/")) else {
        return Cow::Borrowed(pattern);
    };
    let (way, rest) = path.split_at(end);
    let way = list_file::path_of(way);
    let look = move || during(CallKind::Stat, NOWHERE, || way.canonicalize());
    match caller.call(look) {
        Ok(Ok(real)) => {
            let mut resolved = pattern.get(..start).unwrap_or_default().to_vec();
            resolved.extend_from_slice(real.as_os_str().as_encoded_bytes());
            resolved.extend_from_slice(rest);
            Cow::Owned(resolved)
        }
        _ => Cow::Borrowed(pattern),
    }
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

/// Returns the device and inode of each store's folder, once it is there: a backup of the whole
/// machine leaves it out.
pub(super) fn folders_of_stores(places: &[StorePlace]) -> Vec<(u64, u64)> {
    let folders = places.iter();
    folders
        .filter_map(|place| device_and_inode(&place.location))
        .collect()
}

fn device_and_inode(location: &Location) -> Option<(u64, u64)> {
    let Location::Folder(path) = location else {
        return None;
    };
    let stat = DirHandle::open(path)
        .and_then(|folder| folder.stat())
        .ok()?;
    Some((stat.device, stat.inode))
}
