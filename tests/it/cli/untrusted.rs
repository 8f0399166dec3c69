//! `--untrusted`: backups that somebody else could have made.

use super::{User, said};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn with_setuid_program() -> User {
    let user = User::with_docs();
    let program = user.path("docs/program");
    user.write("docs/program", "#!");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o6755)).expect("set");
    user.succeeds("backup docs -q");
    user
}

#[test]
fn untrusted_restores_no_program_that_acts_as_its_owner_and_says_so() {
    let user = with_setuid_program();
    let mode = |path: &str| {
        let stat = std::fs::metadata(user.path(path)).expect("there");
        stat.mode() & 0o7777
    };
    user.succeeds("restore docs --target as-it-was");
    assert_eq!(mode("as-it-was/program"), 0o6755);
    let said = user.succeeds("restore docs --target harmless --untrusted");
    assert!(said.err.contains("--untrusted left out"), "{said:?}");
    assert!(said.err.contains("of 1 entry"), "{said:?}");
    assert_eq!(mode("harmless/program"), 0o755);
    let said = user.succeeds("restore docs --target again --untrusted --json");
    assert!(said.out.contains(r#""withheld":1"#), "{said:?}");
    user.fails(2, "restore docs --target x --untrusted --numeric-owner");
}

#[test]
fn untrusted_exports_members_without_rights_that_belong_to_whoever_exports() {
    let user = with_setuid_program();
    user.succeeds("export docs --output full.tar");
    let said = user.succeeds("export docs --output harmless.tar --untrusted");
    assert!(said.err.contains("--untrusted left out"), "{said:?}");
    let listed = |archive: &str| {
        let mut tar = user.program("tar");
        tar.args(["--list", "--verbose", "--numeric-owner", "--file", archive]);
        super::said(&mut tar).out
    };
    assert!(listed("full.tar").contains("-rwsr-sr-x"));
    let us = format!(
        "-rwxr-xr-x {}/{}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    let listed = listed("harmless.tar");
    assert!(listed.contains(&us) && !listed.contains("rws"), "{listed}");
}

#[test]
fn root_is_told_of_a_store_that_belongs_to_somebody_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let user = User::with_docs();
    user.succeeds("backup docs --store store");
    let restored = |target: &str, more: &[&str]| {
        let mut command = user.freezer();
        command.args(["restore", "docs", "--store", "store", "--target", target]);
        said(command.args(more))
    };
    let quiet = restored("ours", &[]);
    assert!(!quiet.err.contains("belongs to user"), "{quiet:?}");
    std::os::unix::fs::chown(user.path("store"), Some(4_000_042), None).expect("root may");
    let warned = restored("theirs", &[]);
    assert_eq!(warned.code, 0, "{warned:?}");
    for part in ["belongs to user number 4000042", "--untrusted"] {
        assert!(warned.err.contains(part), "{warned:?}");
    }
    let told = restored("harmless", &["--untrusted"]);
    assert!(!told.err.contains("belongs to user"), "{told:?}");
}
