//! What the next run takes from one that was cut off, and what it stores again.

use super::{Bench, all_bytes, own_bytes};
use crate::crash::{build, copy_of, passphrases};
use crate::support::torture;
use freezer::backup::{BlockOptions, CheckpointRule, Engine, SameContent};
use freezer::format::frame::Compression;
use freezer::store::faulty::Faulty;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_run_cut_off_at_any_call_is_gone_on_with_and_stores_only_the_rest() {
    for passphrase in passphrases() {
        let bench = Bench::new(passphrase);
        build(bench.tree());
        bench.later();
        let mut request = bench.request();
        request.checkpoints = Some(CheckpointRule {
            least_bytes: 8_000,
            interval: Duration::ZERO,
        });
        let (calls, puts) = bench.calls(&bench.store, &request);
        assert!(puts > 35, "{puts} puts");
        let (mut resumed, mut most) = (0, 0);
        for call in 0..calls {
            let store = Arc::new(copy_of(&bench.store));
            let cut = Arc::new(Faulty::cut_at(store.clone(), call));
            if bench.run_in(cut, &request).is_ok() {
                // These calls come after the level is there, or do not matter to it.
                continue;
            }
            let report = bench.finish(&store);
            bench.check(&store, &report, &format!("cut at call {call}"));
            let access = bench.access(store);
            if report.manifest.level == 0 {
                let (own, all) = (
                    own_bytes(&access, &report.manifest),
                    all_bytes(&access, &report.manifest),
                );
                assert_eq!(
                    own + report.taken.bytes,
                    all,
                    "cut at call {call}: what was taken is not stored again"
                );
            }
            resumed += u64::from(report.taken.files > 0);
            most = most.max(report.taken.files);
        }
        assert!(
            resumed > calls / 2,
            "only {resumed} of {calls} runs took anything"
        );
        assert!(most > 90, "only {most} files were ever taken");
    }
}

#[test]
fn the_same_for_a_later_level() {
    let bench = Bench::with_tree();
    bench.later();
    bench.finish(&bench.store);
    for number in 0..12 {
        bench.write(
            &format!("names/new {number}"),
            &torture::noise(number, 20_000),
        );
    }
    bench.write("sparse", &torture::noise(77, 30_000));
    fs::remove_dir_all(bench.tree().join("names/deep")).expect("removed");
    bench.later();
    let request = bench.request();
    let (calls, _) = bench.calls(&bench.store, &request);
    let mut most = 0;
    for call in 0..calls {
        let store = Arc::new(copy_of(&bench.store));
        if bench
            .run_in(Arc::new(Faulty::cut_at(store.clone(), call)), &request)
            .is_ok()
        {
            continue;
        }
        let report = bench.finish(&store);
        bench.check(&store, &report, &format!("cut at call {call}"));
        most = most.max(report.taken.bytes);
        if report.manifest.level == 1 {
            let counts = report.manifest.counts;
            assert_eq!(
                (counts.new, counts.removed),
                (12, 2),
                "cut at call {call}: {counts:?}"
            );
        }
    }
    assert_eq!(
        most,
        12 * 20_000 + 30_000,
        "all that is new was taken at last"
    );
}

#[test]
fn what_goes_on_may_be_cut_off_too_anywhere() {
    let bench = Bench::with_tree();
    bench.later();
    let mut request = bench.request();
    request.checkpoints = Some(CheckpointRule {
        least_bytes: 20_000,
        interval: Duration::ZERO,
    });
    let (_, puts) = bench.calls(&bench.store, &request);
    for first in [puts / 3, puts - 3] {
        let begun = Arc::new(copy_of(&bench.store));
        bench.cut_at_put(&begun, first, &request);
        let (calls, _) = bench.calls(&begun, &request);
        for call in 0..calls {
            let store = Arc::new(copy_of(&begun));
            let second = bench.run_in(Arc::new(Faulty::cut_at(store.clone(), call)), &request);
            let third = bench.finish(&store);
            bench.check(
                &store,
                &third,
                &format!("cut at put {first}, then at call {call}"),
            );
            if second.is_err() && third.manifest.level == 0 {
                assert!(
                    third.taken.files >= 1,
                    "cut at put {first}, then at call {call}: {:?}",
                    third.taken
                );
            }
        }
    }
}

#[test]
fn what_changed_in_between_is_stored_again_and_what_was_renamed_is_not() {
    let bench = Bench::new(None);
    let names = ["changed", "deleted", "kept", "linked", "mode", "renamed"];
    for (name, number) in names.into_iter().zip(0..) {
        bench.write(name, &torture::noise(number, 10_000));
    }
    bench.write("zz", &torture::noise(99, 10_000));
    let request = bench.request();
    let (_, puts) = bench.calls(&bench.store, &request);
    // By the system's own clock, as the ctime shows that something was renamed.
    bench.settle();
    bench.cut_at_put(&bench.store, puts - 2, &request);
    let at = |name: &str| bench.tree().join(name);
    bench.write("changed", &torture::noise(50, 10_000));
    fs::remove_file(at("deleted")).expect("removed");
    fs::hard_link(at("linked"), at("linked too")).expect("linked");
    fs::rename(at("renamed"), at("another name")).expect("renamed");
    fs::set_permissions(
        at("mode"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("set");
    bench.settle();
    let report = bench.finish(&bench.store);
    bench.check(&bench.store, &report, "after changes");
    let own = own_bytes(&bench.access(bench.store.clone()), &report.manifest);
    assert_eq!(own, 10_000, "what changed, and nothing else");
    assert_eq!(report.taken.bytes, 50_000);
    assert_eq!(
        (
            report.manifest.level,
            report.manifest.counts.new,
            report.manifest.counts.removed
        ),
        (0, 8, 0)
    );
}

#[test]
fn other_settings_do_not_matter_but_whole_members_do() {
    let bench = Bench::with_tree();
    bench.later();
    let (_, puts) = bench.calls(&bench.store, &bench.request());
    for change in 0..3 {
        let store = Arc::new(copy_of(&bench.store));
        let mut first = bench.request();
        (first.compression, first.compression_level) = (Compression::Gzip, 1);
        first.levels.incremental = false;
        bench.cut_at_put(&store, puts / 2, &first);
        let mut second = bench.request();
        match change {
            0 => second.segment_bytes = 100_000,
            1 => {
                second.engine = Engine::Rsync(BlockOptions {
                    threshold_bytes: 1000,
                    least_block_bytes: 512,
                })
            }
            _ => second.levels.same_content = SameContent::Store,
        }
        let report = bench.run_in(store.clone(), &second).expect("a backup");
        bench.check(&store, &report, &format!("change {change}"));
        assert_eq!(
            report.taken.files > 0,
            change < 2,
            "change {change}: {:?}",
            report.taken
        );
    }
}

#[test]
fn blocks_of_a_file_that_changed_since_are_found_in_what_was_cut_off() {
    let bench = Bench::new(None);
    let mut image = torture::noise(1, 400_000);
    bench.write("image", &image);
    bench.write("zz", &torture::noise(2, 40_000));
    let mut request = bench.request();
    request.engine = Engine::Rsync(BlockOptions {
        threshold_bytes: 100_000,
        least_block_bytes: 4096,
    });
    let (_, puts) = bench.calls(&bench.store, &request);
    bench.cut_at_put(&bench.store, puts - 2, &request);
    image[200_000..200_100].fill(7);
    bench.write("image", &image);
    let report = bench
        .run_in(bench.store.clone(), &request)
        .expect("a backup");
    bench.check(&bench.store, &report, "a changed image");
    let own = own_bytes(&bench.access(bench.store.clone()), &report.manifest);
    assert!(own <= 2 * 4096, "{own} bytes were stored again");
    // A level on top of that finds them too.
    image[300_000..300_100].fill(8);
    bench.write("image", &image);
    let next = bench
        .run_in(bench.store.clone(), &request)
        .expect("a backup");
    bench.check(&bench.store, &next, "the next level");
    assert_eq!((next.manifest.level, next.taken.files), (1, 0));
    let own = own_bytes(&bench.access(bench.store.clone()), &next.manifest);
    assert!(own <= 2 * 4096, "{own} bytes were stored again");
}
