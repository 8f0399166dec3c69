//! Mounts of stores in a network. Through faults: right bytes or an error in time, never wrong
//! bytes, never "no such file", and always an end. And with few requests.
#![expect(clippy::disallowed_methods, reason = "runs the program as users do")]

use super::place::{Killed, Place, home_with_key};
use crate::support::proxy::{Fault, Proxy};
use crate::support::relay::Relay;
use crate::support::servers::{self, Server};
use crate::support::torture::noise;
use freezer::model::Cancel;
use freezer::platform::pause;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How many seconds a mount waits for a dead store. Few, so that the test ends soon.
const SHORT: u64 = 4;
/// And over SSH, where a session may take half of that to begin: far away that is two seconds, and
/// on a busy machine as much.
const SHORT_OVER_SSH: u64 = 8;
/// And for one that comes right again.
const LONG: u64 = 30;
/// How many read timeouts looking at everything may take. Requests that are sent together are
/// refused together, and a program sends a few one after the other before it is refused.
const IN_TIME: u64 = 3;

/// Files of the tree, and how long they are: more than one frame each, and small ones that share
/// some.
const FILES: [(&str, usize); 6] = [
    ("large", 3 << 20),
    ("d0/a", 700_000),
    ("d0/b", 10),
    ("d1/c", 300_000),
    ("d1/d2/e", 20_000),
    ("d1/d2/f", 0),
];

/// The effect of a fault on a read while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// None: the bytes are right.
    Nothing,
    /// There may be an error.
    Error,
    /// No file that has content can be read.
    Dead,
}

/// The fault that strikes each request for data, while there is one.
#[derive(Clone, Default)]
struct Switch(Arc<Mutex<Strike>>);

/// The fault that strikes next.
#[derive(Default)]
enum Strike {
    #[default]
    Nothing,
    Always(Fault),
    /// The first request for each object, so that another try comes right.
    Once(Fault, BTreeSet<String>),
}

impl Switch {
    fn set(&self, strike: Strike) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = strike;
    }

    fn plan(&self) -> impl Fn(u64, &str) -> Fault + Send + Sync + use<> {
        let shared = Arc::clone(&self.0);
        move |_, first| match &mut *shared.lock().unwrap_or_else(PoisonError::into_inner) {
            Strike::Nothing => Fault::Pass,
            Strike::Always(fault) => fault.clone(),
            Strike::Once(fault, struck) => {
                if struck.insert(first.to_owned()) {
                    fault.clone()
                } else {
                    Fault::Pass
                }
            }
        }
    }
}

/// A tree that was backed up, and is to be mounted.
struct Stage {
    home: tempfile::TempDir,
    /// The way of the mount to the store, through the proxy or relay that makes the faults.
    through: Place,
}

/// The files of [`FILES`].
fn some_files(tree: &Path) {
    for (number, (path, length)) in (0..).zip(FILES) {
        let file = tree.join(path);
        fs::create_dir_all(file.parent().expect("it has one")).expect("made");
        fs::write(file, noise(number, length)).expect("written");
    }
}

impl Stage {
    fn new(straight: &Place, through: Place, make_tree: impl FnOnce(&Path)) -> Self {
        let home = home_with_key();
        make_tree(&home.path().join("tree"));
        fs::create_dir(home.path().join("m")).expect("made");
        let arguments = [
            "backup",
            "tree",
            "--hostname",
            "here",
            "--max-segment-size",
            "1MiB",
            "-q",
        ];
        straight.succeeds(home.path(), &arguments);
        Self { home, through }
    }

    /// Returns the command that mounts it, with a read timeout in seconds.
    fn program(&self, read_timeout: u64) -> std::process::Command {
        let read_timeout = format!("{read_timeout}s");
        let arguments = [
            "mount",
            "here/tree@latest",
            "m",
            "--foreground",
            "-q",
            "--read-timeout",
            &read_timeout,
            "--timeout",
            "1s",
        ];
        self.through.program(self.home.path(), &arguments)
    }

    /// Tries to mount through a store that does not answer: that is said, in time, and nothing is
    /// mounted.
    fn cannot_mount(&self, why: &str, short: u64) {
        let began = freezer::platform::monotonic();
        let output = self
            .program(short)
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.contains(why),
            "{}: {said}",
            output.status
        );
        assert!(
            began.elapsed() < Duration::from_secs(IN_TIME * short),
            "{:?}: {said}",
            began.elapsed()
        );
    }

    fn mount(&self, read_timeout: u64) -> Mount {
        let point = self.home.path().join("m");
        let device = || fs::metadata(&point).expect("the mount point").dev();
        let before = device();
        let mut program = self.program(read_timeout);
        // The files that it could not read are named there, as expected.
        let mut process = Killed(
            program
                .args(["--log-file", "mount.log"])
                .spawn()
                .expect("it starts"),
        );
        while device() == before {
            assert!(
                process.0.try_wait().expect("a child").is_none(),
                "it ended before it mounted"
            );
            pause(Duration::from_millis(20), &Cancel::new());
        }
        Mount {
            process,
            tree: self.home.path().join("tree"),
            point,
            in_time: Duration::from_secs(IN_TIME * read_timeout),
        }
    }
}

/// A mount, ended when it goes.
struct Mount {
    process: Killed,
    tree: PathBuf,
    point: PathBuf,
    in_time: Duration,
}

/// The result of looking at each path.
type Seen = BTreeMap<&'static str, io::Result<()>>;

/// The paths that were not shown, with the reason: an error of the store, or missing rights where
/// the store refuses.
fn refused(seen: &Seen, fault: &str) -> Vec<(&'static str, Errno)> {
    let failed = seen
        .iter()
        .filter_map(|(path, seen)| Some((*path, Errno::from_io_error(seen.as_ref().err()?))));
    let known = |(path, errno): (&'static str, Option<Errno>)| match errno {
        Some(errno @ (Errno::IO | Errno::ACCESS)) => (path, errno),
        other => panic!("{fault}: {path:?}: {other:?}"),
    };
    failed.map(known).collect()
}

impl Mount {
    /// Looks at everything at once, and compares the results with the source of the backup.
    fn look(&self) -> Seen {
        thread::scope(|scope| {
            let directories =
                ["", "d0", "d1", "d1/d2"].map(|path| (path, scope.spawn(move || self.list(path))));
            let files = FILES.map(|(path, _)| (path, scope.spawn(move || self.read(path))));
            let all = directories.into_iter().chain(files);
            all.map(|(path, seen)| (path, seen.join().expect("no panic")))
                .collect()
        })
    }

    fn list(&self, path: &str) -> io::Result<()> {
        let names = |below: &Path| -> io::Result<Vec<_>> {
            let mut names = fs::read_dir(below.join(path))?
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        };
        let shown = names(&self.point)?;
        assert_eq!(shown, names(&self.tree).expect("the tree"), "{path}/");
        Ok(())
    }

    fn read(&self, path: &str) -> io::Result<()> {
        let shown = fs::read(self.point.join(path))?;
        assert!(
            shown == fs::read(self.tree.join(path)).expect("the tree"),
            "{path}: wrong bytes were served"
        );
        Ok(())
    }

    /// What everything comes to while a fault is there, and that all is right when it is gone.
    fn stands(&self, fault: &str, harm: Harm, heal: impl FnOnce()) {
        let began = freezer::platform::monotonic();
        let seen = self.look();
        assert!(
            harm == Harm::Nothing || began.elapsed() < self.in_time,
            "{fault}: it took {:?}",
            began.elapsed()
        );
        let failed = refused(&seen, fault);
        match harm {
            Harm::Nothing => assert!(failed.is_empty(), "{fault}: {failed:?}"),
            Harm::Error => {}
            // The index may be in memory since it was mounted.
            Harm::Dead => assert!(
                failed.len() >= FILES.iter().filter(|(_, length)| *length > 0).count(),
                "{fault}: only {failed:?}"
            ),
        }
        heal();
        // A read may join a fetch that began before, and share its end. On a busy machine the store
        // itself may need longer than the mount waits. So a few looks have to be enough.
        let mut after = refused(&self.look(), fault);
        for _ in 0..4 {
            if !after.is_empty() {
                after = refused(&self.look(), fault);
            }
        }
        assert!(after.is_empty(), "{fault}: it is over, and {after:?}");
    }

    /// Unmounts it as users do, and sees its process end well, and soon.
    fn end(mut self, place: &Place) {
        let home = self.point.parent().expect("the home").to_owned();
        place.succeeds(&home, &["umount", "m", "-q"]);
        let told = freezer::platform::monotonic();
        let status = loop {
            match self.process.0.try_wait().expect("a child") {
                Some(status) => break status,
                None => assert!(told.elapsed() < 2 * self.in_time, "it does not end"),
            }
            pause(Duration::from_millis(20), &Cancel::new());
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // When the test failed, the process dies, and the mount stops answering.
        if thread::panicking() {
            self.process.0.kill().ok();
            std::process::Command::new("umount")
                .arg("-l")
                .arg(&self.point)
                .status()
                .ok();
        }
    }
}

/// Returns every fault of a server or of the network, and the worst effect that it may have while
/// it lasts.
fn lasting() -> Vec<(Fault, Harm)> {
    vec![
        (Fault::Delay(Duration::from_millis(200)), Harm::Nothing),
        (Fault::WrongEtag, Harm::Nothing),
        (Fault::EndIn(500), Harm::Dead),
        (Fault::CutAnswer(100), Harm::Dead),
        (Fault::Answer(500, ""), Harm::Dead),
        (Fault::Answer(503, "retry-after: 1\r\n"), Harm::Dead),
        (Fault::Answer(503, "retry-after: 3600\r\n"), Harm::Dead),
        (Fault::Answer(429, "retry-after: 1\r\n"), Harm::Dead),
        (Fault::Answer(401, ""), Harm::Dead),
        (Fault::Answer(403, ""), Harm::Dead),
        (Fault::Answer(404, ""), Harm::Dead),
        (Fault::Shorten(7), Harm::Dead),
        (Fault::SpoilAnswer, Harm::Dead),
        (Fault::Stall, Harm::Dead),
    ]
}

/// The faults that a second try mends, without an error for the reader.
fn passing(also: &[Fault]) -> Vec<Fault> {
    let faults = [
        Fault::EndIn(500),
        Fault::CutAnswer(100),
        Fault::Answer(500, ""),
        Fault::Answer(503, "retry-after: 0\r\n"),
        Fault::Answer(429, "retry-after: 0\r\n"),
        Fault::LoseAnswer,
        Fault::Stall,
    ];
    [&faults, also].concat()
}

/// One of each sort: a body that breaks off, an object that seems to be gone, one that is spoilt,
/// and silence.
fn a_few_lasting() -> Vec<(Fault, Harm)> {
    vec![
        (Fault::EndIn(500), Harm::Dead),
        (Fault::Answer(404, ""), Harm::Dead),
        (Fault::SpoilAnswer, Harm::Dead),
        (Fault::Stall, Harm::Dead),
    ]
}

/// Mounts through a proxy to an HTTP server, under each of the faults in turn: those that last, and
/// those that another try mends.
fn under_faults_over_http(
    straight: &Place,
    through: impl FnOnce(&Proxy) -> Place,
    upstream: &str,
    lasting: Vec<(Fault, Harm)>,
    passing: Vec<Fault>,
) {
    let switch = Switch::default();
    let proxy = Proxy::new(upstream, switch.plan());
    let stage = Stage::new(straight, through(&proxy), some_files);
    for (fault, harm) in lasting {
        let mount = stage.mount(if harm == Harm::Nothing { LONG } else { SHORT });
        switch.set(Strike::Always(fault.clone()));
        mount.stands(&format!("{fault:?}"), harm, || switch.set(Strike::Nothing));
        mount.end(straight);
    }
    for fault in passing {
        let mount = stage.mount(LONG);
        switch.set(Strike::Once(fault.clone(), BTreeSet::new()));
        mount.stands(&format!("{fault:?} at first"), Harm::Nothing, || {
            switch.set(Strike::Nothing)
        });
        mount.end(straight);
    }
    switch.set(Strike::Always(Fault::Answer(503, "")));
    stage.cannot_mount("the server answered 503", SHORT);
    switch.set(Strike::Nothing);
    // Killed while programs wait in it: they get an error, and it ends.
    let mut mount = stage.mount(LONG);
    switch.set(Strike::Always(Fault::Stall));
    thread::scope(|scope| {
        let before = proxy.seen().len();
        let reader = scope.spawn(|| fs::read(mount.point.join("large")));
        while proxy.seen().len() == before {
            pause(Duration::from_millis(10), &Cancel::new());
        }
        let process =
            Pid::from_raw(i32::try_from(mount.process.0.id()).expect("fits")).expect("not 0");
        kill_process(process, Signal::TERM).expect("sent");
        reader
            .join()
            .expect("no panic")
            .expect_err("the mount is gone");
    });
    assert!(mount.process.0.wait().expect("a child").success());
}

fn s3_through(straight: &Place, proxy: &Proxy) -> Place {
    let mut place = straight.again();
    place
        .variables
        .retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
    place.variables.push(("AWS_ENDPOINT_URL", proxy.url()));
    place
}

fn swift_through(straight: &Place, proxy: &Proxy) -> Place {
    let mut place = straight.again();
    place.variables.retain(|(name, _)| *name != "ST_AUTH");
    place
        .variables
        .push(("ST_AUTH", format!("{}/auth/v1.0", proxy.url())));
    place
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right \
        to mount"]
fn a_mount_of_s3_gives_right_bytes_or_an_error_in_time_under_a_fault_of_each_sort() {
    let server = servers::openstack().swift;
    let straight = Place::s3(&server);
    let passing = vec![Fault::CutAnswer(100)];
    under_faults_over_http(
        &straight,
        |proxy| s3_through(&straight, proxy),
        &server["S3_ENDPOINT"],
        a_few_lasting(),
        passing,
    );
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right \
        to mount"]
fn a_mount_of_swift_gives_right_bytes_or_an_error_in_time_under_a_fault_of_each_sort() {
    let server = servers::openstack().swift;
    let straight = Place::swift(&server);
    let passing = vec![Fault::Answer(401, "")];
    under_faults_over_http(
        &straight,
        |proxy| swift_through(&straight, proxy),
        &server["SWIFT_URL"],
        a_few_lasting(),
        passing,
    );
}

#[test]
#[ignore = "needs a WebDAV server, which tests/env/webdav.sh installs and starts, /dev/fuse and \
        the right to mount"]
fn a_mount_over_webdav_gives_right_bytes_or_an_error_in_time_under_a_fault_of_each_sort() {
    let server = servers::webdav();
    let straight = Place::webdav(&server);
    let there = format!("{}:{}", server["WEBDAV_HOST"], server["WEBDAV_PORT"]);
    let through = |proxy: &Proxy| {
        let mut place = straight.again();
        place.url = place
            .url
            .replace(&there, proxy.url().trim_start_matches("http://"));
        place
    };
    under_faults_over_http(
        &straight,
        through,
        &format!("http://{there}"),
        a_few_lasting(),
        vec![Fault::CutAnswer(100)],
    );
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right \
        to mount"]
fn nightly_a_mount_of_s3_gives_right_bytes_or_an_error_in_time_under_every_fault() {
    let server = servers::openstack().swift;
    let straight = Place::s3(&server);
    under_faults_over_http(
        &straight,
        |proxy| s3_through(&straight, proxy),
        &server["S3_ENDPOINT"],
        lasting(),
        passing(&[]),
    );
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right \
        to mount"]
fn nightly_a_mount_of_swift_gives_right_bytes_or_an_error_in_time_under_every_fault() {
    let server = servers::openstack().swift;
    let straight = Place::swift(&server);
    let also = [Fault::Answer(401, ""), Fault::Answer(498, "")];
    under_faults_over_http(
        &straight,
        |proxy| swift_through(&straight, proxy),
        &server["SWIFT_URL"],
        lasting(),
        passing(&also),
    );
}

/// Returns the same store through a relay, whose port is added to the file of known hosts.
fn sftp_through(straight: &Place, server: &Server, relay: &Relay, home: &Path) -> Place {
    let known = fs::read_to_string(&server["SSH_KNOWN_HOSTS"]).expect("a file");
    let (there, here) = (server["SSH_PORT"].as_str(), relay.port.to_string());
    let known_here = home.join("known_hosts");
    fs::write(
        &known_here,
        known.replace(&format!(":{there} "), &format!(":{here} ")),
    )
    .expect("written");
    let mut place = straight.again();
    place.url = place.url.replace(&format!(":{there}"), &format!(":{here}"));
    place.url = place.url.replace(
        server["SSH_KNOWN_HOSTS"].as_str(),
        known_here.to_str().expect("text"),
    );
    place
}

/// Mounts over SSH through a relay that is so far away, while it stands still, cuts each session,
/// and lets answers trickle.
fn under_faults_over_ssh(delays: &[Duration]) {
    let server = servers::sshd();
    let straight = Place::sftp(&server);
    let room = crate::support::scratch();
    let upstream = format!("{}:{}", server["SSH_HOST"], server["SSH_PORT"]);
    let mut stage = Stage::new(&straight, straight.again(), some_files);
    for delay in delays {
        let relay = Relay::far(&upstream, *delay);
        stage.through = sftp_through(&straight, &server, &relay, room.path());
        let mount = stage.mount(LONG);
        mount.stands(&format!("{delay:?} of delay"), Harm::Nothing, || ());
        mount.end(&straight);
        let mount = stage.mount(SHORT_OVER_SSH);
        relay.stand_still(true);
        mount.stands("it stands still", Harm::Dead, || relay.stand_still(false));
        mount.end(&straight);
        let mount = stage.mount(SHORT_OVER_SSH);
        relay.cut_after(Some(20_000));
        mount.stands(
            "each session is cut after 20,000 bytes",
            Harm::Error,
            || relay.cut_after(None),
        );
        mount.end(&straight);
        let mount = stage.mount(SHORT_OVER_SSH);
        relay.trickle(Duration::from_millis(200));
        mount.stands("5 KiB come in a second", Harm::Error, || {
            relay.trickle(Duration::ZERO)
        });
        mount.end(&straight);
        relay.stand_still(true);
        stage.cannot_mount("the server did not begin", SHORT_OVER_SSH);
        relay.stand_still(false);
    }
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts, /dev/fuse and the \
        right to mount"]
fn a_mount_over_ssh_gives_right_bytes_or_an_error_in_time_under_every_fault() {
    under_faults_over_ssh(&[Duration::ZERO]);
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts, /dev/fuse and the \
        right to mount"]
fn nightly_a_far_mount_over_ssh_gives_right_bytes_or_an_error_in_time_under_every_fault() {
    under_faults_over_ssh(&[Duration::from_millis(20), Duration::from_millis(100)]);
}

/// Empty files, a thousand in each folder but the root, which has a folder for each thousand and a
/// few files.
fn many_files(tree: &Path, count: u32) {
    for folder in 0..count / 1000 {
        let folder = tree.join(format!("d{folder:03}"));
        fs::create_dir_all(&folder).expect("made");
        (0..1000).for_each(|file| {
            drop(fs::File::create(folder.join(format!("file number {file}"))).expect("made"))
        });
    }
    (0..20).for_each(|file| fs::write(tree.join(format!("f{file}")), "content").expect("written"));
}

/// Checks that mounting a backup and listing its root take less than ten requests together, from
/// the log-in on.
fn the_first_listing_takes_few_requests(
    straight: &Place,
    through: impl FnOnce(&Proxy) -> Place,
    upstream: &str,
    files: u32,
) {
    let proxy = Proxy::new(upstream, |_, _| Fault::Pass);
    let stage = Stage::new(straight, through(&proxy), |tree| many_files(tree, files));
    let mount = stage.mount(LONG);
    mount.list("").expect("listed");
    let seen = proxy.seen();
    assert!(
        seen.len() > 1 && seen.len() < 10,
        "{} requests: {seen:#?}",
        seen.len()
    );
    mount.end(straight);
}

fn over_swift_and_s3(files: u32) {
    let server = servers::openstack().swift;
    let straight = Place::swift(&server);
    the_first_listing_takes_few_requests(
        &straight,
        |proxy| swift_through(&straight, proxy),
        &server["SWIFT_URL"],
        files,
    );
    let straight = Place::s3(&server);
    the_first_listing_takes_few_requests(
        &straight,
        |proxy| s3_through(&straight, proxy),
        &server["S3_ENDPOINT"],
        files,
    );
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right \
        to mount"]
fn a_mount_lists_the_root_of_many_files_with_few_requests() {
    over_swift_and_s3(10_000);
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right \
        to mount"]
fn nightly_a_mount_lists_the_root_of_half_a_million_files_with_few_requests() {
    over_swift_and_s3(500_000);
}
