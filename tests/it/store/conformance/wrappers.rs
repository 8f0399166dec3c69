//! The table of wrappers.

use super::suite::Power;
use crate::support::scratch;
use freezer::model::Cancel;
use freezer::store::Store;
use freezer::store::mirror::WaitLimits;
use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The powers of a wrapper that passes every power on.
pub const ALL: &[Power] = &[
    Power::CreateOnce,
    Power::PutUnlessThere,
    Power::HeldUntil,
    Power::Join,
    Power::LeanOn,
];

/// The powers that several places have as one store, if a place has them.
pub const FOR_SEVERAL: &[Power] = &[Power::HeldUntil, Power::Join];

/// Names every wrapper, the powers that it keeps, those that it adds, and how a store is wrapped;
/// for a macro that makes something of each.
macro_rules! wrappers {
    ($then:ident! $with:tt) => {
        $then! { $with
            pointer: keeps wrappers::ALL, adds &[], wrappers::pointer;
            retry: keeps wrappers::ALL, adds &[], wrappers::retry;
            limit: keeps wrappers::ALL, adds &[], wrappers::limit;
            in_order: keeps wrappers::ALL, adds &[], wrappers::in_order;
            disk_cache: keeps wrappers::ALL, adds &[], wrappers::disk_cache;
            faulty: keeps wrappers::ALL, adds &[], wrappers::faulty;
            trial: keeps &[Power::HeldUntil], adds &[], wrappers::trial;
            mirror: keeps wrappers::FOR_SEVERAL, adds &[Power::LeanOn], wrappers::mirror;
            all_of_them: keeps wrappers::FOR_SEVERAL, adds &[Power::LeanOn], wrappers::all_of_them;
        }
    };
}
pub(super) use wrappers;

/// Wraps a store. The folder is for files of the wrapper.
pub type Wrap = dyn Fn(Arc<dyn Store>, &Path) -> Arc<dyn Store>;

/// A wrapped store, and everything that has to live as long.
pub struct Wrapped {
    pub store: Arc<dyn Store>,
    _room: tempfile::TempDir,
    _kept: Box<dyn Any>,
}

impl Wrapped {
    pub fn new(store: Arc<dyn Store>, kept: Box<dyn Any>, wrap: &Wrap) -> Self {
        let room = scratch();
        Self {
            store: wrap(store, room.path()),
            _room: room,
            _kept: kept,
        }
    }
}

const HOUR: Duration = Duration::from_hours(1);

pub fn pointer(inner: Arc<dyn Store>, _: &Path) -> Arc<dyn Store> {
    Arc::new(Box::new(inner))
}

pub fn retry(inner: Arc<dyn Store>, _: &Path) -> Arc<dyn Store> {
    use freezer::store::retry::Retry;
    Arc::new(Retry::new(inner, HOUR, Cancel::new()))
}

pub fn limit(inner: Arc<dyn Store>, _: &Path) -> Arc<dyn Store> {
    use freezer::model::Bandwidth;
    use freezer::store::limit::Limit;
    let fast = || Bandwidth::by_time(vec![(0, Some(1 << 40))]);
    Arc::new(Limit::new(inner, fast(), fast(), Cancel::new()))
}

pub fn in_order(inner: Arc<dyn Store>, _: &Path) -> Arc<dyn Store> {
    use freezer::store::in_order::InOrder;
    Arc::new(InOrder::new(inner))
}

pub fn disk_cache(inner: Arc<dyn Store>, room: &Path) -> Arc<dyn Store> {
    use freezer::store::disk_cache::DiskCache;
    Arc::new(DiskCache::new(inner, room, 1 << 30).expect("a folder"))
}

pub fn faulty(inner: Arc<dyn Store>, _: &Path) -> Arc<dyn Store> {
    use freezer::store::faulty::Faulty;
    Arc::new(Faulty::new(inner))
}

pub fn trial(inner: Arc<dyn Store>, _: &Path) -> Arc<dyn Store> {
    use freezer::store::trial::Trial;
    Arc::new(Trial::new(inner))
}

pub fn mirror(inner: Arc<dyn Store>, _: &Path) -> Arc<dyn Store> {
    use freezer::store::memory::MemoryStore;
    use freezer::store::mirror::{Mirror, OnFailure};
    let limits = WaitLimits {
        for_one: HOUR,
        in_all: HOUR,
    };
    let places: Vec<Arc<dyn Store>> = vec![inner, Arc::new(MemoryStore::default())];
    Arc::new(Mirror::new(places, OnFailure::Abort, limits))
}

/// As the program may wrap stores, and one more.
pub fn all_of_them(inner: Arc<dyn Store>, room: &Path) -> Arc<dyn Store> {
    let opened = retry(limit(in_order(inner, room), room), room);
    faulty(disk_cache(mirror(pointer(opened, room), room), room), room)
}
