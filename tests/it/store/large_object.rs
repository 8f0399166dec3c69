//! A level on Swift is a large object too, which the usual client downloads and usual tools read.
#![expect(clippy::disallowed_methods, reason = "these tests run programs")]

use super::remote::{as_variables, fresh, open};
use crate::support::torture::noise;
use crate::support::{backup, scratch, servers};
use freezer::store::{ObjectName, Store};
use std::process::{Command, Output};

fn run(program: &str, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    change(&mut command);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Returns the report of the `swift` client about an object, and the bytes that it downloads.
fn downloaded(login: &servers::Server, container: &str, object: &str) -> (String, Vec<u8>) {
    let with_login = |command: &mut Command| {
        command.envs(login).env("PYTHONWARNINGS", "ignore");
    };
    let stat = run("/usr/bin/swift", &["stat", container, object], with_login).stdout;
    let body = run(
        "/usr/bin/swift",
        &["download", container, object, "-o", "-"],
        with_login,
    )
    .stdout;
    (
        String::from_utf8(stat).expect("text").to_ascii_lowercase(),
        body,
    )
}

#[test]
#[ignore = "needs Swift and Keystone, which tests/env installs and starts"]
fn a_level_is_one_static_large_object_that_stock_tools_unpack() {
    let openstack = servers::openstack();
    let room = scratch();
    let tree = room.path().join("tree");
    std::fs::create_dir(&tree).expect("made");
    // Inside large files frames are short: several segments.
    std::fs::write(tree.join("large"), noise(1, 9 << 20)).expect("written");
    std::fs::write(tree.join("small"), noise(2, 30_000)).expect("written");
    let url = fresh("swift", "large-objects");
    let store = open(&url, as_variables(&openstack.keystone, "OS_")).expect("opened");
    let report = backup::back_up(&backup::create_plain(store), &[&tree], |request| {
        request.segment_bytes = 1 << 20
    });
    let prefix = url
        .strip_prefix("swift://large-objects/")
        .expect("its form");
    let object = format!(
        "{prefix}/data/host/tree/{}/stream.tar.zst",
        report.manifest.id
    );
    let (stat, body) = downloaded(&openstack.keystone, "large-objects", &object);
    assert!(
        report.manifest.levels[0].segments > 5,
        "{:?}",
        report.manifest.levels[0]
    );
    assert!(stat.contains("static-large-object: true"), "{stat}");
    let (archive, unpacked) = (room.path().join("archive"), room.path().join("unpacked"));
    std::fs::write(&archive, body).expect("written");
    std::fs::create_dir(&unpacked).expect("made");
    let script = format!(
        "zstd -dcq '{}' | tar -x -C '{}'",
        archive.display(),
        unpacked.display()
    );
    run("bash", &["-o", "pipefail", "-c", &script], |_| {});
    run(
        "diff",
        &[
            "-r",
            tree.to_str().expect("text"),
            unpacked.to_str().expect("text"),
        ],
        |_| {},
    );
}

#[test]
#[ignore = "needs Swift and Keystone, which tests/env installs and starts"]
fn more_parts_than_a_static_large_object_may_have_make_a_dynamic_one() {
    let openstack = servers::openstack();
    let url = fresh("swift", "large-objects");
    let store = open(&url, as_variables(&openstack.keystone, "OS_")).expect("opened");
    let name = |number: u32| ObjectName::new(format!("data/segments/{number:08}")).expect("legal");
    let body = |number: u32| format!("{number}, ").into_bytes();
    std::thread::scope(|scope| {
        for part in 0..8 {
            let store = &store;
            scope.spawn(move || {
                (part..1001).step_by(8).for_each(|number| {
                    store
                        .put(&name(number), &vec![body(number)])
                        .expect("stored")
                })
            });
        }
    });
    let whole = ObjectName::new("data/stream").expect("legal");
    let join = store.powers().join.expect("Swift can");
    join(&whole, "data/segments/", 1001).expect("joined");
    let prefix = url
        .strip_prefix("swift://large-objects/")
        .expect("its form");
    let (stat, joined) = downloaded(
        &openstack.keystone,
        "large-objects",
        &format!("{prefix}/data/stream"),
    );
    assert!(stat.contains("manifest: large-objects/"), "{stat}");
    assert!(
        joined == (0..1001).flat_map(body).collect::<Vec<_>>(),
        "{} bytes",
        joined.len()
    );
}

#[test]
#[ignore = "needs Swift and Keystone, which tests/env installs and starts"]
fn segments_that_the_server_cannot_take_are_refused_before_anything_is_read() {
    let openstack = servers::openstack();
    let settings = as_variables(&openstack.keystone, "OS_").with_segment_bytes(6 << 30);
    let error = open(&fresh("swift", "large-objects"), settings)
        .map(|_| ())
        .expect_err("5 GiB are the most");
    let why = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert_eq!(
        why,
        format!(
            "segments of {} bytes are more than the server takes in one object: 5368709122 bytes",
            6_u64 << 30
        )
    );
}
