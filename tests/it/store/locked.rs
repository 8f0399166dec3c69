//! S3 with object lock: what is stored stays until its time, whoever wants to remove it, and no
//! point in time is ever half removed.
#![expect(clippy::disallowed_methods, reason = "runs programs as users do")]

use super::place::{Place, home_with_key};
use super::remote::{open, s3_settings};
use crate::support::servers::{self, Server};
use crate::support::torture::noise;
use freezer::catalog::names;
use freezer::model::{Cancel, LevelId};
use freezer::platform::pause;
use freezer::store::{ErrorKind, LockMode, ObjectInfo, ObjectLock, ObjectName, Store, StoreExt};
use jiff::{SignedDuration, Timestamp};
use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn listed(store: &dyn Store, prefix: &str) -> Vec<ObjectName> {
    let mut objects = Vec::new();
    let mut each = |object: ObjectInfo| {
        objects.push(object.name);
        true
    };
    store.list(prefix, &mut each).expect("listed");
    objects
}

fn back_up(place: &Place, home: &Path, round: u64, lock: &str) {
    fs::create_dir_all(home.join("tree")).expect("made");
    fs::write(home.join("tree/same"), noise(1, 300_000)).expect("written");
    fs::write(home.join("tree/file"), noise(10 + round, 50_000)).expect("written");
    place.succeeds(
        home,
        &[
            "backup",
            "tree",
            "--hostname",
            "here",
            "-q",
            "--object-lock",
            lock,
        ],
    );
}

/// Returns the names of all objects with a version on the server, hidden ones included.
fn versions(server: &Server, place: &Place) -> Vec<String> {
    let script = "
import boto3, sys
c = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2],
                 aws_secret_access_key=sys.argv[3], region_name='us-east-1')
print('\\n'.join(v['Key'] for v in c.list_object_versions(Bucket=sys.argv[4]).get('Versions', [])))";
    asked(server, place, script)
        .lines()
        .map(|key| key.strip_prefix("st/").expect("the prefix").to_owned())
        .collect()
}

/// Runs a script that asks the server by other means.
fn asked(server: &Server, place: &Place, script: &str) -> String {
    let bucket = place
        .url
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .expect("its form")
        .0;
    let mut python = Command::new(&server["MOTO_PYTHON"]);
    python.args([
        "-c",
        script,
        &server["S3_ENDPOINT"],
        &server["S3_ACCESS_KEY"],
        &server["S3_SECRET_KEY"],
        bucket,
    ]);
    let output = python.output().expect("python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Asks the server by other means to remove every version of every object. Returns how many there
/// were and how many it refused.
fn removed_by_force(server: &Server, place: &Place) -> (usize, usize) {
    let script = "
import boto3, sys
c = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2],
                 aws_secret_access_key=sys.argv[3], region_name='us-east-1')
versions = c.list_object_versions(Bucket=sys.argv[4]).get('Versions', [])
refused = 0
for v in versions:
    try: c.delete_object(Bucket=sys.argv[4], Key=v['Key'], VersionId=v['VersionId'])
    except c.exceptions.ClientError: refused += 1
print(len(versions), refused)";
    let said = asked(server, place, script);
    let numbers: Vec<usize> = said
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect();
    assert_eq!(numbers.len(), 2, "{said}");
    (numbers[0], numbers[1])
}

#[test]
#[ignore = "needs moto, which tests/env/moto.sh installs and starts"]
fn what_is_locked_stays_whole_and_check_and_prune_say_until_when() {
    let server = servers::s3_with_object_lock();
    let place = Place::s3_with_object_lock(&server);
    let home = home_with_key();
    let home = home.path();
    for round in 0..3 {
        back_up(
            &place,
            home,
            round,
            if round == 0 { "1h" } else { "compliance:2d" },
        );
    }
    let (said, code) = place.says(home, &["check"]);
    assert_eq!(code, Some(0), "{said}");
    // All of them lean on the first, whose locks end first.
    assert!(
        said.contains("here/tree: 3 points in time are locked until "),
        "{said}"
    );
    let (json, _) = place.says(home, &["check", "--json"]);
    assert_eq!(
        json.lines()
            .filter(|line| line.contains(r#""remark":"locked""#))
            .count(),
        3,
        "{json}"
    );

    let before = listed(place.store.as_ref(), "data/");
    let (said, code) = place.says(
        home,
        &[
            "prune",
            "here/tree",
            "--keep-last",
            "1",
            "--grace",
            "0",
            "--yes",
        ],
    );
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("locked until ").count(), 2, "{said}");
    assert!(!said.contains("goes"), "{said}");
    assert_eq!(
        (
            place.count("manifests/"),
            &listed(place.store.as_ref(), "data/")
        ),
        (3, &before)
    );
    let named = format!(
        "here/tree@{}",
        listed(place.store.as_ref(), "manifests/")[0]
            .as_str()
            .rsplit_once('/')
            .expect("its form")
            .1
    );
    let (said, _) = place.says(home, &["prune", &named, "--grace", "0", "--yes"]);
    assert!(
        said.contains("locked until ") && place.count("manifests/") == 3,
        "{said}"
    );

    for object in [&listed(place.store.as_ref(), "manifests/")[0], &before[0]] {
        let error = place.store.delete(object).expect_err("it is locked");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(
            error
                .source()
                .expect("a cause")
                .to_string()
                .starts_with("it is locked until 20"),
            "{error:?}"
        );
        assert!(
            place
                .store
                .held_until(object)
                .expect("asked")
                .is_some_and(|until| until > Timestamp::now()),
            "{object}"
        );
    }
    let (versions, refused) = removed_by_force(&server, &place);
    assert!(
        refused >= before.len() + 3 && refused <= versions,
        "{refused} of {versions} were refused"
    );
    place.succeeds(home, &["check", "--read-data", "-q"]);
    place.succeeds(home, &["restore", "here/tree", "--target", "back", "-q"]);
    assert!(fs::read(home.join("back/same")).expect("there") == noise(1, 300_000));
}

#[test]
#[ignore = "needs moto, which tests/env/moto.sh installs and starts"]
fn when_the_time_is_over_a_prune_removes_it_for_good() {
    let server = servers::s3_with_object_lock();
    let place = Place::s3_with_object_lock(&server);
    let home = home_with_key();
    let home = home.path();
    for round in 0..2 {
        back_up(&place, home, round, "4s");
    }
    // The leftovers of a run that was cut off, locked for longer.
    let lock = ObjectLock {
        mode: LockMode::Governance,
        until: Timestamp::now() + SignedDuration::from_hours(1),
        holds: names::is_lasting,
    };
    let locking = open(&place.url, s3_settings(&server).with_object_lock(lock)).expect("opened");
    // Names of hosts and backups are hidden: it lies beside the data of the others.
    let data = listed(place.store.as_ref(), "data/");
    let of_backup: Vec<&str> = data[0].as_str().split('/').take(3).collect();
    let level = LevelId::new(Timestamp::now(), 7);
    let cut_off = format!("{}/{level}/segments/00000000", of_backup.join("/"));
    let cut_off = ObjectName::new(cut_off).expect("legal");
    locking.put(&cut_off, &vec![vec![1; 1000]]).expect("stored");

    for object in ["manifests/", "data/"]
        .iter()
        .flat_map(|prefix| listed(place.store.as_ref(), prefix))
        .filter(|object| *object != cut_off)
    {
        while place.store.held_until(&object).expect("asked").is_some() {
            pause(Duration::from_millis(100), &Cancel::new());
        }
    }
    let (said, code) = place.says(
        home,
        &[
            "prune",
            "here/tree",
            "--keep-last",
            "1",
            "--grace",
            "0",
            "--yes",
        ],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("removed 1 point in time")
            && said.contains("1000 B that nothing needs are locked; a prune after "),
        "{said}"
    );
    assert_eq!(place.count("manifests/"), 1);
    // No claim says what the leftovers are, so a check names them; all else is sound.
    let (said, code) = place.says(home, &["check", "--read-data"]);
    assert!(code == Some(1) && said.contains(level.as_str()), "{said}");
    place.succeeds(home, &["restore", "here/tree", "--target", "back", "-q"]);
    // Removed objects have no version left: a hidden one would take its space for ever.
    let kept = listed(place.store.as_ref(), "");
    let hidden: Vec<String> = versions(&server, &place)
        .into_iter()
        .filter(|key| !kept.iter().any(|kept| kept.as_str() == key))
        .collect();
    assert!(
        hidden
            .iter()
            .all(|key| key.starts_with("locks/") || key.contains("/checkpoints/")),
        "{hidden:?}"
    );
}

#[test]
#[ignore = "needs moto, which tests/env/moto.sh installs and starts"]
fn a_bucket_without_object_lock_is_refused_by_a_run_that_is_to_lock() {
    let server = servers::s3_with_object_lock();
    let place = Place::s3_with_object_lock(&server);
    let home = home_with_key();
    let home = home.path();
    fs::create_dir(home.join("tree")).expect("made");
    place.succeeds(home, &["backup", "tree", "--hostname", "here", "-q"]);
    let (said, code) = place.says(
        home,
        &[
            "backup",
            "tree",
            "--hostname",
            "here",
            "-q",
            "--object-lock",
            "1d",
        ],
    );
    assert!(
        code == Some(1) && said.contains("the bucket has no object lock"),
        "{code:?} {said}"
    );
}
