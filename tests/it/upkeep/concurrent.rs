//! A prune while a run or another prune is at work.

use super::{Series, locked, prune};
use crate::support::{backup, reading};
use freezer::backup::{BackupLock, run};
use freezer::catalog::{Access, LockError, Patience};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, Retention};
use freezer::store::Operation;
use freezer::store::faulty::Faulty;
use freezer::upkeep::{Going, Grace};
use jiff::SignedDuration;
use std::sync::Arc;

#[test]
fn a_prune_removes_nothing_while_a_run_is_under_way_that_may_lean_on_it() {
    let series = Series::with_levels(4);
    let gated = Arc::new(Faulty::new(series.store.clone()));
    let access = Access::open(gated.clone(), None).expect("it opens");
    series.write("file 1", b"changed");
    let mut request = series.request();
    request.lock = Some(BackupLock {
        host: "here".to_owned(),
        patience: Patience::None,
    });
    let going = Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    });
    let before = series.levels();
    std::thread::scope(|scope| {
        // The run has stored its claim, and stands still now.
        let gate = gated.gate(Operation::Get);
        let running =
            scope.spawn(|| run(&request, &access, &series.clock, &Silent, &Cancel::new()));
        gate.wait_for(1);
        let refused = prune(&series.access, &series.clock, &going, SignedDuration::ZERO)
            .expect_err("a run is under way");
        assert!(
            matches!(refused.downcast_ref(), Some(LockError::Held { .. })),
            "{refused:?}"
        );
        assert_eq!(series.levels(), before, "nothing has gone");
        gate.open();
        let level = running
            .join()
            .expect("no panic")
            .expect("a backup")
            .manifest
            .id;
        prune(&series.access, &series.clock, &going, SignedDuration::ZERO).expect("now it may");
        assert_eq!(series.levels(), std::slice::from_ref(&level));
        reading::whole(&series.access, &backup::name(), &level);
    });
}

#[test]
fn a_plan_that_another_prune_overtook_removes_no_more_than_was_said() {
    use freezer::platform::Clock;
    let series = Series::with_levels(5);
    let going = Going::Unprotected(Retention {
        last: 2,
        ..Retention::default()
    });
    let now = series.clock.now();
    let mut plan = freezer::upkeep::plan(
        &series.access,
        &backup::name(),
        &going,
        now,
        &jiff::tz::TimeZone::UTC,
    )
    .expect("a plan");
    series.prune(&going, SignedDuration::ZERO).expect("pruned");
    let left = series.levels();
    let grace = Grace {
        now,
        length: SignedDuration::ZERO,
    };
    let withdrawn = locked(&series.access, &series.clock, "prune", |held| {
        freezer::upkeep::withdraw(&series.access, &mut plan, held, grace, &Cancel::new())
    });
    let pruned = withdrawn
        .expect("locked")
        .expect("withdrawn")
        .remove(&series.access, &backup::name(), &Cancel::new())
        .expect("pruned");
    assert_eq!((pruned.points, pruned.freed_bytes), (0, 0));
    assert_eq!(series.levels(), left);
}
