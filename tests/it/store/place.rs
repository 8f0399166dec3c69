//! Places in stores on real servers, and running the program on them.
#![expect(clippy::disallowed_methods, reason = "runs the program as users do")]

use super::remote::{as_variables, fresh, open, s3_settings, sftp_settings, sftp_url, webdav_url};
use crate::support::scratch;
use crate::support::servers::Server;
use freezer::store::location::{IfMissing, Location};
use freezer::store::{ObjectInfo, Store, StoreSettings};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A place in a store, and the variables with which the program reaches it.
pub struct Place {
    pub url: String,
    pub variables: Vec<(&'static str, String)>,
    pub store: Arc<dyn Store>,
}

impl Place {
    pub fn sftp(server: &Server) -> Self {
        let url = sftp_url(server);
        let store = open(&url, sftp_settings(server)).expect("opened");
        let url = format!(
            "{url}?key={}&known_hosts={}",
            server["SSH_KEY"], server["SSH_KNOWN_HOSTS"]
        );
        Self {
            url,
            variables: Vec::new(),
            store,
        }
    }

    pub fn swift(server: &Server) -> Self {
        let url = fresh("swift", "places");
        let store = open(&url, as_variables(server, "ST_")).expect("opened");
        let variables = ["ST_AUTH", "ST_USER", "ST_KEY"]
            .map(|name| (name, server[name].clone()))
            .to_vec();
        Self {
            url,
            variables,
            store,
        }
    }

    pub fn s3(server: &Server) -> Self {
        let url = fresh("s3", "places-s3");
        let settings: StoreSettings = s3_settings(server);
        let store = open(&url, settings).expect("opened");
        Self {
            url,
            variables: s3_variables(server),
            store,
        }
    }

    pub fn webdav(server: &Server) -> Self {
        let url = webdav_url(server);
        let store = open(&url, as_variables(server, "WEBDAV_PASSWORD")).expect("opened");
        Self {
            url,
            variables: vec![("WEBDAV_PASSWORD", server["WEBDAV_PASSWORD"].clone())],
            store,
        }
    }

    /// A bucket of its own on an S3 server with object lock; the first run makes it.
    pub fn s3_with_object_lock(server: &Server) -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("random bytes");
        let url = format!("s3://locks-{:016x}/st", u64::from_le_bytes(random));
        let location = Location::parse(url.as_ref()).expect("a store");
        let store = location
            .open(IfMissing::Refuse, &s3_settings(server))
            .expect("nothing is asked");
        Self {
            url,
            variables: s3_variables(server),
            store,
        }
    }

    /// Returns the same place once more.
    pub fn again(&self) -> Self {
        Self {
            url: self.url.clone(),
            variables: self.variables.clone(),
            store: Arc::clone(&self.store),
        }
    }

    pub fn program(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_freezer"));
        program
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .current_dir(home);
        program.envs(
            self.variables
                .iter()
                .map(|(name, value)| (name, value.as_str())),
        );
        program.args(arguments).args([
            "--store",
            &self.url,
            "--encrypt-pass-file",
            "key",
            "--retry-for",
            "2m",
        ]);
        program
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        program
    }

    pub fn succeeds(&self, home: &Path, arguments: &[&str]) {
        let status = self.program(home, arguments).status().expect("it starts");
        assert!(status.success(), "{}: {arguments:?}: {status}", self.url);
    }

    /// Runs it; returns both of its outputs as one text, and its exit code.
    pub fn says(&self, home: &Path, arguments: &[&str]) -> (String, Option<i32>) {
        let mut program = self.program(home, arguments);
        let output = program
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8(said).expect("text"), output.status.code())
    }

    pub fn count(&self, prefix: &str) -> usize {
        let mut count = 0;
        let mut each = |_: ObjectInfo| {
            count += 1;
            true
        };
        self.store.list(prefix, &mut each).expect("listed");
        count
    }
}

fn s3_variables(server: &Server) -> Vec<(&'static str, String)> {
    let named = [
        ("AWS_ENDPOINT_URL", "S3_ENDPOINT"),
        ("AWS_ACCESS_KEY_ID", "S3_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "S3_SECRET_KEY"),
    ];
    named
        .map(|(variable, setting)| (variable, server[setting].clone()))
        .to_vec()
}

/// A home directory with the passphrase that [`Place::program`] names.
pub fn home_with_key() -> tempfile::TempDir {
    let home = scratch();
    let key = home.path().join("key");
    fs::write(&key, "a good passphrase\n").expect("written");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("changed");
    home
}

/// Kills and reaps it, also when the test fails.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended already need not be.
        self.0.kill().ok();
        self.0.wait().expect("a child");
    }
}
