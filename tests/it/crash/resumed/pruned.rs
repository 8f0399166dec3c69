//! A prune between a run that was cut off and the one that goes on with it.

use super::{Bench, objects};
use crate::support::{backup, reading, torture};
use freezer::catalog::{LockRequest, Patience, with_lock};
use freezer::model::{Cancel, Retention};
use freezer::platform::Clock;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

#[test]
fn a_prune_in_between_keeps_what_can_be_gone_on_with() {
    use freezer::upkeep::{Going, Grace, plan, withdraw};
    let bench = Bench::with_tree();
    bench.later();
    bench.finish(&bench.store);
    bench.write("big", &torture::noise(5, 300_000));
    bench.write("another", &torture::noise(6, 300_000));
    bench.finish(&bench.store);
    bench.write("another", &torture::noise(7, 300_000));
    bench.write("zz", &torture::noise(8, 300_000));
    let request = bench.request();
    let (_, puts) = bench.calls(&bench.store, &request);
    bench.cut_at_put(&bench.store, puts - 2, &request);

    let (access, name, now) = (
        bench.access(bench.store.clone()),
        backup::name(),
        bench.clock.now(),
    );
    let going = Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    });
    let mut plan = plan(&access, &name, &going, now, &TimeZone::UTC).expect("a plan");
    let lock = LockRequest {
        backup: &name,
        host: "here",
        action: "prune",
        patience: Patience::None,
    };
    let condemned = with_lock(
        &access,
        lock,
        &bench.clock,
        &Cancel::new(),
        Result::is_ok,
        |held| {
            withdraw(
                &access,
                &mut plan,
                held,
                Grace {
                    now,
                    length: SignedDuration::ZERO,
                },
                &Cancel::new(),
            )
        },
    );
    let pruned = condemned
        .expect("locked")
        .expect("planned")
        .remove(&access, &name, &Cancel::new())
        .expect("pruned");
    assert_eq!((pruned.points, bench.levels().len()), (1, 1));

    let report = bench.finish(&bench.store);
    assert!(report.taken.bytes >= 300_000, "{:?}", report.taken);
    let whole = reading::whole(&access, &name, &report.manifest.id);
    assert!(
        whole
            .iter()
            .any(|(entry, content)| entry.path.to_string() == "zz"
                && *content == torture::noise(8, 300_000))
    );
    assert!(objects(bench.store.as_ref(), "locks/").is_empty());
}
