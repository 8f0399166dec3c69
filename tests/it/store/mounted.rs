//! Mounts through faults: right bytes or an error in time, never wrong bytes, never "no such file", and always an end.
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

/// How long a mount waits for a store that is dead: short, so that it is found dead soon.
const SHORT: &str = "4s";
/// How long a mount waits for a store that comes right again.
const LONG: &str = "30s";

/// Files of the tree, and how long they are: more than one frame each, and small ones that share some.
const FILES: [(&str, usize); 6] =
    [("large", 3 << 20), ("d0/a", 700_000), ("d0/b", 10), ("d1/c", 300_000), ("d1/d2/e", 20_000), ("d1/d2/f", 0)];

/// What a fault does to a read while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// None: the bytes are right.
    Nothing,
    /// There may be an error.
    Error,
    /// No file that has content can be read.
    Dead,
}

/// What strikes each request that is about data, while it is there.
#[derive(Clone, Default)]
struct Switch(Arc<Mutex<Strike>>);

/// What strikes next.
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
    /// How the mount reaches the store: through what spoils things.
    through: Place,
}

impl Stage {
    fn new(straight: &Place, through: Place) -> Self {
        let home = home_with_key();
        for (number, (path, length)) in (0..).zip(FILES) {
            let file = home.path().join("tree").join(path);
            fs::create_dir_all(file.parent().expect("it has one")).expect("made");
            fs::write(file, noise(number, length)).expect("written");
        }
        fs::create_dir(home.path().join("m")).expect("made");
        let arguments = ["backup", "tree", "--hostname", "here", "--max-segment-size", "1MiB", "-q"];
        straight.succeeds(home.path(), &arguments);
        Self { home, through }
    }

    fn mount(&self, read_timeout: &str) -> Mount {
        let point = self.home.path().join("m");
        let device = || fs::metadata(&point).expect("the mount point").dev();
        let before = device();
        let arguments = ["mount", "here/tree@latest", "m", "--foreground", "-q", "--read-timeout", read_timeout, "--timeout", "1s"];
        let mut program = self.through.program(self.home.path(), &arguments);
        // What it could not read is told there, and is expected.
        let mut process = Killed(program.args(["--log-file", "mount.log"]).spawn().expect("it starts"));
        while device() == before {
            assert!(process.0.try_wait().expect("a child").is_none(), "it ended before it mounted");
            pause(Duration::from_millis(20), &Cancel::new());
        }
        Mount { process, tree: self.home.path().join("tree"), point }
    }
}

/// A mount, ended when it goes.
struct Mount {
    process: Killed,
    tree: PathBuf,
    point: PathBuf,
}

/// What looking at each path came to.
type Seen = BTreeMap<&'static str, io::Result<()>>;

impl Mount {
    /// Looks at everything at once, and compares what it gets with what was backed up.
    fn look(&self) -> Seen {
        thread::scope(|scope| {
            let directories = ["", "d0", "d1", "d1/d2"].map(|path| (path, scope.spawn(move || self.list(path))));
            let files = FILES.map(|(path, _)| (path, scope.spawn(move || self.read(path))));
            let all = directories.into_iter().chain(files);
            all.map(|(path, seen)| (path, seen.join().expect("no panic"))).collect()
        })
    }

    fn list(&self, path: &str) -> io::Result<()> {
        let names = |below: &Path| -> io::Result<Vec<_>> {
            let mut names = fs::read_dir(below.join(path))?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        };
        let shown = names(&self.point)?;
        assert_eq!(shown, names(&self.tree).expect("the tree"), "{path}/");
        Ok(())
    }

    fn read(&self, path: &str) -> io::Result<()> {
        let shown = fs::read(self.point.join(path))?;
        assert!(shown == fs::read(self.tree.join(path)).expect("the tree"), "{path}: wrong bytes were served");
        Ok(())
    }

    /// What everything comes to while a fault is there, and that all is right when it is gone.
    fn stands(&self, fault: &str, harm: Harm, heal: impl FnOnce()) {
        let seen = self.look();
        let failed: Vec<_> = seen.iter().filter_map(|(path, seen)| Some((*path, Errno::from_io_error(seen.as_ref().err()?)))).collect();
        for (path, errno) in &failed {
            // Of a store that refuses: no rights.
            assert!(matches!(errno, Some(Errno::IO | Errno::ACCESS)), "{fault}: {path:?}: {errno:?}");
        }
        match harm {
            Harm::Nothing => assert!(failed.is_empty(), "{fault}: {failed:?}"),
            Harm::Error => {}
            // What is in the index may be in memory since it was mounted.
            Harm::Dead => assert!(failed.len() >= FILES.iter().filter(|(_, length)| *length > 0).count(), "{fault}: only {failed:?}"),
        }
        heal();
        let after: Vec<_> = self.look().into_iter().filter(|(_, seen)| seen.is_err()).collect();
        assert!(after.is_empty(), "{fault}: it is over, and {after:?}");
    }

    /// Unmounts it as users do, and sees its process end well.
    fn end(mut self, place: &Place) {
        let home = self.point.parent().expect("the home").to_owned();
        place.succeeds(&home, &["umount", "m", "-q"]);
        let status = self.process.0.wait().expect("a child");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // When the test failed: the process dies, and takes the mount's answers with it.
        if thread::panicking() {
            self.process.0.kill().ok();
            std::process::Command::new("umount").arg("-l").arg(&self.point).status().ok();
        }
    }
}

/// Every fault that a server, or what is in between, can have, and the worst that may come of it when it lasts.
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

/// What a second try mends, so that nobody notices.
fn passing(also: &[Fault]) -> Vec<Fault> {
    let faults = [
        Fault::EndIn(500),
        Fault::CutAnswer(100),
        Fault::Answer(500, ""),
        Fault::Answer(503, "retry-after: 0\r\n"),
        Fault::Answer(429, "retry-after: 0\r\n"),
        Fault::LoseAnswer,
    ];
    [&faults, also].concat()
}

/// Mounts through a proxy to an HTTP server, under each of the faults in turn.
fn every_fault_over_http(
    straight: &Place,
    through: impl FnOnce(&Proxy) -> Place,
    upstream: &str,
    faults: Vec<(Fault, Harm)>,
    also: &[Fault],
) {
    let switch = Switch::default();
    let proxy = Proxy::new(upstream, switch.plan());
    let stage = Stage::new(straight, through(&proxy));
    for (fault, harm) in faults {
        let mount = stage.mount(if harm == Harm::Nothing { LONG } else { SHORT });
        switch.set(Strike::Always(fault.clone()));
        mount.stands(&format!("{fault:?}"), harm, || switch.set(Strike::Nothing));
        mount.end(straight);
    }
    for fault in passing(also) {
        let mount = stage.mount(LONG);
        switch.set(Strike::Once(fault.clone(), BTreeSet::new()));
        mount.stands(&format!("{fault:?} at first"), Harm::Nothing, || switch.set(Strike::Nothing));
        mount.end(straight);
    }
    // Opened through a store that is down: said so, and nothing is mounted.
    switch.set(Strike::Always(Fault::Answer(503, "")));
    let arguments = ["mount", "here/tree@latest", "m", "--foreground", "-q", "--read-timeout", SHORT];
    let output = stage.through.program(stage.home.path(), &arguments).stderr(std::process::Stdio::piped()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("the server answered 503"), "{}: {said}", output.status);
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
        let process = Pid::from_raw(i32::try_from(mount.process.0.id()).expect("fits")).expect("not 0");
        kill_process(process, Signal::TERM).expect("sent");
        reader.join().expect("no panic").expect_err("the mount is gone");
    });
    assert!(mount.process.0.wait().expect("a child").success());
}

fn s3_through(straight: &Place, proxy: &Proxy) -> Place {
    let mut place = straight.again();
    place.variables.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
    place.variables.push(("AWS_ENDPOINT_URL", proxy.url()));
    place
}

fn swift_through(straight: &Place, proxy: &Proxy) -> Place {
    let mut place = straight.again();
    place.variables.retain(|(name, _)| *name != "ST_AUTH");
    place.variables.push(("ST_AUTH", format!("{}/auth/v1.0", proxy.url())));
    place
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right to mount"]
fn nightly_a_mount_of_s3_gives_right_bytes_or_an_error_in_time_under_every_fault() {
    let server = servers::openstack().swift;
    let straight = Place::s3(&server);
    every_fault_over_http(&straight, |proxy| s3_through(&straight, proxy), &server["S3_ENDPOINT"], lasting(), &[Fault::Stall]);
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, /dev/fuse and the right to mount"]
fn nightly_a_mount_of_swift_gives_right_bytes_or_an_error_in_time_under_every_fault() {
    let server = servers::openstack().swift;
    let straight = Place::swift(&server);
    let also = [Fault::Stall, Fault::Answer(401, ""), Fault::Answer(498, "")];
    every_fault_over_http(&straight, |proxy| swift_through(&straight, proxy), &server["SWIFT_URL"], lasting(), &also);
}

/// The same store through a relay, whose port the file of known hosts has to have.
fn sftp_through(straight: &Place, server: &Server, relay: &Relay, home: &Path) -> Place {
    let known = fs::read_to_string(&server["SSH_KNOWN_HOSTS"]).expect("a file");
    let (there, here) = (server["SSH_PORT"].as_str(), relay.port.to_string());
    let known_here = home.join("known_hosts");
    fs::write(&known_here, known.replace(&format!(":{there} "), &format!(":{here} "))).expect("written");
    let mut place = straight.again();
    place.url = place.url.replace(&format!(":{there}"), &format!(":{here}"));
    place.url = place.url.replace(server["SSH_KNOWN_HOSTS"].as_str(), known_here.to_str().expect("text"));
    place
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts, /dev/fuse and the right to mount"]
fn nightly_a_mount_over_ssh_gives_right_bytes_or_an_error_in_time_under_every_fault() {
    let server = servers::sshd();
    let straight = Place::sftp(&server);
    let room = crate::support::scratch();
    let upstream = format!("{}:{}", server["SSH_HOST"], server["SSH_PORT"]);
    let mut stage = Stage::new(&straight, straight.again());
    for delay in [Duration::ZERO, Duration::from_millis(100)] {
        let relay = Relay::far(&upstream, delay);
        stage.through = sftp_through(&straight, &server, &relay, room.path());
        let mount = stage.mount(LONG);
        mount.stands(&format!("{delay:?} of delay"), Harm::Nothing, || ());
        mount.end(&straight);
        let mount = stage.mount(SHORT);
        relay.stand_still(true);
        mount.stands("it stands still", Harm::Dead, || relay.stand_still(false));
        mount.end(&straight);
        let mount = stage.mount(SHORT);
        relay.cut_after(Some(20_000));
        mount.stands("each session is cut after 20,000 bytes", Harm::Error, || relay.cut_after(None));
        mount.end(&straight);
    }
}
