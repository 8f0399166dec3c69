//! Backups in the midst of which the program or its server is killed.

use super::place::{Killed, Place, home_with_key};
use crate::support::servers::Mortal;
use crate::support::torture;
use std::fs;
use std::path::Path;

impl Place {
    /// Starts a backup that is slow enough to be met in the middle.
    fn begin_backup(&self, home: &Path) -> Killed {
        let arguments = [
            "backup",
            "tree",
            "--hostname",
            "here",
            "--max-segment-size",
            "1MiB",
            "--upload-limit",
            "6MiB/s",
            "-q",
        ];
        Killed(self.program(home, &arguments).spawn().expect("it starts"))
    }

    /// A backup that is under way: some of it is stored, and most is not.
    fn backup_under_way(&self, home: &Path) -> Killed {
        let mut child = self.begin_backup(home);
        while self.count("data/") < 3 {
            assert!(
                child.0.try_wait().expect("a child").is_none(),
                "it ended before it was seen in the middle"
            );
            std::thread::yield_now();
        }
        child
    }

    /// Checks that the one point in time is complete and equals its source.
    fn check(&self, home: &Path) {
        assert_eq!(self.count("manifests/"), 1);
        self.succeeds(home, &["check", "--read-data", "-q"]);
        self.succeeds(
            home,
            &["restore", "tree", "--target", "back", "--overwrite", "-q"],
        );
        for file in fs::read_dir(home.join("tree")).expect("there") {
            let path = file.expect("an entry").path();
            let back = home.join("back").join(path.file_name().expect("a name"));
            assert!(
                fs::read(&path).expect("read") == fs::read(&back).expect("read"),
                "{}",
                path.display()
            );
        }
    }

    fn stands(&self, server: &Mortal) {
        let home = home_with_key();
        let home = home.path();
        fs::create_dir(home.join("tree")).expect("made");
        (0..6).for_each(|file| {
            fs::write(
                home.join(format!("tree/{file}")),
                torture::noise(file, 4 << 20),
            )
            .expect("written");
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
        let mut child = self.begin_backup(home);
        // The run removes the leftovers or goes on with them, and then adds to them.
        let mut least = before;
        loop {
            let now = self.count("data/");
            least = least.min(now);
            if now >= least + 3 {
                return child;
            }
            assert!(
                child.0.try_wait().expect("a child").is_none(),
                "it ended before it was seen in the middle"
            );
            std::thread::yield_now();
        }
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

#[test]
#[ignore = "needs a WebDAV server, which tests/env/webdav.sh installs and starts"]
fn a_backup_over_webdav_stands_the_death_of_the_program_and_of_the_server() {
    let server = Mortal::webdav("backup");
    Place::webdav(&server.settings()).stands(&server);
}
