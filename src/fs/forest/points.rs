//! The folder that shows a folder for each point in time, and the link to the newest.

use super::entry::{ForestEntry, NODE_BITS, TOP, Validity, inode_of, plain_attributes};
use super::listing::{NamedPoint, PointListing, PointNumbers, name_points};
use crate::fs::view::{EntryAttributes, ROOT, View};
use crate::fs::{FileReader, ReadError};
use crate::model::{Dated, Kind, LevelId, Time};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The name of the link to the newest point.
const LATEST: &[u8] = b"latest";
/// Most points that are open at once. The least recently used one is closed for another.
const MAX_OPEN: usize = 16;
/// How long a listing of the points is used, unless the caller says otherwise.
pub(super) const LISTING_LASTS: Duration = Duration::from_secs(2);

/// An error of a [`PointSource`].
pub type PointSourceError = Box<dyn std::error::Error + Send + Sync>;

/// Lists and opens the points in time of a backup. May be called from many threads at once.
pub trait PointSource: Send + Sync {
    /// Returns all points in time in the order in which they were made: the last one is the newest,
    /// whatever its date.
    fn list(&self) -> Result<Vec<Dated>, PointSourceError>;

    /// Opens one of them.
    fn open(&self, level: &LevelId) -> Result<View, PointSourceError>;
}

/// The user and group that the folder of points and its links belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderOwner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

/// The folder of points. Cheap to clone.
#[derive(Clone)]
pub(super) struct PointsFolder {
    shared: Arc<PointsState>,
    may_wait: bool,
    /// How long a listing is used.
    pub(super) listing_lasts: Duration,
}

struct PointsState {
    source: Arc<dyn PointSource>,
    reader: Arc<FileReader>,
    zone: jiff::tz::TimeZone,
    owner: FolderOwner,
    /// Guards all that changes as points come and go.
    known: Mutex<KnownPoints>,
}

#[derive(Default)]
struct KnownPoints {
    numbers: PointNumbers,
    listing: Option<DatedListing>,
    /// Most recently used first.
    open: VecDeque<OpenPoint>,
}

struct DatedListing {
    taken: Instant,
    listing: Arc<PointListing>,
}

struct OpenPoint {
    number: u64,
    view: View,
}

impl PointsFolder {
    /// Describes the folder; lists and opens nothing.
    pub(super) fn new(
        source: Arc<dyn PointSource>,
        reader: Arc<FileReader>,
        zone: jiff::tz::TimeZone,
        owner: FolderOwner,
    ) -> Self {
        Self {
            shared: Arc::new(PointsState {
                source,
                reader,
                zone,
                owner,
                known: Mutex::default(),
            }),
            may_wait: true,
            listing_lasts: LISTING_LASTS,
        }
    }

    /// Returns the same for a caller that must not wait.
    pub(super) fn at_hand(&self) -> Self {
        Self {
            may_wait: false,
            ..self.clone()
        }
    }

    /// Returns the reader of all its points.
    pub(super) fn reader(&self) -> &FileReader {
        &self.shared.reader
    }

    /// Finds the point or the link with this name. Opens the point.
    pub(super) fn child(&self, name: &[u8]) -> Result<Option<ForestEntry<'static>>, ReadError> {
        let listing = self.listing()?;
        if name == LATEST {
            return Ok(listing.points.last().map(|newest| self.link(newest)));
        }
        let mut points = listing.points.iter();
        let Some(point) = points.find(|point| point.name.as_bytes() == name) else {
            return Ok(None);
        };
        Ok(Some(ForestEntry {
            inode: inode_of(point.number, ROOT)?,
            name: b"",
            attributes: self.open(point.number)?.attributes(ROOT)?,
            validity: Validity::Now,
            cursor: point.number,
        }))
    }

    /// Calls `found` for the points and the link behind the cursor `after`.
    ///
    /// Opens nothing. It makes up the attributes of points, and [`Validity::Now`] has readers ask
    /// for the real ones before they use them.
    pub(super) fn list(
        &self,
        after: u64,
        mut found: impl FnMut(ForestEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let listing = self.listing()?;
        // A listing goes on after a number, so it is in the order of numbers.
        let is_behind = |point: &&NamedPoint| point.number > after;
        let mut points: Vec<&NamedPoint> = listing.points.iter().filter(is_behind).collect();
        points.sort_by_key(|point| point.number);
        for point in points {
            let attributes = EntryAttributes {
                mtime: point.started,
                ctime: point.started,
                ..self.attributes(Kind::Directory, 0o555)
            };
            let entry = ForestEntry {
                inode: inode_of(point.number, ROOT)?,
                name: point.name.as_bytes(),
                attributes,
                validity: Validity::Now,
                cursor: point.number,
            };
            if found(entry).is_break() {
                return Ok(());
            }
        }
        match listing.points.last() {
            Some(newest) if after < 1 << NODE_BITS => {
                // The last entry: nothing follows whether it breaks or not.
                let _last = found(self.link(newest));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns the folder itself.
    pub(super) fn itself(&self) -> Result<ForestEntry<'static>, ReadError> {
        let listing = self.listing()?;
        // Programs, and the kernel's cache of listings, see by its time that the folder has
        // changed.
        let time = Time::new(
            listing.newest_time().seconds(),
            listing.changes % 1_000_000_000,
        );
        let links = u32::try_from(listing.points.len())
            .unwrap_or(u32::MAX)
            .saturating_add(2);
        let attributes = EntryAttributes {
            mtime: time,
            ctime: time,
            links,
            ..self.attributes(Kind::Directory, 0o555)
        };
        Ok(ForestEntry {
            inode: TOP,
            name: b"",
            attributes,
            validity: Validity::Now,
            cursor: 0,
        })
    }

    /// Returns the link that leads to the point with this number.
    pub(super) fn latest(&self, number: u64) -> Result<ForestEntry<'static>, ReadError> {
        Ok(self.link(self.listing()?.point(number)?))
    }

    /// Returns the target of that link.
    pub(super) fn latest_target(&self, number: u64) -> Result<Box<[u8]>, ReadError> {
        Ok(self.listing()?.point(number)?.name.as_bytes().into())
    }

    /// Returns how many entries the folder has.
    pub(super) fn entries(&self) -> Result<u64, ReadError> {
        Ok(self.listing()?.points.len() as u64 + 1)
    }

    /// The kernel keeps the targets of links, so the link has another inode for each target.
    fn link(&self, newest: &NamedPoint) -> ForestEntry<'static> {
        let attributes = EntryAttributes {
            mtime: newest.started,
            ctime: newest.started,
            size: newest.name.len() as u64,
            ..self.attributes(Kind::Symlink, 0o777)
        };
        ForestEntry {
            inode: TOP + newest.number,
            name: LATEST,
            attributes,
            validity: Validity::Now,
            cursor: 1 << NODE_BITS,
        }
    }

    fn attributes(&self, kind: Kind, mode: u32) -> EntryAttributes {
        EntryAttributes {
            uid: self.shared.owner.uid,
            gid: self.shared.owner.gid,
            ..plain_attributes(kind, mode)
        }
    }

    fn listing(&self) -> Result<Arc<PointListing>, ReadError> {
        if let Some(last) = &self.shared.lock().listing
            && last.taken.elapsed() < self.listing_lasts
        {
            return Ok(Arc::clone(&last.listing));
        }
        if !self.may_wait {
            return Err(ReadError::WouldWait);
        }
        let source = Arc::clone(&self.shared.source);
        let list = move || {
            source.list().map_err(|source| ReadError::Open {
                point: "the list of points in time".to_owned(),
                source,
            })
        };
        let levels = self.shared.reader.fetchers().attempt(list)?;
        self.shared.take_in(&levels)
    }

    /// Returns the view of the point with this number, and opens it if it is not open.
    pub(super) fn open(&self, number: u64) -> Result<View, ReadError> {
        let level = {
            let mut known = self.shared.lock();
            if let Some(view) = known.opened(number) {
                return Ok(if self.may_wait { view } else { view.at_hand() });
            }
            known
                .numbers
                .level(number)
                .cloned()
                .ok_or(ReadError::NoSuchNode)?
        };
        if !self.may_wait {
            return Err(ReadError::WouldWait);
        }
        let source = Arc::clone(&self.shared.source);
        let open = move || {
            source.open(&level).map_err(|source| ReadError::Open {
                point: format!("level {level}"),
                source,
            })
        };
        let view = self.shared.reader.fetchers().attempt(open)?;
        let mut known = self.shared.lock();
        known.open.push_front(OpenPoint {
            number,
            view: view.clone(),
        });
        known.open.truncate(MAX_OPEN);
        Ok(view)
    }
}

impl PointsState {
    fn lock(&self) -> MutexGuard<'_, KnownPoints> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, levels: &[Dated]) -> Result<Arc<PointListing>, ReadError> {
        let mut known = self.lock();
        let points = name_points(levels, &self.zone, &mut known.numbers)?;
        let before = known.listing.as_ref().map(|last| &last.listing);
        let changes = match before {
            Some(before) if before.points == points => before.changes,
            Some(before) => before.changes.wrapping_add(1),
            None => 1,
        };
        let listing = Arc::new(PointListing { points, changes });
        known.listing = Some(DatedListing {
            taken: crate::platform::monotonic(),
            listing: Arc::clone(&listing),
        });
        Ok(listing)
    }
}

impl KnownPoints {
    /// Returns the view of a point if it is open, and marks it as used.
    fn opened(&mut self, number: u64) -> Option<View> {
        let at = self.open.iter().position(|open| open.number == number)?;
        let point = self.open.remove(at)?;
        let view = point.view.clone();
        self.open.push_front(point);
        Some(view)
    }
}
