//! Whether points in time are all there, and which of their files damage touches.
//!
//! What several points in time share is looked at once: each level's segments and frame table, and
//! each run of the index.

use super::damage::Damage;
use super::frames::Frames;
use super::portion::{Chosen, Portion};
use crate::catalog::names::{self, Folder, LevelOf, Meaning};
use crate::catalog::stream;
use crate::catalog::{Access, AccessError, Blocks, open_tree};
use crate::format::DocumentError;
use crate::format::frame::Lane;
use crate::format::manifest::{LevelParts, Manifest, ManifestError};
use crate::index::{BlockCache, BlockSource, Tree, TreeSeries};
use crate::model::{
    Advice, BackupName, Cancel, Content, Entry, Extent, Interrupted, Kind, LevelId, LevelSerial,
    NodeId, Progress, Ranges, TreePath, hints,
};
use crate::store::{self, ObjectName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most bytes of index blocks that are kept while a tree is read.
const INDEX_CACHE_BYTES: usize = 16 << 20;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything but the content of files: manifests, all of index and frame tables, the sizes of
    /// segments.
    Structure,
    /// Content too: of some segments or all of them every frame is authenticated and decompressed.
    Data(Portion),
}

/// What a check came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Entries of all trees, those that points in time share counted in each.
    pub entries: u64,
    /// Frames that were looked up.
    pub frames: u64,
    /// Bytes of all segments as stored.
    pub stored_bytes: u64,
    /// Bytes of the segments that were read.
    pub read_bytes: u64,
    /// How often damage was told.
    pub damages: u64,
    /// Files that cannot be read as a whole, each version once.
    pub files_touched: u64,
}

/// Why a check did not take place, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store could not be listed.
    #[error("could not list the store")]
    List(#[source] store::Error),
    /// The store refused or did not answer: that says nothing of what it holds.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// Of which level.
        level: LevelId,
        /// What went wrong.
        source: AccessError,
    },
    /// Which segments to read could not be chosen.
    #[error("could not choose what to read")]
    Random(#[source] getrandom::Error),
    /// No thread could be had to read with.
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
    /// It was asked to stop.
    #[error("the check was interrupted")]
    Interrupted(#[source] Interrupted),
}

impl Advice for CheckError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Thread(_) => Some(hints::THREADS),
            Self::Interrupted(_) => Some("nothing was changed; the damage named so far holds"),
            Self::List(_) | Self::Manifest { .. } | Self::Random(_) => None,
        }
    }
}

/// Checks points in time of one backup, and all that they lean on. Tells every damage to `found`,
/// with the points in time that it touches, and goes on.
///
/// Memory holds, of each level that is leaned on, the lengths of its segments and the damaged
/// ranges; the roots of all runs of the index; and what is between the roots and the place in the
/// trees.
///
/// # Errors
///
/// [`CheckError`]: what the store holds is then unknown. Damage is no error.
pub fn check(
    access: &Access,
    backup: &BackupName,
    levels: &[LevelId],
    depth: Depth,
    found: &mut dyn FnMut(&[LevelId], Damage),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Checked, CheckError> {
    examine_to(depth, access, backup, levels, found, progress, cancel)
        .map(|examined| examined.checked)
}

/// A point in time that cannot be opened any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which.
    pub level: LevelId,
    /// Whether its manifest is sound, and of a newer version than this program knows.
    pub is_newer: bool,
}

/// What a check saw.
pub(super) struct Examined {
    pub(super) checked: Checked,
    /// Points in time whose manifests cannot be read.
    pub(super) unreadable: Vec<Unreadable>,
    pub(super) streams: Vec<ExaminedStream>,
}

/// A stream that some point in time leans on.
pub(super) struct ExaminedStream {
    pub(super) level: LevelId,
    pub(super) missing_segments: u32,
    /// The parts that cannot be read and are needed.
    pub(super) unreadable: Ranges,
}

/// Checks everything, all data too, and gives what [`check`] keeps to itself.
pub(super) fn examine(
    access: &Access,
    backup: &BackupName,
    levels: &[LevelId],
    found: &mut dyn FnMut(&[LevelId], Damage),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Examined, CheckError> {
    examine_to(
        Depth::Data(Portion::All),
        access,
        backup,
        levels,
        found,
        progress,
        cancel,
    )
}

fn examine_to(
    depth: Depth,
    access: &Access,
    backup: &BackupName,
    levels: &[LevelId],
    found: &mut dyn FnMut(&[LevelId], Damage),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Examined, CheckError> {
    let mut check = Check {
        access,
        backup,
        found,
        progress,
        cancel,
        checked: Checked::default(),
        touches: Vec::new(),
        unreadable: Vec::new(),
    };
    progress.stage("reading the manifests");
    let mut survey = Survey::default();
    for level in levels {
        if let Some(manifest) = check.manifest(level)? {
            survey.add(&mut check, manifest);
        }
    }
    check.streams(&mut survey, depth)?;
    progress.stage("checking the trees");
    check.trees(&mut survey)?;
    let streams = survey.streams.into_iter().map(|stream| ExaminedStream {
        missing_segments: stream.missing_segments,
        unreadable: match &stream.parts.live {
            Some(live) => stream.unreadable.intersection(live),
            None => stream.unreadable,
        },
        level: stream.parts.id,
    });
    Ok(Examined {
        checked: check.checked,
        unreadable: check.unreadable,
        streams: streams.collect(),
    })
}

/// Whether a store's answer says that what it holds is damaged, rather than that it cannot be
/// asked.
pub(super) fn is_damage(error: &store::Error) -> bool {
    error.kind().is_damage()
}

/// A level's tar stream, as one or more manifests describe it.
struct Stream {
    parts: LevelParts,
    /// The lengths of its segments as the store has them; those that are missing have none.
    lengths: BTreeMap<u32, u64>,
    /// How many of those that are needed are missing.
    missing_segments: u32,
    /// What cannot be read, also where nothing needs it any more.
    unreadable: Ranges,
}

impl Stream {
    /// Takes in what another manifest says of the same level, if both can be right: each needs some
    /// of the stream, and where it has been repacked since, the newer one knows better.
    fn join(&mut self, parts: &LevelParts) -> bool {
        let known = &self.parts;
        let as_known = LevelParts {
            live: known.live.clone(),
            ..parts.clone()
        };
        if as_known != *known && parts.repacked == known.repacked {
            return false;
        }
        let live = known
            .live
            .as_ref()
            .zip(parts.live.as_ref())
            .map(|(known, live)| known.union(live));
        let newest = if parts.repacked > known.repacked {
            parts.clone()
        } else {
            known.clone()
        };
        self.parts = LevelParts { live, ..newest };
        true
    }

    /// Whether no byte of it is needed: it may have gone.
    fn is_dead(&self) -> bool {
        self.parts.live.as_ref().is_some_and(Ranges::is_empty)
    }
}

/// A point in time whose manifest can be read.
struct Point {
    level: LevelId,
    /// Entries that its tree should have.
    entries: u64,
    /// What it leans on, by places in [`Survey::streams`].
    streams: BTreeMap<LevelSerial, usize>,
}

/// What is to be looked at.
#[derive(Default)]
struct Survey {
    points: Vec<Point>,
    streams: Vec<Stream>,
    /// By their levels, places in `streams`: one, unless manifests tell different things of a
    /// level.
    known: BTreeMap<LevelId, Vec<usize>>,
    /// The trees of the points, in the same order.
    series: TreeSeries,
}

impl Survey {
    fn add(&mut self, check: &mut Check<'_>, manifest: Manifest) {
        let entries = match check.open(&manifest) {
            Ok(tree) => {
                self.series.push(Some(&tree));
                manifest.counts.entries
            }
            Err(error) => {
                check.tell_of(std::slice::from_ref(&manifest.id), Damage::Index(error));
                // That entries are missing needs not be told too.
                self.series.push(None);
                0
            }
        };
        let streams = manifest
            .levels
            .into_iter()
            .map(|parts| (parts.serial, self.stream(parts)))
            .collect();
        self.points.push(Point {
            level: manifest.id,
            entries,
            streams,
        });
    }

    fn stream(&mut self, parts: LevelParts) -> usize {
        let places = self.known.entry(parts.id.clone()).or_default();
        for place in places.iter() {
            if self
                .streams
                .get_mut(*place)
                .is_some_and(|stream| stream.join(&parts))
            {
                return *place;
            }
        }
        let place = self.streams.len();
        places.push(place);
        self.streams.push(Stream {
            parts,
            lengths: BTreeMap::new(),
            missing_segments: 0,
            unreadable: Ranges::default(),
        });
        place
    }

    fn leaning_on(&self, stream: usize) -> Vec<LevelId> {
        let points = self
            .points
            .iter()
            .filter(|point| point.streams.values().any(|place| *place == stream));
        points.map(|point| point.level.clone()).collect()
    }
}

pub(super) struct Check<'run> {
    pub(super) access: &'run Access,
    pub(super) backup: &'run BackupName,
    found: &'run mut dyn FnMut(&[LevelId], Damage),
    pub(super) progress: &'run dyn Progress,
    pub(super) cancel: &'run Cancel,
    pub(super) checked: Checked,
    /// The points in time that [`tell`](Self::tell) speaks of.
    touches: Vec<LevelId>,
    unreadable: Vec<Unreadable>,
}

impl Check<'_> {
    pub(super) fn tell(&mut self, damage: Damage) {
        self.checked.damages += 1;
        (self.found)(&self.touches, damage);
    }

    fn tell_of(&mut self, points: &[LevelId], damage: Damage) {
        self.touches = points.to_vec();
        self.tell(damage);
    }

    /// The manifest of a level, unless it is damaged, which is told.
    fn manifest(&mut self, level: &LevelId) -> Result<Option<Manifest>, CheckError> {
        if self.cancel.is_requested() {
            return Err(CheckError::Interrupted(Interrupted));
        }
        match self.access.manifest(self.backup, level) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(AccessError::Store(error)) if !is_damage(&error) => Err(CheckError::Manifest {
                level: level.clone(),
                source: AccessError::Store(error),
            }),
            Err(error) => {
                let is_newer = matches!(
                    &error,
                    AccessError::Manifest {
                        source: ManifestError::Document(DocumentError::Version { .. }),
                        ..
                    }
                );
                self.unreadable.push(Unreadable {
                    level: level.clone(),
                    is_newer,
                });
                self.tell_of(std::slice::from_ref(level), Damage::Manifest(error));
                Ok(None)
            }
        }
    }

    fn open(&self, manifest: &Manifest) -> Result<Tree, crate::catalog::TreeError> {
        let blocks = |level: &LevelId| {
            Arc::new(Blocks::new(self.access, self.backup, level, Lane::Index).ahead())
                as Arc<dyn BlockSource>
        };
        // The blocks that the manifest holds as well are read where they belong: there others need
        // them.
        let mut bare = manifest.clone();
        bare.index.iter_mut().for_each(|run| run.head.clear());
        open_tree(&bare, &BlockCache::new(INDEX_CACHE_BYTES), blocks)
    }

    /// Checks that the segments of each level are there and the frames fill them, and reads those
    /// that are to be read.
    fn streams(&mut self, survey: &mut Survey, depth: Depth) -> Result<(), CheckError> {
        for place in 0..survey.streams.len() {
            self.touches = survey.leaning_on(place);
            if let Some(stream) = survey
                .streams
                .get_mut(place)
                .filter(|stream| !stream.is_dead())
            {
                self.segments(stream)?;
                self.checked.stored_bytes += stream.lengths.values().sum::<u64>();
            }
        }
        let chosen = match depth {
            Depth::Structure => None,
            Depth::Data(portion) => {
                let segments = survey
                    .streams
                    .iter()
                    .map(|stream| (&stream.parts.id, &stream.lengths));
                let chosen = Chosen::new(portion, segments).map_err(CheckError::Random)?;
                let stream_bytes: u64 = survey
                    .streams
                    .iter()
                    .map(|stream| stream.parts.stream_bytes)
                    .sum();
                self.progress
                    .expect_total(0, chosen.share_of(stream_bytes, self.checked.stored_bytes));
                self.checked.read_bytes = chosen.bytes();
                Some(chosen)
            }
        };
        self.progress.stage(if chosen.is_some() {
            "reading the data"
        } else {
            "checking the frame tables"
        });
        for place in 0..survey.streams.len() {
            self.touches = survey.leaning_on(place);
            let Some(stream) = survey.streams.get_mut(place) else {
                continue;
            };
            let chosen = chosen.as_ref().map(|chosen| chosen.of(place));
            if stream.is_dead() {
                stream.unreadable = Ranges::of(0..u64::MAX);
                continue;
            }
            let seen = Frames::new(self, &stream.parts, &stream.lengths, chosen).check()?;
            (stream.unreadable, stream.missing_segments) = (
                seen.unreadable,
                stream.missing_segments + seen.missing_segments,
            );
        }
        Ok(())
    }

    /// Finds the segments of a level that the store has, and where its stream is if it was
    /// repacked.
    fn segments(&mut self, stream: &mut Stream) -> Result<(), CheckError> {
        let level = &stream.parts.id;
        let (mut lengths, mut repacked) = (BTreeMap::new(), stream.parts.repacked);
        let store = self.access.store();
        let listed = store.list(&names::level_prefix(self.backup, level), &mut |object| {
            match names::meaning(&object.name) {
                Some(Meaning::Data {
                    folder: Folder::Segments,
                    number,
                    ..
                }) => _ = lengths.insert(number, object.length),
                Some(Meaning::Data {
                    folder: Folder::Repacked,
                    number,
                    ..
                }) => repacked = repacked.max(number),
                _ => {}
            }
            !self.cancel.is_requested()
        });
        listed.map_err(CheckError::List)?;
        if self.cancel.is_requested() {
            return Err(CheckError::Interrupted(Interrupted));
        }
        if repacked > stream.parts.repacked {
            let of = LevelOf {
                backup: self.backup.clone(),
                level: level.clone(),
            };
            match stream::load(store.as_ref(), &self.access.opener(level), &of, repacked) {
                Ok(newest) => stream.parts = newest.apply(stream.parts.clone()),
                Err(source) => self.tell(Damage::Repacked {
                    object: of.data_name(Folder::Repacked, repacked),
                    source,
                }),
            }
        }
        let parts = &stream.parts;
        lengths.retain(|number, _| *number < parts.segments);
        // Where only some bytes are needed, the frame table tells which segments must be there.
        if parts.live.is_none() {
            for number in (0..parts.segments).filter(|number| !lengths.contains_key(number)) {
                stream.missing_segments += 1;
                self.tell(Damage::Missing(self.segment(parts, number)));
            }
        }
        stream.lengths = lengths;
        Ok(())
    }

    pub(super) fn segment(&self, parts: &LevelParts, number: u32) -> ObjectName {
        names::data_name(self.backup, &parts.id, Folder::Segments, number)
    }

    /// Reads the trees: those whose runs are sound all at once, the others each by itself.
    fn trees(&mut self, survey: &mut Survey) -> Result<(), CheckError> {
        let Survey {
            points,
            streams,
            series,
            ..
        } = survey;
        let mut hurt = BTreeSet::new();
        for run in 0..series.runs() {
            let sound = series.verify(run, || !self.cancel.is_requested());
            if self.cancel.is_requested() {
                return Err(CheckError::Interrupted(Interrupted));
            }
            if sound.is_err() {
                hurt.extend(series.trees_with(run));
            }
        }
        hurt.iter().for_each(|tree| series.leave_out(*tree));
        // How many entries more each tree has than the one before it.
        let mut steps = vec![0_i64; points.len() + 1];
        for history in series.histories(|_| true) {
            if self.cancel.is_requested() {
                return Err(CheckError::Interrupted(Interrupted));
            }
            // Every run was read a moment ago; what fails now is looked at tree by tree.
            let Ok(history) = history else {
                hurt.extend(0..points.len());
                break;
            };
            for spell in history.spells {
                for (at, step) in [(spell.trees.start, 1), (spell.trees.end, -1)] {
                    steps
                        .get_mut(at)
                        .into_iter()
                        .for_each(|count| *count += step);
                }
                let touched = points.get(spell.trees).unwrap_or_default();
                if let Some(point) = touched.first()
                    && let Some(damage) = touched_by(&spell.entry, point, streams)
                {
                    self.checked.files_touched += 1;
                    let levels: Vec<LevelId> =
                        touched.iter().map(|point| point.level.clone()).collect();
                    self.tell_of(&levels, damage);
                }
            }
        }
        let mut entries = 0_i64;
        for (place, point) in points.iter().enumerate() {
            entries += steps.get(place).copied().unwrap_or_default();
            if hurt.contains(&place) {
                self.tree(point, streams)?;
                continue;
            }
            let found = entries.unsigned_abs();
            self.checked.entries += found;
            if found != point.entries {
                self.tell_of(
                    std::slice::from_ref(&point.level),
                    Damage::Entries {
                        found,
                        expected: point.entries,
                    },
                );
            }
        }
        Ok(())
    }

    /// Reads one tree directory by directory, so that a damaged block hides no more than its own
    /// entries.
    fn tree(&mut self, point: &Point, streams: &[Stream]) -> Result<(), CheckError> {
        let Some(manifest) = self.manifest(&point.level)? else {
            return Ok(());
        };
        self.touches = vec![point.level.clone()];
        let tree = match self.open(&manifest) {
            Ok(tree) => tree,
            Err(error) => {
                self.tell(Damage::Index(error));
                return Ok(());
            }
        };
        let mut entries = 1;
        let mut waiting = vec![(NodeId(0), TreePath::root())];
        let mut unreadable = 0;
        while let Some((directory, path)) = waiting.pop() {
            for child in tree.children(directory, None) {
                if self.cancel.is_requested() {
                    return Err(CheckError::Interrupted(Interrupted));
                }
                match child {
                    Ok((node, entry)) => {
                        entries += 1;
                        if let Some(damage) = touched_by(&entry, point, streams) {
                            self.checked.files_touched += 1;
                            self.tell(damage);
                        }
                        if entry.content.kind() == Kind::Directory {
                            waiting.push((node, entry.path));
                        }
                    }
                    Err(source) => {
                        unreadable += 1;
                        self.tell(Damage::Directory {
                            path: path.clone(),
                            source,
                        });
                        break;
                    }
                }
            }
        }
        self.checked.entries += entries;
        // With a directory unreadable the count cannot be right, and that was told.
        if unreadable == 0 && entries != manifest.counts.entries {
            self.tell(Damage::Entries {
                found: entries,
                expected: manifest.counts.entries,
            });
        }
        if unreadable == 0
            && let Err(error) = tree.verify()
        {
            self.tell(Damage::Replaced(error));
        }
        Ok(())
    }
}

/// What is wrong with the content of an entry of a point in time.
fn touched_by(entry: &Entry, point: &Point, streams: &[Stream]) -> Option<Damage> {
    let Content::File { extents, .. } = &entry.content else {
        return None;
    };
    let stream = |extent: &Extent| {
        point
            .streams
            .get(&extent.level)
            .and_then(|place| streams.get(*place))
    };
    let exists = |extent: &Extent| {
        stream(extent).is_some_and(|stream| {
            extent
                .stream
                .0
                .checked_add(extent.length)
                .is_some_and(|end| end <= stream.parts.stream_bytes)
        })
    };
    if !extents.iter().all(exists) {
        return Some(Damage::Extent(entry.path.clone()));
    }
    let is_hurt = |extent: &Extent| {
        stream(extent).is_some_and(|stream| {
            stream
                .unreadable
                .touch(&(extent.stream.0..extent.stream.0.saturating_add(extent.length)))
        })
    };
    extents
        .iter()
        .any(is_hurt)
        .then(|| Damage::File(entry.path.clone()))
}
