//! Ids and serials tell the same order, whatever the clocks said.

use super::in_order;
use crate::model::{LevelId, LevelSerial};
use jiff::Timestamp;
use proptest::prelude::*;

fn level(second: i64) -> LevelId {
    LevelId::new(Timestamp::from_second(second).expect("in range"), 5)
}

#[test]
fn what_has_no_serial_keeps_its_place_among_the_ids() {
    let serials = [
        (1, Some(1)),
        (2, None),
        (3, Some(4)),
        (9, Some(2)),
        (10, None),
    ];
    let of = |wanted: &LevelId| {
        let found = serials.iter().find(|(second, _)| level(*second) == *wanted);
        found.and_then(|(_, serial)| *serial).map(LevelSerial)
    };
    let levels = serials.iter().map(|(second, _)| level(*second)).collect();
    assert_eq!(in_order(levels, of), [1, 2, 9, 3, 10].map(level),);
}

/// Makes levels one after the other, as runs do whose clocks say this; some go again.
fn made(clocks: &[(u16, bool)]) -> (Vec<LevelId>, Vec<LevelId>) {
    let mut levels: Vec<LevelId> = Vec::new();
    let mut left = Vec::new();
    for ((second, stays), random) in clocks.iter().zip(0_u32..) {
        let now = Timestamp::from_second((*second).into()).expect("in range");
        let next = LevelId::next(now, random.wrapping_mul(0x9e37_79b9), left.iter());
        assert!(!levels.contains(&next));
        levels.push(next.clone());
        if *stays {
            left.push(next);
        }
    }
    (levels, left)
}

proptest! {
    #[test]
    fn where_no_id_is_out_of_order_ids_ascend_as_levels_were_made(
        clocks in prop::collection::vec((0_u16..60, prop::bool::weighted(0.8)), 0..20),
    ) {
        let (all, left) = made(&clocks);
        if !left.iter().any(LevelId::is_out_of_order) {
            prop_assert!(left.is_sorted(), "{:?}", left);
        }
        let mut listed = left.clone();
        listed.sort();
        let serial = |level: &LevelId| {
            let place = all.iter().position(|other| other == level);
            place.map(|at| LevelSerial(at as u64 + 1))
        };
        prop_assert_eq!(in_order(listed, serial), left);
    }

    #[test]
    fn clocks_that_ascend_put_no_id_out_of_order(
        mut clocks in prop::collection::vec((0_u16..600, prop::bool::weighted(0.8)), 0..20),
    ) {
        clocks.sort_unstable();
        let (all, _) = made(&clocks);
        prop_assert!(!all.iter().any(LevelId::is_out_of_order));
    }
}
