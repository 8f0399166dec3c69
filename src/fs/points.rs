//! One point in time, or all points of a backup, as one tree whose inodes are plain numbers.
//!
//! A [`Forest`] of one tree shows that tree. A forest of points shows a folder for each point in
//! time, named by when its run began (`2026-11-22T22.34.50`, local time; points not used as in a
//! URL, so that every system takes the name), and `latest`, a symbolic link to the newest. Points
//! are opened when somebody walks into them, and new ones appear by themselves.

use super::view::{Child, EntryAttributes, FileContent, ROOT, Totals, View};
use super::{CacheCounts, FileReader, ReadError};
use crate::model::{Dated, Kind, LevelId, Name, NodeId, Time, Xattr};
use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The inode of the top folder.
pub const TOP: u64 = 1;
/// The name of the link to the newest point.
const LATEST: &[u8] = b"latest";
/// Below these bits an inode holds the number of its node, and 1; above them the number of its
/// point.
const NODE_BITS: u32 = 40;
/// So many points have room above.
const MOST_POINTS: usize = (1 << 24) - 1;
/// So many points are open at once; the one that was not used longest is closed.
const MOST_OPEN: usize = 16;
/// A listing of the points is used for so long.
const LISTING_LASTS: Duration = Duration::from_secs(2);

/// An error of whoever keeps the points.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// What knows the points in time of a backup. May be called from many threads at once.
pub trait PointSource: Send + Sync {
    /// Every point in time there is now, in the order in which they were made: the last one is the
    /// newest, whatever its date.
    fn list(&self) -> Result<Vec<Dated>, SourceError>;

    /// Opens one of them.
    fn open(&self, level: &LevelId) -> Result<View, SourceError>;
}

/// What a mount shows. Cheap to clone; may be used from many threads at once.
#[derive(Clone)]
pub struct Forest {
    top: Top,
}

#[derive(Clone)]
enum Top {
    Tree(View),
    Points(PointsFolder),
}

/// How long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// For ever: a point in time does not change.
    Forever,
    /// Points come and go: ask again each time.
    Now,
}

/// Something in the forest.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its inode.
    pub inode: u64,
    /// What it is called; empty where it was asked for by its inode.
    pub name: &'a [u8],
    /// All that `stat` shows.
    pub attributes: EntryAttributes,
    /// How long this holds.
    pub lasting: Lasting,
    /// Where a listing goes on after it; never 0.
    pub cursor: u64,
}

/// Where an inode is.
enum Place {
    Top(PointsFolder),
    Latest(PointsFolder, u64),
    Tree {
        view: View,
        point: u64,
        node: NodeId,
    },
}

impl Forest {
    /// A single tree.
    pub fn of_tree(view: View) -> Self {
        Self {
            top: Top::Tree(view),
        }
    }

    /// A folder for each point in time. Names are made in `zone`; the top folder belongs to
    /// `owner`, user and group.
    pub fn of_points(
        source: Arc<dyn PointSource>,
        reader: Arc<FileReader>,
        zone: jiff::tz::TimeZone,
        owner: (u32, u32),
    ) -> Self {
        let state = Mutex::new(State {
            known: Vec::new(),
            listing: None,
            open: VecDeque::new(),
            changes: 0,
        });
        let shared = Arc::new(Points {
            source,
            reader,
            zone,
            owner,
            state,
        });
        Self {
            top: Top::Points(PointsFolder {
                shared,
                may_wait: true,
                listing_lasts: LISTING_LASTS,
            }),
        }
    }

    /// Has the points listed again when the last listing is as old as this; two seconds unless said
    /// otherwise.
    #[must_use]
    pub fn listing_every(mut self, age: Duration) -> Self {
        if let Top::Points(folder) = &mut self.top {
            folder.listing_lasts = age;
        }
        self
    }

    /// The same for a caller that must not wait: see [`View::at_hand`].
    #[must_use]
    pub fn at_hand(&self) -> Self {
        let top = match &self.top {
            Top::Tree(view) => Top::Tree(view.at_hand()),
            Top::Points(folder) => Top::Points(PointsFolder {
                may_wait: false,
                ..folder.clone()
            }),
        };
        Self { top }
    }

    /// How the frame cache did so far.
    pub fn cache_counts(&self) -> CacheCounts {
        match &self.top {
            Top::Tree(view) => view.cache_counts(),
            Top::Points(folder) => folder.shared.reader.counts(),
        }
    }

    /// Whether anything in it may have extended attributes.
    pub fn may_have_xattrs(&self) -> bool {
        match &self.top {
            Top::Tree(view) => view.has_xattrs(),
            Top::Points(_) => true,
        }
    }

    /// What has this inode.
    ///
    /// # Errors
    ///
    /// [`ReadError`], as of everything here; [`ReadError::NoSuchNode`] for an inode that was never
    /// given out.
    pub fn get(&self, inode: u64) -> Result<Found<'static>, ReadError> {
        match self.place(inode)? {
            Place::Top(folder) => Ok(folder.itself(&*folder.listing()?)),
            Place::Latest(folder, point) => Ok(folder.latest(folder.listing()?.named(point)?)),
            Place::Tree { view, node, .. } => Ok(Found {
                inode,
                name: b"",
                attributes: view.attributes(node)?,
                lasting: Lasting::Forever,
                cursor: 0,
            }),
        }
    }

    /// The entry called `name` in a directory, and how long it holds if there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn child<'a>(
        &self,
        directory: u64,
        name: &'a [u8],
    ) -> Result<Result<Found<'a>, Lasting>, ReadError> {
        match self.place(directory)? {
            Place::Top(folder) => Ok(folder.child(name)?.ok_or(Lasting::Now)),
            Place::Latest(..) => Err(ReadError::NotADirectory),
            Place::Tree { view, point, node } => {
                let Some(name) = Name::new(name) else {
                    return Ok(Err(Lasting::Forever));
                };
                let found = view
                    .child(node, &name)?
                    .map(|child| found_in(point, &child))
                    .transpose()?;
                Ok(found
                    .map(|found| Found { name: b"", ..found })
                    .ok_or(Lasting::Forever))
            }
        }
    }

    /// Calls `found` for the entries of a directory, all (`after` 0) or those after a cursor, until
    /// it breaks.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; what was found before stands before it.
    pub fn list(
        &self,
        directory: u64,
        after: u64,
        mut found: impl FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        match self.place(directory)? {
            Place::Top(folder) => folder.list(after, found),
            Place::Latest(..) => Err(ReadError::NotADirectory),
            Place::Tree { view, point, node } => {
                let mut failed = None;
                view.list(
                    node,
                    (after > 0).then_some(NodeId(after)),
                    |child| match found_in(point, &child) {
                        Ok(entry) => found(entry),
                        Err(error) => {
                            failed = Some(error);
                            ControlFlow::Break(())
                        }
                    },
                )?;
                failed.map_or(Ok(()), Err)
            }
        }
    }

    /// The inode of the directory that holds a directory; the top for itself.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn parent(&self, directory: u64) -> Result<u64, ReadError> {
        match self.place(directory)? {
            Place::Top(_) | Place::Latest(..) => Ok(TOP),
            Place::Tree { node: ROOT, .. } => Ok(TOP),
            Place::Tree { view, point, node } => inode_of(point, view.parent(node)?),
        }
    }

    /// Where a file stands: the inode of its directory, and its cursor there.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn standing(&self, inode: u64) -> Result<(u64, u64), ReadError> {
        match self.place(inode)? {
            Place::Top(_) | Place::Latest(..) => Err(ReadError::WrongKind),
            Place::Tree { view, point, node } => Ok((inode_of(point, view.parent(node)?)?, node.0)),
        }
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn link_target(&self, inode: u64) -> Result<Box<[u8]>, ReadError> {
        match self.place(inode)? {
            Place::Top(_) => Err(ReadError::WrongKind),
            Place::Latest(folder, point) => {
                Ok(folder.listing()?.named(point)?.name.as_bytes().into())
            }
            Place::Tree { view, node, .. } => view.link_target(node),
        }
    }

    /// The extended attributes.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn xattrs(&self, inode: u64) -> Result<Vec<Xattr>, ReadError> {
        match self.place(inode)? {
            Place::Top(_) | Place::Latest(..) => Ok(Vec::new()),
            Place::Tree { view, node, .. } => view.xattrs(node),
        }
    }

    /// The content of a regular file.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn file(&self, inode: u64) -> Result<FileContent, ReadError> {
        match self.place(inode)? {
            Place::Top(_) => Err(ReadError::IsADirectory),
            Place::Latest(..) => Err(ReadError::WrongKind),
            Place::Tree { view, node, .. } => view.file(node),
        }
    }

    /// How much the point in time holds that the inode belongs to.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn totals(&self, inode: u64) -> Result<Totals, ReadError> {
        match self.place(inode)? {
            Place::Top(folder) | Place::Latest(folder, _) => Ok(Totals {
                entries: folder.listing()?.points.len() as u64 + 1,
                bytes: 0,
            }),
            Place::Tree { view, .. } => Ok(view.totals()),
        }
    }

    fn place(&self, inode: u64) -> Result<Place, ReadError> {
        let (point, low) = (inode >> NODE_BITS, inode & ((1 << NODE_BITS) - 1));
        match &self.top {
            Top::Tree(view) => {
                let node = NodeId(inode.checked_sub(1).ok_or(ReadError::NoSuchNode)?);
                Ok(Place::Tree {
                    view: view.clone(),
                    point: 0,
                    node,
                })
            }
            Top::Points(folder) if point == 0 && low == TOP => Ok(Place::Top(folder.clone())),
            Top::Points(folder) if point == 0 => Ok(Place::Latest(
                folder.clone(),
                low.checked_sub(TOP).ok_or(ReadError::NoSuchNode)?,
            )),
            Top::Points(folder) => {
                let node = NodeId(low.checked_sub(1).ok_or(ReadError::NoSuchNode)?);
                Ok(Place::Tree {
                    view: folder.open(point)?,
                    point,
                    node,
                })
            }
        }
    }
}

fn inode_of(point: u64, node: NodeId) -> Result<u64, ReadError> {
    let low = node
        .0
        .checked_add(1)
        .filter(|low| *low < 1 << NODE_BITS)
        .ok_or(ReadError::TooMany)?;
    Ok(point << NODE_BITS | low)
}

fn found_in<'a>(point: u64, child: &Child<'a>) -> Result<Found<'a>, ReadError> {
    let inode = inode_of(point, child.inode)?;
    Ok(Found {
        inode,
        name: child.name,
        attributes: child.attributes,
        lasting: Lasting::Forever,
        cursor: child.node.0,
    })
}

#[derive(Clone)]
struct PointsFolder {
    shared: Arc<Points>,
    may_wait: bool,
    /// How long a listing is used.
    listing_lasts: Duration,
}

struct Points {
    source: Arc<dyn PointSource>,
    reader: Arc<FileReader>,
    zone: jiff::tz::TimeZone,
    owner: (u32, u32),
    state: Mutex<State>,
}

/// Which points are known, which are there, and which are open.
struct State {
    /// In the order they were first seen: a point's number is its place here, and 1. Never shrinks,
    /// so that a number never stands for another point.
    known: Vec<LevelId>,
    listing: Option<(Instant, Arc<Listing>)>,
    /// The last used in front.
    open: VecDeque<(u64, View)>,
    /// How often the listing was another than before.
    changes: u32,
}

/// The points as they were listed, in the order in which they were made.
struct Listing {
    points: Vec<Point>,
    changes: u32,
}

#[derive(Clone, PartialEq, Eq)]
struct Point {
    number: u64,
    name: String,
    started: Time,
}

impl Listing {
    fn named(&self, number: u64) -> Result<&Point, ReadError> {
        self.points
            .iter()
            .find(|point| point.number == number)
            .ok_or(ReadError::NoSuchNode)
    }
}

impl PointsFolder {
    fn child(&self, name: &[u8]) -> Result<Option<Found<'static>>, ReadError> {
        let listing = self.listing()?;
        if name == LATEST {
            return Ok(listing.points.last().map(|newest| self.latest(newest)));
        }
        let Some(point) = listing
            .points
            .iter()
            .find(|point| point.name.as_bytes() == name)
        else {
            return Ok(None);
        };
        let attributes = self.open(point.number)?.attributes(ROOT)?;
        let inode = inode_of(point.number, ROOT)?;
        Ok(Some(Found {
            inode,
            name: b"",
            attributes,
            lasting: Lasting::Now,
            cursor: point.number,
        }))
    }

    /// Opens nothing: what is not known of a point is made up, and [`Lasting::Now`] has it asked
    /// for before it is used.
    fn list(
        &self,
        after: u64,
        mut found: impl FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let listing = self.listing()?;
        // A listing goes on after a number, so that is its order.
        let mut points: Vec<&Point> = listing
            .points
            .iter()
            .filter(|point| point.number > after)
            .collect();
        points.sort_by_key(|point| point.number);
        for point in points {
            let attributes = EntryAttributes {
                mtime: point.started,
                ctime: point.started,
                ..self.plain(Kind::Directory, 0o555)
            };
            let inode = inode_of(point.number, ROOT)?;
            let entry = Found {
                inode,
                name: point.name.as_bytes(),
                attributes,
                lasting: Lasting::Now,
                cursor: point.number,
            };
            if found(entry).is_break() {
                return Ok(());
            }
        }
        match listing.points.last() {
            Some(newest) if after < 1 << NODE_BITS => {
                // Nothing comes after it, so it does not matter how it went.
                let _last = found(self.latest(newest));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn itself(&self, listing: &Listing) -> Found<'static> {
        let newest = listing
            .points
            .last()
            .map_or(Time::default(), |point| point.started);
        // Programs and the kernel's cache of listings see by its time that the folder has changed.
        let time = Time::new(newest.seconds(), listing.changes % 1_000_000_000);
        let links = u32::try_from(listing.points.len())
            .unwrap_or(u32::MAX)
            .saturating_add(2);
        let attributes = EntryAttributes {
            mtime: time,
            ctime: time,
            links,
            ..self.plain(Kind::Directory, 0o555)
        };
        Found {
            inode: TOP,
            name: b"",
            attributes,
            lasting: Lasting::Now,
            cursor: 0,
        }
    }

    /// The link has another inode for each target: the kernel keeps the targets of links.
    fn latest(&self, newest: &Point) -> Found<'static> {
        let size = newest.name.len() as u64;
        let attributes = EntryAttributes {
            mtime: newest.started,
            ctime: newest.started,
            size,
            ..self.plain(Kind::Symlink, 0o777)
        };
        Found {
            inode: TOP + newest.number,
            name: LATEST,
            attributes,
            lasting: Lasting::Now,
            cursor: 1 << NODE_BITS,
        }
    }

    fn plain(&self, kind: Kind, mode: u32) -> EntryAttributes {
        let (uid, gid) = self.shared.owner;
        EntryAttributes {
            kind,
            mode,
            uid,
            gid,
            mtime: Time::default(),
            ctime: Time::default(),
            device: 0,
            inode: 0,
            links: 1,
            blocks: 0,
            size: 0,
            numbers: None,
            link_to: None,
            has_xattrs: false,
        }
    }

    fn listing(&self) -> Result<Arc<Listing>, ReadError> {
        if let Some((listed, listing)) = &self.shared.lock().listing
            && listed.elapsed() < self.listing_lasts
        {
            return Ok(Arc::clone(listing));
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
        self.shared.take_in(&self.shared.reader.attempt(list)?)
    }

    fn open(&self, number: u64) -> Result<View, ReadError> {
        let level = {
            let mut state = self.shared.lock();
            if let Some(at) = state.open.iter().position(|(open, _)| *open == number)
                && let Some(entry) = state.open.remove(at)
            {
                let view = entry.1.clone();
                state.open.push_front(entry);
                return Ok(if self.may_wait { view } else { view.at_hand() });
            }
            let place = usize::try_from(number)
                .ok()
                .and_then(|number| number.checked_sub(1));
            place
                .and_then(|place| state.known.get(place))
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
        let view = self.shared.reader.attempt(open)?;
        let mut state = self.shared.lock();
        state.open.push_front((number, view.clone()));
        state.open.truncate(MOST_OPEN);
        Ok(view)
    }
}

impl Points {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, levels: &[Dated]) -> Result<Arc<Listing>, ReadError> {
        let mut state = self.lock();
        let mut points: Vec<Point> = Vec::with_capacity(levels.len());
        let mut names = HashSet::with_capacity(levels.len());
        for (expected, Dated { level, date }) in levels.iter().enumerate() {
            let usual = state
                .known
                .get(expected)
                .filter(|known| *known == level)
                .map(|_| expected);
            let place = match usual.or_else(|| state.known.iter().position(|known| known == level))
            {
                Some(place) => place,
                None if state.known.len() < MOST_POINTS => {
                    state.known.push(level.clone());
                    state.known.len() - 1
                }
                None => return Err(ReadError::TooMany),
            };
            let base = date
                .to_zoned(self.zone.clone())
                .strftime("%Y-%m-%dT%H.%M.%S")
                .to_string();
            let mut name = base.clone();
            // Two in one second, or in the hour that summer time gives twice.
            for turn in 2.. {
                if names.insert(name.clone()) {
                    break;
                }
                name = format!("{base}-{turn}");
            }
            let started = Time::new(
                date.as_second(),
                u32::try_from(date.subsec_nanosecond()).unwrap_or_default(),
            );
            points.push(Point {
                number: place as u64 + 1,
                name,
                started,
            });
        }
        if state
            .listing
            .as_ref()
            .is_none_or(|(_, listing)| listing.points != points)
        {
            state.changes = state.changes.wrapping_add(1);
        }
        let listing = Arc::new(Listing {
            points,
            changes: state.changes,
        });
        state.listing = Some((crate::platform::monotonic(), Arc::clone(&listing)));
        Ok(listing)
    }
}
