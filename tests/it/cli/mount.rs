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
    let said = user.fails(12, "mount docs m --encrypt-pass-file wrong");
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

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn a_mount_whose_disk_cache_is_refused_says_so_before_it_goes_to_the_background() {
    let user = User::with_docs();
    user.succeeds("backup docs -q");
    user.write("dc/freezer-cache/notes.txt", "mine");
    user.write("m/below", "");
    std::fs::remove_file(user.path("m/below")).expect("removed");
    let said = user.fails(1, "mount docs@latest m --disk-cache dc");
    assert!(
        said.err.contains("could not use dc as a disk cache")
            && said.err.contains("freezer did not make it"),
        "{said:?}"
    );
    assert!(!user.path("m/a.txt").exists(), "nothing is mounted");
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn a_mount_reads_what_its_disk_cache_holds_when_the_data_is_gone() {
    let user = User::new();
    let content = crate::support::torture::noise(5, 5 << 20);
    user.write("docs/large", &content);
    user.succeeds("backup docs -q");
    user.write("m/below", "");
    std::fs::remove_file(user.path("m/below")).expect("removed");
    let mount = "mount docs@latest m -q --disk-cache dc";
    let read = || std::fs::read(user.path("m/large"));
    user.succeeds(mount);
    assert!(read().expect("readable") == content);
    user.succeeds("umount m -q");
    // One whole copy: neither another one nor a read anywhere needs the segments.
    for segment in user.objects("segments") {
        std::fs::remove_file(segment).expect("removed");
    }
    user.succeeds(mount);
    let mut piece = [0; 4096];
    let file = std::fs::File::open(user.path("m/large")).expect("there");
    for place in [4_000_000, 17, 2_500_000, 123_456] {
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut piece, place).expect("readable");
        let from = usize::try_from(place).expect("small");
        assert!(piece == content[from..][..4096], "{place}");
    }
    drop(file);
    assert!(read().expect("readable") == content);
    // A cache that goes away while it is used fails no read.
    std::fs::remove_dir_all(user.path("dc")).expect("removed");
    user.succeeds("umount m -q");
}
