//! Faults between a client and a real server: calls that are tried again succeed, and the others
//! fail whole, with a message.

use super::remote::{as_variables, fresh, open, s3_settings};
use crate::support::proxy::{Fault, Proxy};
use crate::support::torture::noise;
use crate::support::{backup, reading, scratch, servers};
use freezer::catalog::Access;
use freezer::model::Cancel;
use freezer::model::progress::Silent;
use freezer::platform::SystemClock;
use freezer::store::{Error, ErrorKind, ObjectName, Operation, Store, StoreExt, StoreSettings};
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Every fault that a second try mends.
fn passing() -> Vec<Fault> {
    vec![
        Fault::Answer(503, "retry-after: 0\r\n"),
        Fault::Answer(429, "retry-after: 1\r\n"),
        Fault::Answer(500, ""),
        Fault::Answer(408, ""),
        Fault::CutRequest(1000),
        Fault::CutAnswer(0),
        Fault::CutAnswer(40),
        Fault::LoseAnswer,
        Fault::Stall,
        Fault::SpoilBody,
        Fault::Delay(Duration::from_millis(100)),
        Fault::EndIn(10),
        Fault::WrongEtag,
    ]
}

/// The faults one after the other, a request in between left alone: as many of them as there are
/// struck when it has wrapped.
fn every_second(faults: Vec<Fault>) -> (impl Fn(u64, &str) -> Fault + Send + Sync, Arc<AtomicU64>) {
    let struck = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&struck);
    let plan = move |number: u64, _: &str| {
        if number % 2 == 1 {
            return Fault::Pass;
        }
        let at = usize::try_from(count.fetch_add(1, Ordering::SeqCst)).expect("few");
        faults[at % faults.len()].clone()
    };
    (plan, struck)
}

fn impatient(settings: StoreSettings) -> StoreSettings {
    settings.with_idle(Duration::from_secs(2))
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("legal")
}

fn text_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn everything_comes_right(store: &dyn Store) {
    let body = |number: u8| vec![vec![number; 3000], vec![number ^ 0x55; 2000]];
    for number in 0..12 {
        store
            .put(&name(&format!("data/{number}")), &body(number))
            .unwrap_or_else(|error| panic!("{}", text_of(&error)));
    }
    for number in 0..12 {
        let object = name(&format!("data/{number}"));
        assert_eq!(
            store
                .get(&object, 9999)
                .unwrap_or_else(|error| panic!("{}", text_of(&error))),
            body(number).concat()
        );
        let part = store
            .get_range(&object, 2990, 20)
            .unwrap_or_else(|error| panic!("{}", text_of(&error)));
        assert_eq!(part, [[number; 10], [number ^ 0x55; 10]].concat());
        let mut pieces = Vec::new();
        let mut take = |piece| {
            pieces.push(piece);
            true
        };
        store
            .get_pieces(&object, 2000, &[1000, 700, 800], &mut take)
            .unwrap_or_else(|error| panic!("{}", text_of(&error)));
        assert_eq!(
            pieces,
            [
                vec![number; 1000],
                vec![number ^ 0x55; 700],
                vec![number ^ 0x55; 800]
            ]
        );
    }
    for number in 0..6 {
        store
            .delete(&name(&format!("data/{number}")))
            .unwrap_or_else(|error| panic!("{}", text_of(&error)));
        let mut shown = 0;
        let mut count = |_| {
            shown += 1;
            true
        };
        store
            .list("data/", &mut count)
            .unwrap_or_else(|error| panic!("{}", text_of(&error)));
        assert_eq!(shown, 11 - number);
    }
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn every_passing_fault_is_mended_by_another_try_on_s3() {
    let server = servers::openstack().swift;
    let url = fresh("s3", "faults");
    open(&url, s3_settings(&server)).expect("made");
    let (plan, struck) = every_second(passing());
    let proxy = Proxy::new(&server["S3_ENDPOINT"], plan);
    let store = open(
        &url,
        impatient(s3_settings(&server)).with_option("endpoint", proxy.url()),
    )
    .expect("opened");
    everything_comes_right(&store);
    assert!(
        struck.load(Ordering::SeqCst) > 20,
        "each fault struck twice at least"
    );
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn every_passing_fault_is_mended_by_another_try_on_swift() {
    let server = servers::openstack().swift;
    let (plan, struck) = every_second([passing(), vec![Fault::Answer(498, "")]].concat());
    let proxy = Proxy::new(&server["SWIFT_URL"], plan);
    let settings = impatient(as_variables(&server, "ST_"))
        .with_variable("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
    let store = open(&fresh("swift", "faults"), settings).expect("opened");
    everything_comes_right(&store);
    assert!(
        struck.load(Ordering::SeqCst) > 20,
        "each fault struck twice at least"
    );
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_token_that_is_refused_in_the_middle_is_renewed_and_the_call_made_again() {
    let server = servers::openstack().swift;
    let plan = |_: u64, first: &str| {
        if first.contains("refused") {
            Fault::Answer(401, "")
        } else {
            Fault::Pass
        }
    };
    let once = AtomicU64::new(0);
    let proxy = Proxy::new(&server["SWIFT_URL"], move |number, first| {
        match plan(number, first) {
            Fault::Answer(..)
                if once.fetch_add(1, Ordering::SeqCst) > 0 && !first.contains("for-good") =>
            {
                Fault::Pass
            }
            fault => fault,
        }
    });
    let settings =
        as_variables(&server, "ST_").with_variable("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
    let store = open(&fresh("swift", "tokens"), settings).expect("opened");
    store.put(&name("a"), &vec![b"x".to_vec()]).expect("stored");
    store
        .put(&name("refused"), &vec![vec![7; 3 << 20]])
        .expect("with a new token");
    assert_eq!(
        store.get(&name("refused"), 4 << 20).expect("read"),
        vec![7; 3 << 20]
    );
    let logins = || {
        proxy
            .seen()
            .iter()
            .filter(|first| first.contains("/auth/v1.0"))
            .count()
    };
    assert_eq!(logins(), 2);
    let error = store
        .get(&name("refused-for-good"), 9)
        .expect_err("refused with every token");
    assert_eq!((error.kind(), logins()), (ErrorKind::Denied, 3));
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_store_that_stays_away_is_given_up_with_its_name_the_object_and_the_servers_words() {
    let server = servers::openstack().swift;
    let plan = |_: u64, first: &str| {
        if first.starts_with("PUT") {
            Fault::Answer(503, "")
        } else {
            Fault::Pass
        }
    };
    let proxy = Proxy::new(&server["S3_ENDPOINT"], plan);
    let url = fresh("s3", "faults");
    open(&url, s3_settings(&server)).expect("made");
    let settings = s3_settings(&server).with_option("endpoint", proxy.url());
    let location = freezer::store::location::Location::parse(url.as_ref()).expect("a store");
    let settings = settings.with_retry_for(Duration::from_secs(2));
    let store = location
        .open(freezer::store::location::IfMissing::Refuse, &settings)
        .expect("opened");
    let error = store
        .put(&name("data/x"), &vec![b"x".to_vec()])
        .expect_err("it stays away");
    let text = text_of(&error);
    assert_eq!(
        (error.kind(), error.verb()),
        (ErrorKind::Unavailable, Operation::Put)
    );
    assert!(
        text.starts_with(
            "could not store data/x: the store does not answer: gave up on s3://faults/"
        ),
        "{text}"
    );
    assert!(
        text.contains(" tries in ") && text.ends_with("the server answered 503: spoilt"),
        "{text}"
    );
    assert!(!text.contains(&server["S3_SECRET_KEY"]), "{text}");
    assert_eq!(
        store
            .get(&name("data/x"), 9)
            .expect_err("never stored")
            .kind(),
        ErrorKind::Missing
    );
}

/// Makes a tree, backs it up through a proxy that spoils every second request, and reads it
/// without.
fn a_backup_comes_right(through: Arc<dyn Store>, straight: Arc<dyn Store>) {
    let tree = scratch();
    for number in 0..30_u32 {
        let folder = tree.path().join(format!("d{}", number % 4));
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(
            folder.join(format!("f{number}")),
            noise(number.into(), 20_000),
        )
        .expect("written");
    }
    let access = backup::create_encrypted(through);
    let report = backup::back_up(&access, &[tree.path()], |request| {
        request.segment_bytes = 100_000
    });
    let access = Access::open(straight, Some(&backup::passphrase())).expect("opened");
    let whole = reading::whole(&access, &backup::name(), &report.manifest.id);
    assert_eq!(
        whole
            .iter()
            .filter(|(_, content)| content.len() == 20_000)
            .count(),
        30
    );
    for (entry, content) in whole.iter().filter(|(_, content)| !content.is_empty()) {
        let path = tree.path().join(entry.path.to_string());
        assert!(
            *content == std::fs::read(&path).expect("there"),
            "{}",
            path.display()
        );
    }
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_backup_through_faults_of_every_sort_comes_right_on_s3() {
    let server = servers::openstack().swift;
    let url = fresh("s3", "faults");
    let straight = open(&url, s3_settings(&server)).expect("made");
    let proxy = Proxy::new(&server["S3_ENDPOINT"], every_second(passing()).0);
    let through = open(
        &url,
        impatient(s3_settings(&server)).with_option("endpoint", proxy.url()),
    )
    .expect("opened");
    a_backup_comes_right(through, straight);
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_backup_through_faults_of_every_sort_comes_right_on_swift() {
    let server = servers::openstack().swift;
    let url = fresh("swift", "faults");
    let straight = open(&url, as_variables(&server, "ST_")).expect("made");
    let proxy = Proxy::new(
        &server["SWIFT_URL"],
        every_second([passing(), vec![Fault::Answer(401, "")]].concat()).0,
    );
    let settings = impatient(as_variables(&server, "ST_"))
        .with_variable("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
    a_backup_comes_right(open(&url, settings).expect("opened"), straight);
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_run_whose_store_goes_away_for_good_leaves_no_level_and_the_next_one_succeeds() {
    let server = servers::openstack().swift;
    let url = fresh("s3", "faults");
    let straight = open(&url, s3_settings(&server)).expect("made");
    let access = backup::create_plain(Arc::clone(&straight));
    let tree = scratch();
    std::fs::write(tree.path().join("f"), noise(1, 300_000)).expect("written");
    let puts = AtomicU64::new(0);
    let proxy = Proxy::new(&server["S3_ENDPOINT"], move |_, first| {
        match first.starts_with("PUT") {
            true if puts.fetch_add(1, Ordering::SeqCst) >= 1 => Fault::Answer(503, ""),
            _ => Fault::Pass,
        }
    });
    let location = freezer::store::location::Location::parse(url.as_ref()).expect("a store");
    let settings = s3_settings(&server)
        .with_option("endpoint", proxy.url())
        .with_retry_for(Duration::from_secs(1));
    let through = location
        .open(freezer::store::location::IfMissing::Refuse, &settings)
        .expect("opened");
    let spoilt = Access::open(through, None).expect("it reads");
    let mut request = backup::request(&[tree.path()]);
    request.segment_bytes = 50_000;
    freezer::backup::run(&request, &spoilt, &SystemClock, &Silent, &Cancel::new())
        .expect_err("the store went away");
    let catalog = freezer::catalog::Catalog::new(straight);
    assert!(
        catalog.levels(&backup::name()).expect("listed").is_empty(),
        "no level is listed"
    );
    let next = backup::back_up(&access, &[tree.path()], |_| {}).manifest.id;
    assert_eq!(
        catalog.levels(&backup::name()).expect("listed"),
        std::slice::from_ref(&next)
    );
    assert_eq!(
        reading::whole(&access, &backup::name(), &next)
            .iter()
            .map(|(_, content)| content.len())
            .sum::<usize>(),
        300_000
    );
}

/// Runs of one backup through a proxy, each of which ends right or fails with words; what is listed
/// then can be read, each level as its run saw it.
fn runs_through(straight: &Arc<dyn Store>, through: &Arc<dyn Store>) -> usize {
    let access = backup::create_encrypted(Arc::clone(straight));
    let spoilt = Access::open(Arc::clone(through), Some(&backup::passphrase())).expect("opened");
    let tree = scratch();
    let mut made = std::collections::BTreeMap::new();
    for round in 0..5_u8 {
        std::fs::write(tree.path().join("f"), noise(round.into(), 150_000)).expect("written");
        std::fs::write(tree.path().join(format!("f{round}")), [round; 100]).expect("written");
        let mut request = backup::request(&[tree.path()]);
        request.segment_bytes = 50_000;
        request.levels = freezer::backup::Levels::default();
        match freezer::backup::run(&request, &spoilt, &SystemClock, &Silent, &Cancel::new()) {
            Ok(report) => drop(made.insert(report.manifest.id, round)),
            Err(error) => assert!(
                error.source().is_some() || !error.to_string().is_empty(),
                "{error:?}"
            ),
        }
    }
    let catalog = freezer::catalog::Catalog::new(Arc::clone(straight));
    let levels = catalog.levels(&backup::name()).expect("listed");
    for (level, round) in &made {
        assert!(
            levels.contains(level),
            "the run of round {round} said that it was done"
        );
    }
    for level in &levels {
        let whole = reading::whole(&access, &backup::name(), level);
        let content = whole
            .iter()
            .find(|(entry, _)| entry.path.to_string() == "f")
            .map(|(_, content)| content)
            .expect("listed");
        match made.get(level) {
            Some(round) => assert!(*content == noise((*round).into(), 150_000), "round {round}"),
            None => assert_eq!(content.len(), 150_000, "a run that failed at its very end"),
        }
    }
    made.len()
}

fn is_listing(first: &str) -> bool {
    first.starts_with("GET") && first.contains("prefix=")
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_listing_that_lags_costs_no_level_that_is_listed() {
    let server = servers::openstack().swift;
    // Of everything, and of all but the claims by which runs see each other.
    for (lags, least) in [("", 0), ("locks", 4)] {
        let plan = move |_: u64, first: &str| {
            let spared = !lags.is_empty() && first.contains(lags);
            if is_listing(first) && !spared {
                Fault::Lag
            } else {
                Fault::Pass
            }
        };
        let url = fresh("s3", "lags");
        let straight = open(&url, s3_settings(&server)).expect("made");
        let proxy = Proxy::new(&server["S3_ENDPOINT"], plan);
        let through = open(
            &url,
            s3_settings(&server).with_option("endpoint", proxy.url()),
        )
        .expect("opened");
        let done = runs_through(&straight, &through);
        assert!(done >= least, "s3, all but {lags:?}: {done} runs");

        let url = fresh("swift", "lags");
        let straight = open(&url, as_variables(&server, "ST_")).expect("made");
        let proxy = Proxy::new(&server["SWIFT_URL"], plan);
        let settings = as_variables(&server, "ST_")
            .with_variable("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
        let done = runs_through(&straight, &open(&url, settings).expect("opened"));
        assert!(done >= least, "swift, all but {lags:?}: {done} runs");
    }
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn answers_that_are_shorter_or_other_than_what_was_stored_fail_a_backup_whole_or_do_not_matter() {
    let server = servers::openstack().swift;
    for fault in [Fault::Shorten(3), Fault::SpoilAnswer] {
        let struck = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&struck);
        let spoils = fault.clone();
        // Of what a run reads: the manifest and index of the level before, and its listings.
        let plan = move |_: u64, first: &str| {
            let strikes = first.starts_with("GET")
                && first.contains("data")
                && counter.fetch_add(1, Ordering::SeqCst).is_multiple_of(3);
            if strikes { spoils.clone() } else { Fault::Pass }
        };
        let url = fresh("s3", "short");
        let straight = open(&url, s3_settings(&server)).expect("made");
        let proxy = Proxy::new(&server["S3_ENDPOINT"], plan);
        let through = open(
            &url,
            impatient(s3_settings(&server)).with_option("endpoint", proxy.url()),
        )
        .expect("opened");
        runs_through(&straight, &through);
        assert!(struck.load(Ordering::SeqCst) > 3, "{fault:?}");
    }
}
