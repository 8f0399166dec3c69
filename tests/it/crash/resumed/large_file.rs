//! Runs that are cut off or stopped in the midst of a large file.

use super::{Bench, own_bytes};
use crate::crash::copy_of;
use crate::support::torture;
use freezer::backup::{BackupError, BlockOptions, CheckpointRule, Engine, run};
use freezer::model::Cancel;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_run_that_is_told_to_stop_leaves_a_checkpoint_in_the_midst_of_a_file() {
    struct StopAt(Cancel, std::sync::atomic::AtomicU64);
    impl freezer::model::Progress for StopAt {
        fn stage(&self, _: &'static str) {}
        fn expect_total(&self, _: u64, _: u64) {}
        fn trouble(&self, trouble: freezer::model::Trouble) {
            panic!("{trouble}");
        }
        fn advance(&self, _: u64, bytes: u64) {
            if self
                .1
                .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed)
                + bytes
                > 3_000_000
            {
                self.0.request();
            }
        }
    }
    let bench = Bench::new(None);
    bench.write("a", &torture::noise(1, 500_000));
    bench.write("b", &torture::noise(2, 500_000));
    bench.write("c", &torture::noise(3, 12_000_000));
    let mut request = bench.request();
    // No checkpoint would be due for an hour.
    request.checkpoints = Some(CheckpointRule {
        least_bytes: 900_000,
        interval: Duration::from_secs(3600),
    });
    let cancel = Cancel::new();
    let stopped = run(
        &request,
        &bench.access(bench.store.clone()),
        &bench.clock,
        &StopAt(cancel.clone(), 0.into()),
        &cancel,
    );
    assert!(
        matches!(stopped, Err(BackupError::Interrupted(_))),
        "{stopped:?}"
    );
    bench.later();
    let report = bench.finish(&bench.store);
    bench.check(&bench.store, &report, "stopped");
    let access = bench.access(bench.store.clone());
    assert_eq!(report.taken.files, 3);
    assert!(report.taken.bytes > 2_000_000, "{:?}", report.taken);
    assert_eq!(
        own_bytes(&access, &report.manifest) + report.taken.bytes,
        13_000_000
    );
}

#[test]
fn a_single_large_file_is_gone_on_with_from_where_it_was_cut_off_again_and_again() {
    use std::os::unix::fs::FileExt;
    for engine in [
        Engine::Tar,
        Engine::Rsync(BlockOptions {
            threshold_bytes: 1000,
            least_block_bytes: 4096,
        }),
    ] {
        let bench = Bench::new(None);
        let image = fs::File::create(bench.tree().join("image")).expect("made");
        image
            .write_all_at(&torture::noise(1, 6_000_000), 5_000)
            .expect("written");
        image
            .write_all_at(&torture::noise(2, 6_000_000), 9_000_000)
            .expect("written");
        image.set_len(16_000_000).expect("long");
        fs::hard_link(bench.tree().join("image"), bench.tree().join("linked")).expect("linked");
        bench.later();
        let mut request = bench.request();
        request.engine = engine;
        request.checkpoints = Some(CheckpointRule {
            least_bytes: 500_000,
            interval: Duration::ZERO,
        });
        let (_, puts) = bench.calls(&bench.store, &request);
        for first in [puts / 4, puts / 2, puts * 3 / 4] {
            let store = Arc::new(copy_of(&bench.store));
            bench.cut_at_put(&store, first, &request);
            bench.cut_at_put(&store, puts / 6, &request);
            let report = bench.run_in(store.clone(), &request).expect("a backup");
            bench.check(&store, &report, &format!("cut at put {first}"));
            let access = bench.access(store.clone());
            let own = own_bytes(&access, &report.manifest);
            let data = 12_000_000..=12_000_000 + 5 * 4096;
            assert!(
                data.contains(&(own + report.taken.bytes)),
                "{own} bytes and {:?}",
                report.taken
            );
            let both = (first + puts / 6) as f64 / puts as f64 * 12e6;
            assert!(
                report.taken.bytes as f64 > both - 3e6,
                "cut at put {first} of {puts}: {:?}",
                report.taken
            );
            // A level on top of it leans on all three.
            image.write_all_at(&[7; 100], 10_000_000).expect("written");
            bench.later();
            let next = bench.run_in(store.clone(), &request).expect("a backup");
            bench.check(&store, &next, &format!("after a cut at put {first}"));
            assert_eq!(next.manifest.level, 1);
        }
        // A file that changed since is not taken from the run that was cut off.
        let store = Arc::new(copy_of(&bench.store));
        bench.cut_at_put(&store, puts / 2, &request);
        image.write_all_at(&[8; 100], 20_000).expect("written");
        bench.later();
        let report = bench.run_in(store.clone(), &request).expect("a backup");
        bench.check(&store, &report, "changed");
        assert_eq!(report.taken.bytes, 0);
    }
}
