//! Real servers, started once for each run of the test command and stopped when it has ended.
#![expect(
    clippy::disallowed_methods,
    reason = "starts servers, which are no part of the program"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a script printed when its server was up.
pub type Server = BTreeMap<String, String>;

/// Swift with Keystone before it, and its S3 interface.
pub struct OpenStack {
    pub keystone: Server,
    pub swift: Server,
}

/// Brings Keystone and Swift up, or finds those of another test of this run.
pub fn openstack() -> OpenStack {
    let run = Run::of_this_command();
    let _alone = run.lock("openstack");
    if !run.is_up("swift") {
        let [keystone, proxy, memcache] = free_ports();
        let stores = three_in_a_row();
        let (keystone, proxy, memcache, stores) = (
            keystone.to_string(),
            proxy.to_string(),
            memcache.to_string(),
            stores.to_string(),
        );
        run.start(
            "keystone",
            &[("KEYSTONE_PORT", &keystone), ("SWIFT_PORT", &proxy)],
        );
        let with_keystone = run.0.join("keystone").display().to_string();
        let swift = [
            ("SWIFT_PORT", proxy.as_str()),
            ("SWIFT_STORE_PORT", &stores),
            ("SWIFT_MEMCACHE_PORT", &memcache),
            ("SWIFT_KEYSTONE", &with_keystone),
        ];
        run.start("swift", &swift);
    }
    OpenStack {
        keystone: run.settings("keystone"),
        swift: run.settings("swift"),
    }
}

/// Brings an SSH server up that gives SFTP and nothing else, or finds that of another test of this
/// run.
pub fn sshd() -> Server {
    an_sshd("sshd", ("SSHD_SFTP_ONLY", "1"))
}

/// One where objects can be added and read, and neither removed nor replaced.
pub fn sshd_to_add_to() -> Server {
    an_sshd(
        "sshd-to-add-to",
        (
            "SSHD_SFTP_DENY",
            "remove,rmdir,posix-rename,setstat,fsetstat,symlink,hardlink",
        ),
    )
}

fn an_sshd(folder: &str, with: (&str, &str)) -> Server {
    one_of(folder, "sshd", "SSHD_PORT", &[with])
}

/// Brings an S3 server up that keeps versions and enforces object lock, or finds that of another
/// test of this run.
pub fn s3_with_object_lock() -> Server {
    a_moto("moto", &[])
}

/// One with a user who may add and read, and neither remove nor do anything else.
pub fn s3_to_add_to() -> Server {
    a_moto("moto-to-add-to", &[("MOTO_POLICY", "1")])
}

/// Brings a WebDAV server up, or finds that of another test of this run.
pub fn webdav() -> Server {
    one_of("webdav", "webdav", "WEBDAV_PORT", &[])
}

/// Brings a server up that speaks as Azure's blobs do, or finds that of another test of this run.
#[cfg(feature = "azblob")]
pub fn azurite() -> Server {
    one_of("azurite", "azurite", "AZURITE_PORT", &[])
}

fn a_moto(folder: &str, with: &[(&str, &str)]) -> Server {
    one_of(folder, "moto", "MOTO_PORT", with)
}

/// A server that needs one port, which its script takes from that variable.
fn one_of(folder: &str, server: &str, port: &str, with: &[(&str, &str)]) -> Server {
    let run = Run::of_this_command();
    let _alone = run.lock(folder);
    if !run.is_up(folder) {
        let [free] = free_ports();
        let free = free.to_string();
        let with: Vec<_> = with
            .iter()
            .copied()
            .chain([(port, free.as_str())])
            .collect();
        run.start_in(folder, server, &with);
    }
    run.settings(folder)
}

/// A server that one test has for itself: it can be killed and started again at the same port, with
/// what was stored in it.
pub struct Mortal {
    run: Run,
    folder: String,
    server: &'static str,
    with: Vec<(&'static str, String)>,
}

impl Mortal {
    /// An SSH server with SFTP.
    pub fn sshd(of: &str) -> Self {
        let [port] = free_ports();
        Self::start(
            of,
            "sshd",
            vec![
                ("SSHD_PORT", port.to_string()),
                ("SSHD_SFTP_ONLY", "1".to_owned()),
            ],
        )
    }

    /// Swift with its own login, and its S3 interface.
    pub fn swift(of: &str) -> Self {
        let [proxy, memcache] = free_ports();
        let ports = [
            ("SWIFT_PORT", proxy),
            ("SWIFT_MEMCACHE_PORT", memcache),
            ("SWIFT_STORE_PORT", three_in_a_row()),
        ];
        Self::start(
            of,
            "swift",
            ports.map(|(name, port)| (name, port.to_string())).to_vec(),
        )
    }

    /// A WebDAV server.
    pub fn webdav(of: &str) -> Self {
        let [port] = free_ports();
        Self::start(of, "webdav", vec![("WEBDAV_PORT", port.to_string())])
    }

    fn start(of: &str, server: &'static str, with: Vec<(&'static str, String)>) -> Self {
        let mortal = Self {
            run: Run::of_this_command(),
            folder: format!("{server}-of-{of}"),
            server,
            with,
        };
        mortal.up();
        mortal
    }

    /// Starts it again.
    pub fn up(&self) {
        let with: Vec<(&str, &str)> = self
            .with
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.run.start_in(&self.folder, self.server, &with);
    }

    /// Kills every process of it at once: no time to finish anything.
    pub fn kill(&self) {
        let script = scripts().join(format!("{}.sh", self.server));
        let status = Command::new(script)
            .arg("slay")
            .arg(self.run.0.join(&self.folder))
            .status()
            .expect("bash is there");
        assert!(status.success(), "{status}");
    }

    /// What its script printed.
    pub fn settings(&self) -> Server {
        self.run.settings(&self.folder)
    }
}

/// The folder of the test command that runs this test: its process number tells it from others.
struct Run(PathBuf);

impl Run {
    fn of_this_command() -> Self {
        let parent = std::os::unix::process::parent_id();
        let folder = std::env::temp_dir().join(format!("freezer-test-servers-{parent}"));
        let run = Self(folder);
        fs::create_dir_all(&run.0).expect("a folder for servers");
        let _alone = run.lock("guard");
        let guarded = run.0.join(".guarded");
        if !guarded.exists() {
            let mut guard = Command::new("setsid");
            guard
                .arg("--fork")
                .arg(scripts().join("until-gone.sh"))
                .arg(parent.to_string())
                .arg(&run.0);
            guard
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("setsid starts");
            File::create(guarded).expect("noted");
        }
        run
    }

    fn lock(&self, what: &str) -> File {
        let file = File::create(self.0.join(format!(".{what}.lock"))).expect("a lock");
        file.lock().expect("locked");
        file
    }

    fn is_up(&self, server: &str) -> bool {
        self.0.join(server).join("settings.env").exists()
    }

    fn start(&self, server: &str, with: &[(&str, &str)]) {
        self.start_in(server, server, with);
    }

    fn start_in(&self, folder: &str, server: &str, with: &[(&str, &str)]) {
        let script = scripts().join(format!("{server}.sh"));
        let mut command = Command::new(&script);
        command
            .arg("up")
            .arg(self.0.join(folder))
            .envs(with.iter().copied());
        // Not to a pipe: a server that inherits it would hold it open.
        let log = self.0.join(format!("{folder}.log"));
        let (out, err) = (
            File::create(&log).expect("a log"),
            File::options().append(true).open(&log).expect("a log"),
        );
        let status = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .status()
            .expect("bash is there");
        assert!(
            status.success(),
            "{} up: {status}\n{}",
            script.display(),
            fs::read_to_string(&log).unwrap_or_default()
        );
    }

    fn settings(&self, server: &str) -> Server {
        let text = fs::read_to_string(self.0.join(server).join("settings.env")).expect("it is up");
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/env"))
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    held.map(|listener| listener.local_addr().expect("bound").port())
}

fn three_in_a_row() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).ok();
    loop {
        let [first] = free_ports();
        let Some(third) = first.checked_add(2) else {
            continue;
        };
        if (first..=third)
            .map(free)
            .collect::<Option<Vec<_>>>()
            .is_some()
        {
            return first;
        }
    }
}
