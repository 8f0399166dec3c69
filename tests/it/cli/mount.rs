//! `freezer mount` and what it leaves.

use super::User;

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn a_mount_answers_when_the_command_returns_and_ends_when_told() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    user.write("m/x", "");
    assert!(user.fails(1, "mount docs m").err.contains("not empty"));
    std::fs::remove_file(user.path("m/x")).expect("removed");

    let said = user.succeeds("mount docs m");
    assert!(said.err.contains("freezer umount"), "{said:?}");
    assert_eq!(
        std::fs::read(user.path("m/latest/a.txt")).expect("readable"),
        b"hello\n"
    );
    user.succeeds("umount m");
    assert!(!user.path("m/latest").exists());

    let process = user.succeeds("mount docs@latest m --json").json()["process"]
        .as_u64()
        .expect("a number");
    assert_eq!(
        std::fs::read(user.path("m/sub/b.txt")).expect("readable"),
        b"bee\n"
    );
    let pid = rustix::process::Pid::from_raw(i32::try_from(process).expect("fits")).expect("not 0");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    while user.path("m/a.txt").exists() {
        std::thread::yield_now();
    }
    assert!(user.path(".local/state/freezer/mount.log").exists());
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn what_is_wrong_is_told_before_the_command_returns() {
    let user = User::with_docs();
    user.write("pass", "secret\n");
    user.write("wrong", "other\n");
    user.succeeds("backup docs --encrypt-pass-file pass");
    std::fs::create_dir(user.path("m")).expect("made");
    let said = user.fails(1, "mount docs m --encrypt-pass-file wrong");
    assert!(said.err.contains("wrong passphrase"), "{said:?}");
    assert!(
        user.fails(1, "mount nope m --encrypt-pass-file pass")
            .err
            .contains("nope")
    );
    assert!(
        user.fails(1, "mount docs nowhere --encrypt-pass-file pass")
            .err
            .contains("nowhere")
    );
    assert!(
        user.fails(
            1,
            "mount docs .local/share/freezer --encrypt-pass-file pass --cover"
        )
        .err
        .contains("store")
    );
    assert!(user.fails(1, "umount m").err.contains("could not unmount"));
}
