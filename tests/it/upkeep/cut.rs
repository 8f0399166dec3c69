//! A prune that is cut off at any call to the store: every point in time that is left has all that
//! it needs, and the next prune completes the work.

use super::{Series, objects, prune};
use crate::support::{backup, copy_of};
use freezer::catalog::Access;
use freezer::catalog::names::data_prefix;
use freezer::model::Retention;
use freezer::store::faulty::{Fault, Faulty};
use freezer::upkeep::{GRACE, Going, unneeded_bytes};
use jiff::SignedDuration;
use std::sync::Arc;

#[test]
fn a_prune_cut_off_at_any_call_leaves_every_point_in_time_whole() {
    let series = Series::with_levels(6);
    let going = Going::Unprotected(Retention {
        last: 2,
        ..Retention::default()
    });
    for grace in [SignedDuration::ZERO, GRACE] {
        let counting = Arc::new(Faulty::new(copy_of(&series.store)));
        prune(
            &Access::open(counting.clone(), None).expect("it opens"),
            &series.clock,
            &going,
            grace,
        )
        .expect("no fault");
        let calls = counting.calls().all();
        let data_when_done = objects(counting.as_ref(), &data_prefix(&backup::name()));
        assert!(calls > 20, "only {calls} calls");
        for call in 1..calls {
            for fault in [
                Fault::at_any(call),
                Fault::at_any(call).for_good(),
                Fault::at_any(call).after_effect().for_good(),
            ] {
                let store = Arc::new(Faulty::new(copy_of(&series.store)).with(fault));
                let access = Access::open(store.clone(), None).expect("the first call is sound");
                // Every failure is reported, except one that may happen: taking the claim back.
                let _outcome = prune(&access, &series.clock, &going, grace);
                let mended = store.mended();
                let access = Access::open(mended.clone(), None).expect("it opens");
                series.check(&access, &format!("{fault:?}"));
                let levels = freezer::catalog::Catalog::new(mended.clone())
                    .levels(&backup::name())
                    .expect("listed");
                assert!(
                    levels.len() >= 2 && levels[levels.len() - 2..] == series.levels()[4..],
                    "{fault:?}: {levels:?}"
                );
                // The next prune comes when the one that was cut off is known to be dead.
                series.pass(SignedDuration::from_hours(2));
                prune(&access, &series.clock, &going, SignedDuration::ZERO)
                    .unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
                series.check(&access, &format!("{fault:?}, pruned again"));
                assert_eq!(
                    unneeded_bytes(&access, &backup::name()).expect("listed"),
                    0,
                    "{fault:?}"
                );
                assert!(
                    objects(mended.as_ref(), "withdrawn/").is_empty(),
                    "{fault:?}"
                );
                if grace == SignedDuration::ZERO {
                    assert_eq!(
                        objects(mended.as_ref(), &data_prefix(&backup::name())),
                        data_when_done,
                        "{fault:?}"
                    );
                }
            }
        }
    }
}
