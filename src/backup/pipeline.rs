//! The stages of a run and the threads that they work on: one function for each stage.

use super::archive::{
    Archive, Archived, ArchivedLevel, BlockMembers, EntryIndex, IndexedEntries, Outside, Tally,
};
use super::base::Base;
use super::blocks::EarlierStreams;
use super::checkpoint::{CheckpointTimer, CheckpointWriter};
use super::collect::{CollectedLane, Collector};
use super::compare::Evidence;
use super::content::StoredContent;
use super::counted_progress::CountedProgress;
use super::error::BackupError;
use super::handover::{Handover, ReadSteps};
use super::index_writer::{IndexWriter, WrittenIndex};
use super::lane::{BlockLane, LaneWriter};
use super::left_out::{Borders, LeftOut};
use super::live::LiveBytes;
use super::own_level::DataLane;
use super::plan::RunPlan;
use super::read::{EarlierContent, EntryReader};
use super::request::RunContext;
use super::seal::{SealChannels, SealedFrame, seal};
use super::segments::SegmentWriter;
use super::serve::StepServer;
use super::source_calls::{SourceCaller, SourceCalls};
use super::sources::SourceTree;
use super::stop::StopSignal;
use super::stream::{FrameSizes, TarStream};
use super::unread::Unread;
use super::uploads::{Uploader, Uploads};
use super::walk::{WalkOptions, walk};
use crate::catalog::names::Folder;
use crate::format::frame::Encoder;
use crate::model::{LevelSerial, Progress, Ranges, Trouble};
use crate::store::ObjectName;
use crossbeam_channel::{Receiver, bounded};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Frames that wait to be sealed, and sealed frames that wait for an earlier one.
const FRAMES_AHEAD: usize = 3;

/// Threads that read files. Reading from a cold disk is mostly waiting: four readers are more than
/// twice as fast as one.
const READERS: usize = 4;

/// Everything that a run has stored; only the manifest is missing.
pub(super) struct WrittenLevel {
    pub(super) index: WrittenIndex,
    /// The bytes of earlier levels that the point in time needs.
    pub(super) live: BTreeMap<LevelSerial, Ranges>,
    pub(super) tally: Tally,
    /// Length of the tar stream in bytes, before compression.
    pub(super) stream_bytes: u64,
    /// Bytes of all objects that were stored.
    pub(super) stored_bytes: u64,
    pub(super) data: DataLane,
    /// The newest checkpoint, if the run took one.
    pub(super) checkpoint: Option<ObjectName>,
    /// Directories that are in the level without their content, though nobody asked for that.
    pub(super) left_out: Vec<LeftOut>,
    /// Whether one of several sources was not there.
    pub(super) are_sources_missing: bool,
}

/// Everything that the threads of a run share.
struct Pipeline<'run> {
    context: RunContext<'run>,
    plan: &'run RunPlan,
    streams: &'run EarlierStreams,
    reader: &'run Arc<EntryReader>,
    stored: Option<&'run Arc<StoredContent>>,
    calls: &'run Arc<SourceCalls>,
    uploads: &'run Uploads,
    left_out: &'run Mutex<Vec<LeftOut>>,
}

/// The results of the last two stages.
struct LastStages {
    archived: Archived,
    collected: CollectedLane,
}

/// Both ends of the sealing stage.
struct Sealing {
    stream: TarStream,
    sealed: Receiver<SealedFrame>,
}

/// Stores a tree as `plan` says: everything but the manifest.
pub(super) fn write(
    context: RunContext<'_>,
    plan: &RunPlan,
    mut tree: SourceTree,
) -> Result<WrittenLevel, BackupError> {
    if let Some(root) = Arc::get_mut(&mut tree.root) {
        root.previous = plan.base.as_deref().and_then(Base::root);
    }
    let progress = CountedProgress::new(context.progress);
    let context = RunContext {
        progress: &progress,
        ..context
    };
    let calls = Arc::new(tree.calls(context.request.source_timeout, context.cancel));
    let are_sources_missing = !tree.missing.is_empty() || !tree.unanswered.is_empty();
    for silent in tree.unanswered.drain(..) {
        calls.note(&silent.path, None);
        progress.trouble(Trouble::new(silent.path, Unread::NoAnswer(silent.error)));
    }
    let request = context.request;
    let all_streams = plan.earlier().iter().chain(plan.unfinished());
    let all_streams = all_streams.cloned().collect();
    let streams = EarlierStreams::new(context.access, &request.backup, all_streams);
    let streams = Arc::new(streams);
    let compares_content = request.levels.evidence == Evidence::Content;
    let earlier = EarlierContent {
        base: plan.base.clone(),
        resumed: plan.resumed.clone(),
        stored: compares_content.then(|| Arc::new(StoredContent::new(&streams, context.cancel))),
    };
    let stored = earlier.stored.clone();
    let hashing = context.access.protection().content_hashing();
    let reader = Arc::new(EntryReader::new(earlier, request.engine, hashing, &calls));
    let (uploads, uploader) = Uploads::new();
    let left_out = Mutex::new(Vec::new());
    let pipeline = Pipeline {
        context,
        plan,
        streams: &streams,
        reader: &reader,
        stored: stored.as_ref(),
        calls: &calls,
        uploads: &uploads,
        left_out: &left_out,
    };
    let outcome = thread::scope(|scope| pipeline.run(scope, tree, uploader));
    // The failure that stopped the run comes before those that followed from it.
    let stored_bytes = uploads.finish()?;
    let LastStages {
        archived,
        collected,
    } = outcome?;
    let IndexedEntries {
        index,
        live,
        mut tally,
    } = archived.entries;
    tally.counts.failed = progress.troubles();
    tally.counts.removed = plan.base.as_deref().map_or(0, Base::removed);
    Ok(WrittenLevel {
        index,
        live,
        tally,
        stream_bytes: archived.stream_bytes,
        stored_bytes,
        data: collected.data,
        checkpoint: collected.checkpoint,
        left_out: left_out.into_inner().unwrap_or_default(),
        are_sources_missing,
    })
}

impl<'env> Pipeline<'env> {
    /// Starts all stages, and runs the archive on this thread.
    fn run<'scope>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        tree: SourceTree,
        uploader: Uploader,
    ) -> Result<LastStages, BackupError> {
        self.start_uploads(scope);
        let Sealing { stream, sealed } = self.start_sealing(scope)?;
        let index_lane = self.lane(BlockLane::Index, uploader.for_another())?;
        let collector = self.start_collecting(scope, sealed, uploader)?;
        let handover = self.start_reading(scope);
        let steps = self.start_walking(scope, tree, handover);
        let archived = self.archive(stream, index_lane, steps)?;
        let collected = collector
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
            .map_err(|()| BackupError::Stopped)?;
        Ok(LastStages {
            archived,
            collected,
        })
    }

    /// Starts the threads that store objects.
    fn start_uploads<'scope>(&'env self, scope: &'scope Scope<'scope, 'env>) {
        for _ in 0..self.context.request.upload_jobs.max(1) {
            let store = self.context.access.store();
            scope.spawn(move || self.uploads.serve(store.as_ref()));
        }
    }

    /// Starts the threads that compress and encrypt frames.
    fn start_sealing<'scope>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Result<Sealing, BackupError> {
        let own = &self.plan.own;
        let sealers = thread::available_parallelism().map_or(1, usize::from);
        let (raw_sender, frames) = bounded(FRAMES_AHEAD);
        let (sealed_sender, sealed) = bounded(FRAMES_AHEAD);
        let (free_sender, free) = bounded(FRAMES_AHEAD + sealers);
        let channels = SealChannels {
            frames,
            sealed: sealed_sender,
            free: free_sender,
        };
        for _ in 0..sealers {
            let channels = channels.clone();
            let encoder =
                Encoder::new(own.compression, own.compression_level).map_err(BackupError::Frame)?;
            scope.spawn(move || {
                if let Err(error) = seal(&channels, &self.plan.sealer, encoder) {
                    self.uploads.fail(error);
                }
            });
        }
        Ok(Sealing {
            stream: TarStream::new(FrameSizes::of(own.compression), raw_sender, free),
            sealed,
        })
    }

    /// Starts the thread that puts frames into segments.
    fn start_collecting<'scope>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        sealed: Receiver<SealedFrame>,
        uploader: Uploader,
    ) -> Result<ScopedJoinHandle<'scope, Result<CollectedLane, ()>>, BackupError> {
        let table_lane = self.lane(BlockLane::FrameTable, uploader.clone())?;
        let segments = SegmentWriter::new(
            &self.plan.own.level,
            Folder::Segments,
            self.context.request.segment_bytes,
            uploader.clone(),
        );
        let checkpoints = CheckpointWriter {
            own: &self.plan.own,
            store: self.context.access.store_id(),
            sealer: &self.plan.sealer,
            taken: self.plan.unfinished().to_vec(),
            began: self.plan.started(),
            clock: self.context.clock,
            count: 0,
        };
        let collector = Collector::new(segments, table_lane, checkpoints, uploader);
        Ok(scope.spawn(move || {
            collector
                .collect(&sealed)
                .map_err(|error| self.uploads.fail(error))
        }))
    }

    /// Starts the threads that read entries.
    fn start_reading<'scope>(&'env self, scope: &'scope Scope<'scope, 'env>) -> Handover {
        let handover = Handover::new();
        for _ in 0..READERS {
            let jobs = handover.jobs.clone();
            let server = StepServer {
                reader: Arc::clone(self.reader),
                source: SourceCaller::new(self.calls),
                stored: self.stored.cloned(),
                progress: self.context.progress,
            };
            scope.spawn(move || server.serve(&jobs));
        }
        handover
    }

    /// Starts the thread that walks the tree. Returns where the entries come out.
    fn start_walking<'scope>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        tree: SourceTree,
        handover: Handover,
    ) -> ReadSteps {
        let Handover { steps, read, .. } = handover;
        for missing in tree.missing {
            let trouble = Trouble::new(missing.path, Unread::Source(missing.error));
            self.context.progress.trouble(trouble);
        }
        scope.spawn(move || {
            let request = self.context.request;
            let options = WalkOptions {
                excludes: Arc::new(request.excludes.clone()),
                borders: Borders {
                    stores: &request.skip,
                    mounts: request.mounts,
                    leading: tree.only.keys().cloned().collect(),
                    asked: tree.devices,
                },
                left_out: self.left_out,
                only: tree.only,
                base: self.plan.base.as_deref(),
                source: SourceCaller::new(self.calls),
                progress: self.context.progress,
                cancel: self.context.cancel,
            };
            // The walk ends early only if the archive has ended, which then says why.
            let _ended = walk(tree.root, &options, &steps);
        });
        read
    }

    /// Turns entries into the tar stream and the index.
    fn archive(
        &self,
        stream: TarStream,
        index_lane: LaneWriter<'_>,
        steps: ReadSteps,
    ) -> Result<Archived, BackupError> {
        self.context.progress.stage("backing up");
        let stop = StopSignal {
            cancel: self.context.cancel,
            uploads: self.uploads,
        };
        let (plan, progress) = (self.plan, self.context.progress);
        let earlier_index = plan.base.as_deref().map(Base::earlier_index);
        let index = IndexWriter::new(earlier_index, index_lane)?;
        let live = LiveBytes::new(plan.earlier(), plan.unfinished());
        let unfinished = plan.unfinished().iter().map(|parts| parts.serial);
        let mut archive = Archive::new(
            stream,
            EntryIndex::new(index, live, unfinished.collect(), progress),
            ArchivedLevel {
                serial: plan.own.serial,
                same_content: self.context.request.levels.same_content,
                hashing: self.context.access.protection().content_hashing(),
            },
            BlockMembers::new(self.context.request.engine.block_options(), self.streams),
            CheckpointTimer::new(plan.checkpoints, self.context.clock),
            Outside {
                progress,
                stop,
                source: SourceCaller::new(self.calls),
            },
        );
        match write_all(&mut archive, steps, stop) {
            Ok(()) => archive.finish(),
            Err(stopped) => {
                if matches!(stopped, BackupError::Interrupted(_)) {
                    archive.leave_checkpoint()?;
                }
                Err(stopped)
            }
        }
    }

    fn lane(&self, lane: BlockLane, uploader: Uploader) -> Result<LaneWriter<'_>, BackupError> {
        LaneWriter::new(
            lane,
            &self.plan.own.level,
            &self.plan.sealer,
            self.context.request.segment_bytes,
            uploader,
        )
    }
}

fn write_all(
    archive: &mut Archive<'_>,
    steps: ReadSteps,
    stop: StopSignal<'_>,
) -> Result<(), BackupError> {
    for slot in steps {
        stop.check()?;
        archive.write(slot.recv().map_err(|_| BackupError::Stopped)?)?;
    }
    stop.check()
}
