//! A prune while something else goes on.

use super::{Series, prune};
use crate::support::{backup, reading};
use freezer::backup::{Lock, run};
use freezer::catalog::{Access, LockError, Patience};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, Retention};
use freezer::store::Operation;
use freezer::store::faulty::Faulty;
use freezer::upkeep::{Going, PruneError};
use jiff::SignedDuration;
use std::sync::Arc;

#[test]
fn a_prune_removes_nothing_while_a_run_is_under_way_that_may_lean_on_it() {
    let series = Series::with_levels(4);
    let gated = Arc::new(Faulty::new(series.store.clone()));
    let access = Access::open(gated.clone(), None).expect("it opens");
    series.write("file 1", b"changed");
    let mut request = series.request();
    request.lock = Some(Lock {
        host: "here".to_owned(),
        patience: Patience::None,
    });
    let going = Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    });
    let before = series.levels();
    std::thread::scope(|scope| {
        // Its claim is stored, and then it stands still.
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
    use freezer::catalog::{Catalog, LockRequest, with_lock};
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
    let name = backup::name();
    let request = LockRequest {
        backup: &name,
        host: "here",
        action: "prune",
        patience: Patience::None,
    };
    let catalog = Catalog::new(series.access.store());
    let withdrawn: Result<_, PruneError> = with_lock(
        series.store.as_ref(),
        &catalog,
        request,
        &series.clock,
        &Cancel::new(),
        |_| true,
        |held| {
            freezer::upkeep::withdraw(
                &series.access,
                &mut plan,
                held,
                (now, SignedDuration::ZERO),
                &Cancel::new(),
            )
        },
    )
    .expect("locked");
    let pruned = withdrawn
        .expect("withdrawn")
        .remove(&series.access, &name, &Cancel::new())
        .expect("pruned");
    assert_eq!((pruned.points, pruned.freed_bytes), (0, 0));
    assert_eq!(series.levels(), left);
}
