//! Gathers what is to be looked at: points in time, and the streams and trees that they share.

use super::checker::Checker;
use super::damage::Damage;
use crate::format::manifest::{LevelParts, Manifest, Parent};
use crate::index::TreeSeries;
use crate::model::{LevelId, LevelSerial, Ranges};
use std::collections::BTreeMap;

/// A level's tar stream, as one or more manifests describe it.
pub(super) struct CheckedStream {
    pub(super) parts: LevelParts,
    /// Lengths of its segments as the store has them, by their numbers. Missing ones are not in
    /// it.
    pub(super) lengths: BTreeMap<u32, u64>,
    /// How many of the segments that are needed are missing.
    pub(super) missing_segments: u32,
    /// The bytes that cannot be read, also where nothing needs them any more.
    pub(super) unreadable: Ranges,
}

impl CheckedStream {
    fn new(parts: LevelParts) -> Self {
        Self {
            parts,
            lengths: BTreeMap::new(),
            missing_segments: 0,
            unreadable: Ranges::default(),
        }
    }

    /// Joins what another manifest says of the same level, if both can be right: each needs a part
    /// of the stream, and where it has been repacked since, the newer one knows better. Returns
    /// whether they can.
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

    /// Returns whether no byte of it is needed: it may have gone.
    pub(super) fn is_dead(&self) -> bool {
        self.parts.live.as_ref().is_some_and(Ranges::is_empty)
    }
}

/// A point in time whose manifest can be read.
pub(super) struct CheckedPoint {
    pub(super) level: LevelId,
    /// Entries that its tree should have.
    pub(super) entries: u64,
    /// The streams that it leans on, as places in [`Survey::streams`].
    pub(super) streams: BTreeMap<LevelSerial, usize>,
    /// The level that it was compared with, and the digest of that level's manifest.
    pub(super) parent: Option<Parent>,
    /// The digest of its own manifest as stored.
    pub(super) digest: String,
}

/// What is to be looked at.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) points: Vec<CheckedPoint>,
    pub(super) streams: Vec<CheckedStream>,
    /// Places in `streams` by levels. A level has one place, unless manifests contradict each
    /// other about it.
    known: BTreeMap<LevelId, Vec<usize>>,
    /// The trees of the points, in the same order.
    pub(super) series: TreeSeries,
}

impl Survey {
    /// Adds a point in time, and tells if its tree cannot be opened.
    pub(super) fn add(&mut self, checker: &mut Checker<'_>, manifest: Manifest, digest: String) {
        let entries = match checker.open(&manifest) {
            Ok(tree) => {
                self.series.push(Some(&tree));
                manifest.counts.entries
            }
            Err(error) => {
                let point = std::slice::from_ref(&manifest.id);
                checker.tell_of(point, Damage::Index(error));
                // That its entries are missing needs not be told too.
                self.series.push(None);
                0
            }
        };
        let streams = manifest
            .levels
            .into_iter()
            .map(|parts| (parts.serial, self.stream(parts)))
            .collect();
        self.points.push(CheckedPoint {
            level: manifest.id,
            entries,
            streams,
            parent: manifest.parent,
            digest,
        });
    }

    /// Returns the place of a stream, which is added if it is new.
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
        self.streams.push(CheckedStream::new(parts));
        place
    }

    /// Returns the points in time that lean on a stream.
    pub(super) fn leaning_on(&self, stream: usize) -> Vec<LevelId> {
        let points = self
            .points
            .iter()
            .filter(|point| point.streams.values().any(|place| *place == stream));
        points.map(|point| point.level.clone()).collect()
    }
}
