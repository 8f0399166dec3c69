//! Backups in the midst of which the program or its server is killed.
#![expect(clippy::disallowed_methods, reason = "runs the program as users do")]

use super::remote::{as_variables, open, s3_settings, sftp_settings};
use crate::support::servers::{Mortal, Server};
use crate::support::{scratch, torture};
use freezer::store::{ObjectInfo, Settings, Store};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A place in a store, and how the program gets there.
struct Place {
    url: String,
    variables: Vec<(&'static str, String)>,
    store: Arc<dyn Store>,
}

impl Place {
    fn sftp(server: &Server) -> Self {
        let (user, host, port, folder) = (&server["SSH_USER"], &server["SSH_HOST"], &server["SSH_PORT"], &server["SSH_DIR"]);
        let url = format!("sftp://{user}@{host}:{port}{folder}/st");
        let store = open(&url, sftp_settings(server)).expect("opened");
        let url = format!("{url}?key={}&known_hosts={}", server["SSH_KEY"], server["SSH_KNOWN_HOSTS"]);
        Self { url, variables: Vec::new(), store }
    }

    fn swift(server: &Server) -> Self {
        let url = "swift:mortal/st".to_owned();
        let store = open(&url, as_variables(server, "ST_")).expect("opened");
        let variables = ["ST_AUTH", "ST_USER", "ST_KEY"].map(|name| (name, server[name].clone())).to_vec();
        Self { url, variables, store }
    }

    fn s3(server: &Server) -> Self {
        let url = "s3://mortal-s3/st".to_owned();
        let settings: Settings = s3_settings(server);
        let store = open(&url, settings).expect("opened");
        let variables = vec![
            ("AWS_ENDPOINT_URL", server["S3_ENDPOINT"].clone()),
            ("AWS_ACCESS_KEY_ID", server["S3_ACCESS_KEY"].clone()),
            ("AWS_SECRET_ACCESS_KEY", server["S3_SECRET_KEY"].clone()),
        ];
        Self { url, variables, store }
    }

    fn program(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_freezer"));
        program.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home).current_dir(home);
        program.envs(self.variables.iter().map(|(name, value)| (name, value.as_str())));
        program.args(arguments).args(["--store", &self.url, "--encrypt-pass-file", "key", "--retry-for", "2m"]);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        program
    }

    fn succeeds(&self, home: &Path, arguments: &[&str]) {
        let status = self.program(home, arguments).status().expect("it starts");
        assert!(status.success(), "{}: {arguments:?}: {status}", self.url);
    }

    fn count(&self, prefix: &str) -> usize {
        let mut count = 0;
        let mut each = |_: ObjectInfo| {
            count += 1;
            true
        };
        self.store.list(prefix, &mut each).expect("listed");
        count
    }

    /// A backup that is under way: some of it is stored, and most is not.
    fn backup_under_way(&self, home: &Path) -> Killed {
        let arguments = ["backup", "tree", "--hostname", "here", "--max-segment-size", "1MiB", "--upload-limit", "6MiB/s", "-q"];
        let mut child = Killed(self.program(home, &arguments).spawn().expect("it starts"));
        while self.count("data/") < 3 {
            assert!(child.0.try_wait().expect("a child").is_none(), "it ended before it was seen in the middle");
            std::thread::yield_now();
        }
        child
    }

    /// The one point in time is all there, and is what was backed up.
    fn check(&self, home: &Path) {
        assert_eq!(self.count("manifests/"), 1);
        self.succeeds(home, &["check", "--read-data", "-q"]);
        self.succeeds(home, &["restore", "tree", "--target", "back", "--overwrite", "-q"]);
        for file in fs::read_dir(home.join("tree")).expect("there") {
            let path = file.expect("an entry").path();
            let back = home.join("back").join(path.file_name().expect("a name"));
            assert!(fs::read(&path).expect("read") == fs::read(&back).expect("read"), "{}", path.display());
        }
    }

    fn stands(&self, server: &Mortal) {
        let home = scratch();
        let home = home.path();
        fs::write(home.join("key"), "a good passphrase\n").expect("written");
        fs::set_permissions(home.join("key"), fs::Permissions::from_mode(0o600)).expect("changed");
        fs::create_dir(home.join("tree")).expect("made");
        (0..6).for_each(|file| {
            fs::write(home.join(format!("tree/{file}")), torture::noise(file, 4 << 20)).expect("written");
        });
        // The program is killed: nothing is listed, and the next run makes the level.
        drop(self.backup_under_way(home));
        assert_eq!(self.count("manifests/"), 0, "no half level");
        // And in this one the server is killed and comes back.
        let mut child = self.backup_under_way_again(home);
        server.kill();
        server.up();
        let status = child.0.wait().expect("a child");
        assert!(status.success(), "{}: {status}", self.url);
        self.check(home);
    }

    /// As [`backup_under_way`](Self::backup_under_way), where an earlier run has left something.
    fn backup_under_way_again(&self, home: &Path) -> Killed {
        let before = self.count("data/");
        let arguments = ["backup", "tree", "--hostname", "here", "--max-segment-size", "1MiB", "--upload-limit", "6MiB/s", "-q"];
        let mut child = Killed(self.program(home, &arguments).spawn().expect("it starts"));
        // It removes or goes on with what is there, and then adds to it.
        let mut least = before;
        loop {
            let now = self.count("data/");
            least = least.min(now);
            if now >= least + 3 {
                return child;
            }
            assert!(child.0.try_wait().expect("a child").is_none(), "it ended before it was seen in the middle");
            std::thread::yield_now();
        }
    }
}

/// Kills and reaps it, also when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended already need not be.
        self.0.kill().ok();
        self.0.wait().expect("a child");
    }
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts"]
fn a_backup_over_ssh_stands_the_death_of_the_program_and_of_the_server() {
    let server = Mortal::sshd("backup");
    Place::sftp(&server.settings()).stands(&server);
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_backup_to_swift_and_to_s3_stands_the_death_of_the_program_and_of_the_server() {
    let server = Mortal::swift("backup");
    let settings = server.settings();
    Place::swift(&settings).stands(&server);
    Place::s3(&settings).stands(&server);
}
