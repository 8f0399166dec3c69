//! One run: starts the threads, joins them, publishes the level.

use super::BackupError;
use super::archive::{Archive, Archived, Taken, Tally};
use super::base::{Base, Levels};
use super::blocks::{Blocks, Engine, Streams};
use super::checkpoint::{CheckpointRule, CheckpointWriter, Due};
use super::collect::{Collected, SealedFrame, collect, seal};
use super::compare::{Evidence, SameContent};
use super::content::StoredContent;
use super::index_writer::{IndexWriter, Indexed};
use super::lane::LaneWriter;
use super::live::Live;
use super::read::Reader;
use super::resume::Resumed;
use super::sources::Sources;
use super::stream::{FrameSizes, RawFrame, Stream};
use super::uploads::{Uploader, Uploads};
use super::walk::{self, Mounts, WalkOptions};
use crate::catalog::names::{self, Folder, LevelOf};
use crate::catalog::{
    Access, AccessError, Catalog, CatalogError, Held, Left, LockError, LockRequest, Order,
    Patience, Verb, offer_whole, with_lock,
};
use crate::format::frame::{Compression, Encoder, Lane, Sealer};
use crate::format::manifest::{self, Bytes, LevelParts, Manifest, ManifestParts, RootNode, Run};
use crate::index::{DeltaRun, HeadBlock, RunRoot};
use crate::model::{
    BackupName, Cancel, Dated, Excludes, Interrupted, LevelId, LevelSerial, Progress, Ranges,
    StoreId, Trouble,
};
use crate::platform::Clock;
use crate::store;
use crossbeam_channel::bounded;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Frames that wait to be sealed, and sealed ones that wait for an earlier one.
const FRAMES_AHEAD: usize = 3;

/// Threads that read files: on cold disks reading is waiting, and four readers are more than twice
/// as fast as one.
const READERS: usize = 4;

/// What to back up, and how.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// The backup it becomes a level of.
    pub backup: BackupName,
    /// Files and directories.
    pub sources: Vec<PathBuf>,
    /// What is left out.
    pub excludes: Excludes,
    /// Whether other file systems below a source are walked.
    pub mounts: Mounts,
    /// Device and inode of directories to leave out: those of stores.
    pub skip: Vec<(u64, u64)>,
    /// Which level is made.
    pub levels: Levels,
    /// What decides which bytes of a changed file are stored.
    pub engine: Engine,
    /// How frames are compressed.
    pub compression: Compression,
    /// With which level of the method.
    pub compression_level: u32,
    /// Where segments are cut, in bytes.
    pub segment_bytes: u64,
    /// Segments that are stored at once. Memory holds one more than this.
    pub upload_jobs: usize,
    /// What to call the level, for those who choose what stays.
    pub tags: Vec<String>,
    /// The name of this machine's time zone, for the manifest.
    pub zone: String,
    /// When to take note of how far it has come, for the next run should it be cut off. Needs a
    /// lock. `None` takes no note, and takes nothing up either.
    pub checkpoints: Option<CheckpointRule>,
    /// Whether another run of the same backup is kept out; `None` for a store that keeps nothing.
    pub lock: Option<Lock>,
}

/// How other runs of the same backup are kept out.
#[derive(Clone, Debug)]
pub struct Lock {
    /// What this machine is called, to be told to them.
    pub host: String,
    /// What to do while one of them is under way.
    pub patience: Patience,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The manifest that was published.
    pub manifest: Manifest,
    /// What did not have to be stored again, as a run that was cut off had stored it.
    pub taken: Taken,
    /// Earlier points in time that are more than a day in the future, by the clock of this run.
    pub ahead: Vec<Dated>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Makes a level: one that holds what differs from the newest there is, or a full one where there
/// is none to lean on or none is wanted.
///
/// What cannot be read is told to `progress`, left out and counted in the manifest. What a run has
/// stored that was cut off, and that has not changed since, is not stored again.
///
/// # Errors
///
/// [`BackupError`]. There is no new level then; what the run left in the store is not read by
/// anything.
pub fn run(
    request: &BackupRequest,
    access: &Access,
    clock: &dyn Clock,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Report, BackupError> {
    let Some(Lock { host, patience }) = &request.lock else {
        return run_locked(request, access, clock, progress, cancel, None);
    };
    let unremoved = |error: CatalogError| {
        tracing::warn!(
            error = &error as &dyn Error,
            "what a run left that was cut off could not be removed"
        );
    };
    let (store, catalog) = (access.store(), Catalog::new(access.store()));
    let lock = LockRequest {
        backup: &request.backup,
        host,
        action: "backup",
        patience: *patience,
    };
    let outcome = with_lock(
        store.as_ref(),
        &catalog,
        lock,
        clock,
        cancel,
        Result::is_ok,
        |held| {
            let left = Left::read(access, held, clock.now()).unwrap_or_else(|error| {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "what a run left that was cut off could not be looked at"
                );
                Left::default()
            });
            // With whole members alone, the streams of the levels make the tree. What is taken
            // would be in none of them.
            let takes_up =
                request.checkpoints.is_some() && request.levels.same_content == SameContent::Lean;
            let left = if takes_up {
                left
            } else {
                left.without_checkpoints()
            };
            left.remove(access, held).unwrap_or_else(unremoved);
            let report = run_locked(
                request,
                access,
                clock,
                progress,
                cancel,
                Some((held, &left)),
            )?;
            left.settle(access, held, &report.manifest)
                .unwrap_or_else(unremoved);
            Ok(report)
        },
    );
    match outcome {
        Err(LockError::Interrupted { source, .. }) => Err(BackupError::Interrupted(source)),
        other => other.map_err(BackupError::Lock)?,
    }
}

fn run_locked(
    request: &BackupRequest,
    access: &Access,
    clock: &dyn Clock,
    progress: &dyn Progress,
    cancel: &Cancel,
    held: Option<(&Held<'_>, &Left)>,
) -> Result<Report, BackupError> {
    match attempt(request, access, clock, progress, cancel, held) {
        Err(BackupError::Base(source)) => {
            tracing::warn!(
                error = &source as &dyn Error,
                "the last level's index cannot be read; this one is full"
            );
            if let Some((held, _)) = held {
                // What was stored of it would be taken for the next one's. Another run that thinks
                // this one dead may lean on it.
                held.check().map_err(BackupError::Lock)?;
                Catalog::new(access.store())
                    .remove_leftover(&request.backup, held.id())
                    .map_err(BackupError::Catalog)?;
            }
            let levels = Levels {
                incremental: false,
                ..request.levels
            };
            attempt(
                &BackupRequest {
                    levels,
                    ..request.clone()
                },
                access,
                clock,
                progress,
                cancel,
                held,
            )
        }
        outcome => outcome,
    }
}

fn attempt(
    request: &BackupRequest,
    access: &Access,
    clock: &dyn Clock,
    progress: &dyn Progress,
    cancel: &Cancel,
    held: Option<(&Held<'_>, &Left)>,
) -> Result<Report, BackupError> {
    let began = clock.now();
    let sources = Sources::open(&request.sources).map_err(BackupError::Source)?;
    let catalog = Catalog::new(access.store());
    let order = Order::read(access, &request.backup, began).map_err(BackupError::Catalog)?;
    let base = Base::choose(&order, access, &request.backup, &request.levels, began);
    let base = base.as_ref();
    if let Some(base) = base {
        access
            .store()
            .lean_on(&names::manifest_name(&request.backup, &base.manifest.id))
            .map_err(BackupError::Store)?;
    }
    let left = held.map(|(_, left)| left);
    let held = held.map(|(held, _)| held);
    let resumed =
        left.and_then(|left| Resumed::open(access, &request.backup, left, base, &request.levels));
    let resumed = resumed.as_ref();
    let unfinished = left.map(Left::streams).unwrap_or_default();
    let newest = unfinished.iter().map(|parts| parts.serial).max();
    let (id, serial) = next_level(access, (&request.backup, &order, newest), began, held)?;
    let of = LevelOf {
        backup: request.backup.clone(),
        level: id.clone(),
    };
    let sealer = Sealer::new(access.store_id(), id.clone(), access.protection());
    let counted = Counted {
        progress,
        troubles: AtomicU64::new(0),
    };
    let source_paths = sources
        .paths
        .iter()
        .map(|path| path.as_os_str().as_encoded_bytes().to_vec().into())
        .collect();

    let mut written = Level {
        request,
        base,
        resumed,
        sealer: &sealer,
        of: &of,
        serial,
        began,
        clock,
        is_locked: held.is_some(),
        progress: &counted,
        cancel,
    }
    .write(sources, access)?;

    offer_whole(access, &of, request.compression, written.data.segments);

    let mut counts = written.tally.counts;
    counts.failed = counted.troubles.into_inner();
    counts.removed = base.map_or(0, |base| base.removed.load(Ordering::Relaxed));
    let own = LevelParts {
        serial,
        id: id.clone(),
        compression: request.compression,
        compression_level: request.compression_level,
        stream_bytes: written.stream_bytes,
        segments: written.data.segments,
        frame_table: root_node(written.data.frame_table),
        frame_table_segments: written.data.frame_table_segments,
        live: None,
        repacked: 0,
    };
    let earlier = base
        .map(|base| &base.manifest.levels[..])
        .unwrap_or_default();
    let has_index = |parts: &LevelParts| written.index.iter().any(|run| run.serial == parts.serial);
    let is_other = |parts: &&LevelParts| earlier.iter().all(|other| other.serial != parts.serial);
    let taken_from = resumed
        .map(Resumed::streams)
        .unwrap_or_default()
        .iter()
        .filter(is_other);
    let needed = taken_from.chain(earlier).filter_map(|parts| {
        let live = written.live.remove(&parts.serial);
        (live.is_some() || has_index(parts)).then(|| LevelParts {
            live: Some(live.unwrap_or_default()),
            ..parts.clone()
        })
    });
    let levels = std::iter::once(own).chain(needed).collect();
    let manifest = Manifest::new(ManifestParts {
        store: access.store_id(),
        backup: request.backup.clone(),
        id: id.clone(),
        serial,
        level: base.map_or(0, |base| base.manifest.level + 1),
        parent: base.map(Base::as_parent),
        chain: base.map(|base| base.manifest.chain),
        // The id may be later by less than a second, where another level is of the same moment.
        started: began.min(id.started()),
        ended: clock.now(),
        zone: request.zone.clone(),
        sources: source_paths,
        tags: request.tags.clone(),
        counts,
        bytes: Bytes {
            logical: written.tally.logical_bytes,
            stream: written.stream_bytes,
            stored: written.stored_bytes,
        },
        engine: request.engine.name(),
        has_xattrs: written.tally.has_xattrs,
        index: written.index,
        levels,
    });
    let stored = manifest.seal(&sealer).map_err(BackupError::Manifest)?;
    if let Some(held) = held {
        held.check().map_err(BackupError::Lock)?;
    }
    catalog
        .publish(&request.backup, &id, stored)
        .map_err(BackupError::Catalog)?;
    if let Some(checkpoint) = &written.data.checkpoint {
        let removed = access.store().delete(checkpoint);
        removed.unwrap_or_else(|error| {
            tracing::debug!(error = &error as &dyn Error, "the last checkpoint stays")
        });
    }
    let elapsed = Duration::try_from(clock.now().duration_since(began)).unwrap_or_default();
    tracing::info!(backup = %request.backup, level = %id, entries = counts.entries, stored_bytes = written.stored_bytes, "published");
    let taken = written.tally.taken;
    if taken.files > 0 {
        tracing::info!(
            files = taken.files,
            bytes = taken.bytes,
            "taken from a run that was cut off"
        );
    }
    Ok(Report {
        manifest,
        taken,
        ahead: order.ahead(began).cloned().collect(),
        elapsed,
    })
}

/// The identity and serial of the next level. The identity is that of the lock, so that what the
/// run leaves is found should it be cut off; its date is that of the clock, whatever other levels
/// say. The serial is higher than that of every level there is or that a cut-off run has left.
fn next_level(
    access: &Access,
    (backup, order, newest_unfinished): (&BackupName, &Order, Option<LevelSerial>),
    now: jiff::Timestamp,
    held: Option<&Held<'_>>,
) -> Result<(LevelId, LevelSerial), BackupError> {
    let mut serial = newest_unfinished
        .map_or(0, |newest| newest.0)
        .max(order.points().len() as u64);
    for level in order.levels().rev() {
        match access.manifest(backup, level) {
            Ok(manifest) => {
                serial = serial.max(manifest.serial.0);
                break;
            }
            Err(AccessError::Store(source)) if source.kind() == store::Kind::Unavailable => {
                let (backup, level) = (backup.clone(), level.clone());
                return Err(BackupError::Catalog(CatalogError::Level {
                    verb: Verb::Open,
                    backup,
                    level,
                    source,
                }));
            }
            // A damaged level is no reason to make no more of them.
            Err(error) => {
                tracing::debug!(%level, error = &error as &dyn Error, "its manifest cannot be read")
            }
        }
    }
    if let Some(id) = held
        .map(Held::id)
        .filter(|id| order.levels().all(|level| level != *id))
    {
        return Ok((id.clone(), LevelSerial(serial + 1)));
    }
    let random = getrandom::u32()
        .map_err(|error| BackupError::Frame(crate::format::frame::FrameError::Random(error)))?;
    Ok((
        LevelId::next(now, random, order.levels()),
        LevelSerial(serial + 1),
    ))
}

pub(super) fn root_node(root: RunRoot) -> RootNode {
    RootNode {
        node: root.node,
        height: root.height,
        entries: root.entries,
    }
}

/// What the threads of a run share.
struct Level<'run> {
    request: &'run BackupRequest,
    base: Option<&'run Base>,
    resumed: Option<&'run Resumed>,
    sealer: &'run Sealer,
    of: &'run LevelOf,
    serial: LevelSerial,
    began: jiff::Timestamp,
    clock: &'run dyn Clock,
    is_locked: bool,
    progress: &'run dyn Progress,
    cancel: &'run Cancel,
}

/// What they wrote.
struct Written {
    tally: Tally,
    stream_bytes: u64,
    stored_bytes: u64,
    index: Vec<Run>,
    /// What is needed of earlier levels.
    live: BTreeMap<LevelSerial, Ranges>,
    data: Collected,
}

impl Level<'_> {
    fn write(&self, mut sources: Sources, access: &Access) -> Result<Written, BackupError> {
        if let Some(root) = Arc::get_mut(&mut sources.root) {
            root.previous = self.base.and_then(Base::root);
        }
        let (uploads, uploader) = Uploads::new();
        let store = access.store();
        let earlier = self
            .base
            .map(|base| &base.manifest.levels[..])
            .unwrap_or_default();
        let unfinished = self.resumed.map(Resumed::streams).unwrap_or_default();
        let streams = Streams::new(
            access,
            &self.of.backup,
            earlier.iter().chain(unfinished).cloned().collect(),
        );
        let stored = StoredContent::new(&streams, self.progress, self.cancel);
        let stored = (self.request.levels.evidence == Evidence::Content).then_some(&stored);
        let reader = Reader::new(
            (self.base, self.resumed),
            stored,
            self.request.engine,
            self.progress,
        );
        let outcome = thread::scope(|scope| {
            for _ in 0..self.request.upload_jobs.max(1) {
                scope.spawn(|| uploads.serve(store.as_ref()));
            }
            self.with_uploads(
                scope,
                sources,
                (&reader, &streams, access.store_id()),
                &uploads,
                uploader,
            )
        });
        // What stopped the run first comes before what followed from it.
        let stored_bytes = uploads.finish()?;
        let (
            Archived {
                stream_bytes,
                live,
                tally,
                ..
            },
            index,
            data,
        ) = outcome?;
        Ok(Written {
            tally,
            stream_bytes,
            stored_bytes,
            index,
            live,
            data,
        })
    }

    fn with_uploads<'scope, 'env>(
        &'env self,
        scope: &'scope thread::Scope<'scope, 'env>,
        sources: Sources,
        (reader, streams, store): (&'env Reader<'env>, &'env Streams, StoreId),
        uploads: &'env Uploads,
        uploader: Uploader,
    ) -> Result<(Archived, Vec<Run>, Collected), BackupError> {
        let sealers = thread::available_parallelism().map_or(1, usize::from);
        let (raw_sender, raw) = bounded::<RawFrame>(FRAMES_AHEAD);
        let (sealed_sender, sealed) = bounded::<SealedFrame>(FRAMES_AHEAD);
        let (free_sender, free) = bounded::<Vec<u8>>(FRAMES_AHEAD + sealers);
        for _ in 0..sealers {
            let (raw, sealed, free) = (raw.clone(), sealed_sender.clone(), free_sender.clone());
            let encoder = Encoder::new(self.request.compression, self.request.compression_level)
                .map_err(BackupError::Frame)?;
            scope.spawn(move || {
                if let Err(error) = seal(&raw, &sealed, &free, self.sealer, encoder) {
                    uploads.fail(error);
                }
            });
        }
        drop((raw, sealed_sender, free_sender));

        let segment_bytes = self.request.segment_bytes;
        let lane =
            |lane, uploader| LaneWriter::new(lane, self.of, self.sealer, segment_bytes, uploader);
        let table_lane = lane((Lane::FrameTable, Folder::Frames), uploader.clone())?;
        let index_lane = lane((Lane::Index, Folder::Index), uploader.for_another())?;
        let checkpoints = CheckpointWriter {
            of: self.of,
            serial: self.serial,
            store,
            sealer: self.sealer,
            compression: (self.request.compression, self.request.compression_level),
            taken: self
                .resumed
                .map(Resumed::streams)
                .unwrap_or_default()
                .to_vec(),
            // The level's moment may be later than the clock's: what a cut-off run trusts is told
            // by the earlier.
            began: self.began.min(self.of.level.started()),
            clock: self.clock,
            count: 0,
        };
        let collector = scope.spawn(move || {
            let collected = collect(
                &sealed,
                self.of,
                segment_bytes,
                &uploader,
                table_lane,
                checkpoints,
            );
            collected.map_err(|error| uploads.fail(error))
        });

        let (steps, work, slots) = walk::channels();
        for _ in 0..READERS {
            let work = work.clone();
            scope.spawn(move || walk::serve(&work, reader));
        }
        drop(work);
        scope.spawn(move || {
            let request = self.request;
            let options = WalkOptions {
                excludes: &request.excludes,
                skip: &request.skip,
                mounts: request.mounts,
                only: sources.only,
                base: self.base,
            };
            // Ends early only when the archive has: the archive tells why.
            let _ended = walk::walk(sources.root, &options, &steps, self.progress, self.cancel);
        });

        self.progress.stage("backing up");
        let stream = Stream::new(FrameSizes::of(self.request.compression), raw_sender, free);
        let halt = || match (self.cancel.is_requested(), uploads.has_failed()) {
            (true, _) => Err(BackupError::Interrupted(Interrupted)),
            (_, true) => Err(BackupError::Stopped),
            _ => Ok(()),
        };
        let tree = IndexWriter::new(self.base.map(Base::earlier), index_lane)?;
        let blocks = Blocks::new(self.request.engine, Some(streams));
        let due = Due::new(
            self.request.checkpoints.filter(|_| self.is_locked),
            self.clock,
        );
        let unfinished = self
            .resumed
            .map(Resumed::streams)
            .unwrap_or_default()
            .iter()
            .map(|parts| parts.serial)
            .collect();
        let earlier = self
            .base
            .map(|base| &base.manifest.levels[..])
            .unwrap_or_default();
        let live = Live::new(
            earlier,
            self.resumed.map(Resumed::streams).unwrap_or_default(),
        );
        let mut archive = Archive::new(
            stream,
            tree,
            self.serial,
            blocks,
            (live, due, unfinished),
            self.progress,
            &halt,
        );
        let write_all = |archive: &mut Archive<'_>| {
            for slot in slots {
                halt()?;
                let found = slot.recv().map_err(|_| BackupError::Stopped)?;
                archive.write(found)?;
            }
            halt()
        };
        if let Err(stopped) = write_all(&mut archive) {
            if matches!(stopped, BackupError::Interrupted(_)) {
                archive.leave_checkpoint()?;
            }
            return Err(stopped);
        }
        let mut archived = archive.finish()?;
        let earlier = self
            .base
            .map(|base| &base.manifest.index[..])
            .unwrap_or_default();
        let index = self.index(std::mem::take(&mut archived.index), earlier);
        let data = collector
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map_err(|()| BackupError::Stopped)?;
        Ok((archived, index, data))
    }

    /// The runs of the new tree, newest first: what was written, and what is kept of the earlier
    /// ones.
    fn index(
        &self,
        Indexed {
            run,
            kept,
            segments,
        }: Indexed,
        earlier: &[Run],
    ) -> Vec<Run> {
        let written = run.map(
            |DeltaRun {
                 root,
                 head,
                 subtrees,
             }| {
                let head = head
                    .into_iter()
                    .map(|HeadBlock { number, raw }| manifest::HeadBlock {
                        number: number.0,
                        node: raw,
                    })
                    .collect();
                Run {
                    serial: self.serial,
                    root: root_node(root),
                    segments,
                    subtrees,
                    head,
                }
            },
        );
        written
            .into_iter()
            .chain(
                earlier
                    .iter()
                    .skip(earlier.len().saturating_sub(kept))
                    .cloned(),
            )
            .collect()
    }
}

/// Counts the troubles on their way.
struct Counted<'run> {
    progress: &'run dyn Progress,
    troubles: AtomicU64,
}

impl Progress for Counted<'_> {
    fn stage(&self, name: &'static str) {
        self.progress.stage(name);
    }

    fn expect_total(&self, files: u64, bytes: u64) {
        self.progress.expect_total(files, bytes);
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.progress.advance(files, bytes);
    }

    fn trouble(&self, trouble: Trouble) {
        tracing::warn!(%trouble, "could not be kept whole");
        self.troubles.fetch_add(1, Ordering::Relaxed);
        self.progress.trouble(trouble);
    }
}
