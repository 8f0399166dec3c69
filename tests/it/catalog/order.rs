//! The order in which levels were made, and their dates, whatever the clocks said and whatever else
//! lies in the store.

use crate::support::backup;
use freezer::catalog::names::{Folder, data_name, manifest_name};
use freezer::catalog::{Access, Catalog, CatalogError, Located, Order, OrderMemory, locate};
use freezer::format::frame::{Compression, Sealer};
use freezer::format::manifest::{Bytes, Counts, LevelParts, Manifest, ManifestParts, RootNode};
use freezer::model::{LevelId, LevelSerial};
use freezer::store::memory::MemoryStore;
use freezer::store::{Operation, Store, StoreExt};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::sync::Arc;

/// A store of levels that have manifests and hardly any data.
struct Shelf {
    store: Arc<MemoryStore>,
    access: Access,
    serial: u64,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

impl Shelf {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let access = backup::create_encrypted(store.clone());
        Self {
            store,
            access,
            serial: 0,
        }
    }

    /// Makes a level as a run does at this time by its clock.
    fn add(&mut self, clock: Timestamp) -> LevelId {
        let others = self.listed();
        let random = u32::try_from(self.serial).expect("small");
        let level = LevelId::next(clock, random, others.iter());
        self.publish(&level, level.started(), level.started());
        level
    }

    fn publish(&mut self, level: &LevelId, started: Timestamp, ended: Timestamp) {
        self.serial += 1;
        let serial = LevelSerial(self.serial);
        let root = || RootNode {
            node: Vec::new(),
            height: 0,
            entries: 0,
        };
        let manifest = Manifest::new(ManifestParts {
            store: self.access.store_id(),
            backup: backup::name(),
            id: level.clone(),
            serial,
            level: 0,
            parent: None,
            chain: None,
            started,
            ended,
            zone: String::new(),
            sources: Vec::new(),
            tags: Vec::new(),
            counts: Counts::default(),
            bytes: Bytes::default(),
            engine: "tar",
            has_xattrs: false,
            index: Vec::new(),
            levels: vec![LevelParts {
                serial,
                id: level.clone(),
                compression: Compression::None,
                compression_level: 0,
                stream_bytes: 0,
                segments: 1,
                frame_table: root(),
                frame_table_segments: 0,
                live: None,
                repacked: 0,
            }],
        });
        let sealer = Sealer::new(
            self.access.store_id(),
            level.clone(),
            self.access.protection(),
        );
        let data = data_name(&backup::name(), level, Folder::Segments, 0);
        self.store.put(&data, &vec![vec![1]]).expect("stored");
        self.junk(level, manifest.seal(&sealer).expect("sealed"));
    }

    /// Stores bytes that are no manifest under the name of one.
    fn junk(&self, level: &LevelId, bytes: Vec<u8>) {
        self.store
            .put(&manifest_name(&backup::name(), level), &vec![bytes])
            .expect("stored");
    }

    fn listed(&self) -> Vec<LevelId> {
        Catalog::new(self.store.clone())
            .levels(&backup::name())
            .expect("listed")
    }

    fn order(&self, now: &str) -> Order {
        Order::read(&self.access, &backup::name(), at(now)).expect("listed")
    }

    fn locate(&self, date: &str, now: &str) -> Result<Located, CatalogError> {
        let name = backup::name();
        let wanted = match date {
            "" => name.to_string(),
            date => format!("{name}@{date}"),
        };
        locate(
            &self.access,
            &wanted.parse().expect("a backup"),
            at(now),
            &TimeZone::UTC,
        )
    }

    #[track_caller]
    fn assert_meant(&self, date: &str, now: &str, expected: &LevelId) {
        let located = self.locate(date, now).expect("found");
        assert_eq!(located.level, *expected, "{date:?}");
        assert!(located.manifest.is_ok(), "{date:?}: {:?}", located.manifest);
    }
}

const NOW: &str = "2026-12-05T20:00:00Z";

fn stray(text: &str) -> LevelId {
    text.parse().expect("a level id")
}

fn day(day: i64) -> Timestamp {
    at("2026-12-01T12:00:00Z") + SignedDuration::from_hours(24 * (day - 1))
}

#[test]
fn a_date_means_the_newest_level_at_or_before_it() {
    let mut shelf = Shelf::new();
    let levels = [1, 2, 3].map(|at| shelf.add(day(at)));
    shelf.assert_meant("", NOW, &levels[2]);
    shelf.assert_meant("latest", NOW, &levels[2]);
    shelf.assert_meant("2026-12-02T13:00", NOW, &levels[1]);
    shelf.assert_meant("-4d", NOW, &levels[0]);
    shelf.assert_meant(levels[0].as_str(), NOW, &levels[0]);
    for (date, name) in [
        ("2026-11-30", "2026-11-30"),
        (
            "20261122T143005.123Z-1a2b3c4d",
            "20261122T143005.123Z-1a2b3c4d",
        ),
    ] {
        assert_eq!(
            shelf.locate(date, NOW).expect_err("none").to_string(),
            format!(
                "{} has no point in time {name}: its first is {}",
                backup::name(),
                levels[0]
            )
        );
    }
}

#[test]
fn where_no_clock_was_wrong_one_listing_tells_the_order() {
    let mut shelf = Shelf::new();
    let levels: Vec<LevelId> = (1..5).map(|at| shelf.add(day(at))).collect();
    let before = (
        shelf.store.calls().of(Operation::Get),
        shelf.store.calls().of(Operation::List),
    );
    assert!(shelf.order(NOW).levels().eq(&levels));
    assert_eq!(shelf.store.calls().of(Operation::Get), before.0);
    assert_eq!(shelf.store.calls().of(Operation::List), before.1 + 1);
    shelf.assert_meant("", NOW, &levels[3]);
    assert_eq!(
        shelf.store.calls().of(Operation::Get),
        before.0 + 1,
        "the manifest that is meant, once"
    );
}

#[test]
fn a_clock_that_was_once_ahead_moves_no_other_level() {
    let mut shelf = Shelf::new();
    let clocks = [
        day(1),
        day(2),
        at("2099-11-30T12:00:00Z"),
        day(3),
        day(4),
        day(5),
    ];
    let levels = clocks.map(|clock| shelf.add(clock));
    for (level, clock) in levels.iter().zip(clocks) {
        assert_eq!(level.started(), clock);
    }
    let order = shelf.order(NOW);
    assert!(order.levels().eq(&levels));
    assert!(
        order
            .ahead(at(NOW))
            .map(|point| &point.level)
            .eq([&levels[2]])
    );
    shelf.assert_meant("", NOW, &levels[5]);
    shelf.assert_meant("2026-12-04T18:00", NOW, &levels[4]);
    shelf.assert_meant("2099-11-30", NOW, &levels[2]);
    // When that day has come, the order is the same.
    assert!(shelf.order("2100-01-01T00:00:00Z").levels().eq(&levels));
    shelf.assert_meant("", "2100-01-01T00:00:00Z", &levels[5]);
}

#[test]
fn a_clock_that_was_once_behind_is_the_newest_and_no_date_but_its_own() {
    let mut shelf = Shelf::new();
    let clocks = [day(1), day(2), at("1970-01-01T00:01:00Z")];
    let levels = clocks.map(|clock| shelf.add(clock));
    assert!(shelf.order(NOW).levels().eq(&levels));
    shelf.assert_meant("", NOW, &levels[2]);
    shelf.assert_meant("today", NOW, &levels[1]);
    shelf.assert_meant("1980-01-01", NOW, &levels[2]);
    let next = shelf.add(day(3));
    shelf.assert_meant("", NOW, &next);
}

#[test]
fn a_stray_object_moves_neither_the_newest_nor_a_date_nor_the_next_level() {
    for text in [
        "20991130T025420.000Z-00000000",
        "20261205T025420.000Z-00000000",
    ] {
        let mut shelf = Shelf::new();
        let levels = [1, 2, 3].map(|at| shelf.add(day(at)));
        let stray = stray(text);
        shelf.junk(&stray, b"junk".to_vec());
        shelf.assert_meant("", NOW, &levels[2]);
        shelf.assert_meant("today", NOW, &levels[2]);
        shelf.assert_meant("2026-12-02", NOW, &levels[1]);
        assert_eq!(
            shelf.locate("", NOW).expect("found").strays,
            std::slice::from_ref(&stray)
        );
        assert_eq!(shelf.order(NOW).ahead(at(NOW)).count(), 0);
        // A user who names it gets the reason.
        let named = shelf
            .locate(stray.as_str(), NOW)
            .expect("there is such a name");
        assert!(named.opened().is_err());
        let next = shelf.add(day(4));
        assert_eq!(next.started(), day(4));
        shelf.assert_meant("", NOW, &next);
        // A genuine manifest under another name is a stray too.
        let stored = shelf
            .store
            .get(&manifest_name(&backup::name(), &next), u64::MAX)
            .expect("there");
        shelf.junk(&stray, stored);
        shelf.assert_meant("", NOW, &next);
        // A mount that shows all points in time shows no folder for it.
        let mut memory = OrderMemory::default();
        let shown = Order::read_with(&mut memory, &shelf.access, &backup::name(), at(NOW))
            .and_then(|order| order.without_strays(&mut memory, &shelf.access, &backup::name()))
            .expect("listed");
        assert!(shown.levels().eq(levels.iter().chain([&next])));
    }
}

#[test]
fn a_damaged_manifest_is_told_and_not_passed_over() {
    let mut shelf = Shelf::new();
    let levels = [1, 2, 3].map(|at| shelf.add(day(at)));
    shelf.junk(&levels[2], b"junk".to_vec());
    for date in ["", "today"] {
        let located = shelf.locate(date, NOW).expect("found");
        assert_eq!(located.level, levels[2]);
        assert!(matches!(
            located.opened(),
            Err(CatalogError::Unreadable { .. })
        ));
    }
    shelf.assert_meant("2026-12-02", NOW, &levels[1]);
}

#[test]
fn levels_that_an_earlier_version_moved_have_the_date_of_their_end() {
    let mut shelf = Shelf::new();
    let first = shelf.add(day(1));
    let ahead = shelf.add(at("2099-11-30T12:00:00Z"));
    let moved = [
        stray("20991130T120000.001Z-00000009"),
        stray("20991130T120000.002Z-00000001"),
    ];
    for (level, date) in moved.iter().zip([day(3), day(4)]) {
        shelf.publish(level, level.started(), date);
    }
    let order = shelf.order(NOW);
    assert!(order.levels().eq([&first, &ahead, &moved[0], &moved[1]]));
    assert_eq!(order.points()[2].date, day(3));
    shelf.assert_meant("", NOW, &moved[1]);
    shelf.assert_meant("2026-12-03", NOW, &moved[0]);
    shelf.assert_meant("2026-12-02", NOW, &first);
    let next = shelf.add(day(5));
    assert_eq!(next.started(), day(5));
    shelf.assert_meant("", NOW, &next);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_order_is_that_of_the_runs_whatever_clocks_and_strangers_there_were(
        runs in prop::collection::vec(
            (0_i64..20, prop::bool::weighted(0.8), prop::bool::weighted(0.2)),
            1..12,
        ),
        now in 0_i64..25,
    ) {
        let mut shelf = Shelf::new();
        let (mut made, mut strays) = (Vec::new(), 0_u32);
        for (clock, stays, stranger) in runs {
            if stranger {
                strays += 1;
                shelf.junk(&LevelId::new(day(clock), 0x1000_0000 + strays), b"junk".to_vec());
            }
            let level = shelf.add(day(clock));
            if stays {
                made.push(level);
            } else {
                shelf.store.delete(&manifest_name(&backup::name(), &level)).expect("removed");
            }
        }
        let now = day(now).to_string();
        let order = shelf.order(&now);
        let mut points = order.points().to_vec();
        points.retain(|point| made.contains(&point.level));
        let of_levels: Vec<&LevelId> = points.iter().map(|point| &point.level).collect();
        prop_assert_eq!(of_levels, made.iter().collect::<Vec<_>>());
        prop_assert!(points.iter().all(|point| point.date == point.level.started()));
        let located = shelf.locate("", &now);
        match made.last() {
            Some(last) => prop_assert_eq!(&located.expect("found").level, last),
            None => prop_assert!(located.map_or(true, |located| located.manifest.is_err())),
        }
    }
}
