//! Measures how fast a store takes and gives objects. `bench/run SCALE stores` runs it beside the
//! clients of each store.
//!
//!     cargo bench --bench stores -- URL OBJECTS MIB
//!
//! Credentials come from the environment, as the program's own do. Prints one line for each figure:
//! its name, a tab, and the number.
#![allow(clippy::too_many_lines, reason = "a benchmark is one list of figures")]
#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

use freezer::store::location::{IfMissing, Location};
use freezer::store::{ObjectName, Store, StoreExt, StoreSettings};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How many objects are under way at once, as in a backup.
const JOBS: u64 = 2;
/// How many readers read parts at once, as in a mount.
const READERS: u64 = 16;
/// The length of a stored frame inside a large file, in bytes.
const PART_BYTES: u64 = 256 << 10;
const READS: u64 = 2000;
const READS_BY_ONE: u64 = 200;

fn name(number: u64) -> ObjectName {
    ObjectName::new(format!("data/{number:08}")).expect("a legal name")
}

/// Makes pieces such as a backup stores, of bytes that do not compress.
fn body(number: u64, bytes: u64) -> Vec<Vec<u8>> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let pieces = bytes / PART_BYTES;
    (0..pieces)
        .map(|_| {
            (0..PART_BYTES / 8)
                .flat_map(|_| word().to_le_bytes())
                .collect()
        })
        .collect()
}

/// Runs the work for each number below `count` on `threads` threads; returns the seconds it took.
fn at_once(threads: u64, count: u64, work: impl Fn(u64) + Sync) -> f64 {
    let next = AtomicU64::new(0);
    let began = freezer::platform::monotonic();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    work(number);
                }
            });
        }
    });
    began.elapsed().as_secs_f64()
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [url, objects, mib] = arguments.as_slice() else {
        println!("usage: cargo bench --bench stores -- URL OBJECTS MIB");
        return;
    };
    let (objects, mib): (u64, u64) = (
        objects.parse().expect("a number"),
        mib.parse().expect("a number"),
    );
    let settings = std::env::vars().fold(StoreSettings::default(), |settings, (name, value)| {
        settings.with_variable(&name, value)
    });
    let location = Location::parse(url.as_ref()).expect("a store");
    let store = location.open(IfMissing::Create, &settings).expect("opened");
    let bodies: Vec<_> = (0..JOBS).map(|number| body(number, mib << 20)).collect();
    let of = |number: u64| &bodies[usize::try_from(number % JOBS).expect("few")];
    let all = (objects * mib) as f64;
    let tell = |what: &str, value: f64| println!("{what}\t{value:.1}");

    let seconds = at_once(JOBS, objects, |number| {
        store.put(&name(number), of(number)).expect("stored")
    });
    tell("put, MiB/s", all / seconds);
    let seconds = at_once(JOBS, objects, |number| {
        let bytes = store.get(&name(number), u64::MAX).expect("read");
        assert_eq!(bytes.len() as u64, mib << 20);
    });
    tell("get, MiB/s", all / seconds);
    let part = |read: u64| {
        let offset = read.wrapping_mul(7919) % ((mib << 20) / PART_BYTES) * PART_BYTES;
        let bytes = store
            .get_range(
                &name(read % objects),
                offset,
                usize::try_from(PART_BYTES).expect("it fits"),
            )
            .expect("read");
        let piece = usize::try_from(offset / PART_BYTES).expect("few");
        assert!(
            bytes == of(read % objects)[piece],
            "other bytes than were stored"
        );
    };
    tell(
        "ranged reads of 256 KiB by one, a second",
        READS_BY_ONE as f64 / at_once(1, READS_BY_ONE, part),
    );
    tell(
        "ranged reads of 256 KiB by 16, a second",
        READS as f64 / at_once(READERS, READS, part),
    );
    for number in 0..objects {
        store.delete(&name(number)).expect("removed");
    }
}
