//! Files that hold what was private are for their owner alone.

use super::{User, said};
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_a_command_writes_is_for_its_owner_alone_whatever_the_umask_is() {
    let user = User::with_docs();
    for arguments in [
        "backup docs --metadata-out meta --log-file log",
        "export docs --output docs.tar",
    ] {
        let mut shell = user.program("sh");
        let freezer = env!("CARGO_BIN_EXE_freezer");
        shell.args(["-c", &format!("umask 022; exec {freezer} {arguments}")]);
        let ended = said(&mut shell);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let mode = |file: &str| {
        let stat = std::fs::metadata(user.path(file)).expect(file);
        stat.permissions().mode() & 0o777
    };
    for file in ["meta", "log", "docs.tar"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    // A file that is there keeps the mode that its owner gave it.
    user.write("shared.tar", "old");
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(user.path("shared.tar"), readable).expect("changed");
    user.succeeds("export docs --output shared.tar");
    assert_eq!(mode("shared.tar"), 0o644);
}
