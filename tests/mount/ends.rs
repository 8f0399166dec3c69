//! The beginning and the end of mounts, orderly or not.

use super::*;

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_point_that_cannot_be_used_is_refused_by_name() {
    let view = store(small_files(1, 1), Recipe::default()).view();
    let directory = scratch();
    let attempt = |path: &Path, store: Option<&Path>| {
        let options = MountOptions {
            store: store.map(Path::to_owned),
            ..MountOptions::new(path, "test")
        };
        mount::mount(&options, Forest::of_tree(view.clone()))
            .map(|_| ())
            .expect_err("refused")
    };
    let inside = directory.path().join("store/inside");
    fs::create_dir_all(&inside).expect("made");
    fs::write(directory.path().join("file"), "x").expect("written");
    assert!(matches!(
        attempt(&directory.path().join("absent"), None),
        MountError::MountPoint { .. }
    ));
    assert!(matches!(
        attempt(&directory.path().join("file"), None),
        MountError::NotADirectory(_)
    ));
    assert!(matches!(
        attempt(directory.path(), None),
        MountError::Occupied(_)
    ));
    let store = directory.path().join("store");
    assert!(matches!(
        attempt(directory.path(), Some(&store)),
        MountError::CoversStore { .. }
    ));
    assert!(matches!(
        attempt(&store, Some(&store)),
        MountError::CoversStore { .. }
    ));
    assert!(matches!(
        attempt(&inside, Some(&store)),
        MountError::CoversStore { .. }
    ));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_ends_although_a_program_uses_it() {
    let show = show(small_files(1, 1));
    let mount_point = show.mounted().mount_point().to_owned();
    let held = fs::File::open(show.at("d000/f0000")).expect("opened");
    drop(show);
    assert!(!run("cat", &["/proc/self/mounts"]).contains(text(&mount_point)));
    drop(held);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_of_another_program_is_not_unmounted() {
    let directory = scratch();
    assert!(matches!(
        mount::unmount(directory.path()),
        Err(MountError::NotOurs(_))
    ));
    assert!(matches!(
        mount::unmount(Path::new("/proc")),
        Err(MountError::NotOurs(_))
    ));
}

/// Mounts an empty file system with a file that identifies it.
fn mount_other(place: &Path) {
    rustix::mount::mount("other", place, "tmpfs", MountFlags::empty(), c"").expect("mounted");
    fs::write(place.join("other"), "x").expect("written");
}

fn unmount_other(place: &Path) {
    assert!(place.join("other").exists(), "it was taken away");
    rustix::mount::unmount(place, rustix::mount::UnmountFlags::empty()).expect("unmounted");
}

fn unmount_lazily(place: &Path) {
    rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH).expect("unmounted");
}

/// Waits until the process that serves a mount has ended by itself.
fn wait_for(mut child: std::process::Child) {
    assert!(child.wait().expect("ended").success());
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_that_was_unmounted_while_in_use_takes_nothing_with_it_when_its_last_user_leaves() {
    let directory = scratch();
    let mount_point = directory.path().join("mnt");
    fs::create_dir(&mount_point).expect("made");
    let child = serve_elsewhere(&mount_point);
    let held = fs::File::open(mount_point.join("d000/f0000")).expect("opened");
    unmount_lazily(&mount_point);
    mount_other(&mount_point);
    drop(held);
    wait_for(child);
    unmount_other(&mount_point);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_that_ends_leaves_another_mount_of_ours_in_its_place() {
    let directory = scratch();
    let mount_point = directory.path().join("mnt");
    fs::create_dir(&mount_point).expect("made");
    let first = serve_elsewhere(&mount_point);
    let held = fs::File::open(mount_point.join("d000/f0000")).expect("opened");
    unmount_lazily(&mount_point);
    let second = serve_elsewhere(&mount_point);
    drop(held);
    wait_for(first);
    assert!(mount_point.join("d000/f0000").exists());
    mount::unmount(&mount_point).expect("unmounted");
    wait_for(second);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_signal_takes_away_no_mount_that_lies_over_or_in_ours() {
    use rustix::process::{Pid, Signal, kill_process};
    for place in ["", "d000"] {
        let directory = scratch();
        let mount_point = directory.path().join("mnt");
        fs::create_dir(&mount_point).expect("made");
        let mut child = serve_elsewhere(&mount_point);
        mount_other(&mount_point.join(place));
        assert!(matches!(
            mount::unmount(&mount_point),
            Err(MountError::Entangled { .. })
        ));
        kill_process(Pid::from_child(&child), Signal::TERM).expect("sent");
        assert!(!child.wait().expect("ended").success(), "it tells");
        unmount_other(&mount_point.join(place));
        // The mount that it left behind is dead, and can be taken away.
        mount::unmount(&mount_point).expect("unmounted");
        assert_eq!(fs::read_dir(&mount_point).expect("listed").count(), 0);
    }
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn the_upper_of_two_mounts_is_unmounted_also_through_a_link() {
    let directory = scratch();
    let mount_point = directory.path().join("mnt");
    fs::create_dir(&mount_point).expect("made");
    std::os::unix::fs::symlink("mnt", directory.path().join("link")).expect("linked");
    mount_other(&mount_point);
    let view = store(small_files(1, 1), Recipe::default()).view();
    let options = MountOptions {
        occupied: mount::Occupied::Cover,
        ..MountOptions::new(&mount_point, "test")
    };
    let mounted = mount::mount(&options, Forest::of_tree(view)).expect("mounted");
    assert!(mount_point.join("d000").exists());
    mount::unmount(&directory.path().join("link")).expect("unmounted");
    mounted.unmount().expect("it has ended by itself");
    assert!(matches!(
        mount::unmount(&mount_point),
        Err(MountError::NotOurs(_))
    ));
    unmount_other(&mount_point);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn nothing_is_mounted_in_any_store_or_over_another_name_of_the_own_store() {
    let view = store(small_files(1, 1), Recipe::default()).view();
    let directory = scratch();
    let other = directory.path().join("other");
    fs::create_dir_all(other.join("data/x")).expect("made");
    fs::write(other.join("freezer.json"), r#"{"format":"freezer store"}"#).expect("written");
    let (own, bound) = (directory.path().join("own"), directory.path().join("bound"));
    fs::create_dir_all(own.join("store")).expect("made");
    fs::create_dir(&bound).expect("made");
    rustix::mount::mount_bind(&own, &bound).expect("root may");
    let attempt = |place: PathBuf| {
        let options = MountOptions {
            store: Some(own.join("store")),
            occupied: mount::Occupied::Cover,
            ..MountOptions::new(place, "test")
        };
        mount::mount(&options, Forest::of_tree(view.clone())).map(|_| ())
    };
    for place in [
        other.clone(),
        other.join("data/x"),
        bound.join("store"),
        bound.clone(),
    ] {
        assert!(
            matches!(attempt(place.clone()), Err(MountError::CoversStore { .. })),
            "{place:?}"
        );
    }
    unmount_lazily(&bound);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_that_is_in_use_is_not_unmounted_until_it_is_free() {
    let mut show = show(small_files(1, 1));
    let mount_point = show.mounted().mount_point().to_owned();
    let held = fs::File::open(show.at("d000/f0000")).expect("opened");
    let error = mount::unmount(&mount_point).expect_err("a file is open");
    let source = std::error::Error::source(&error)
        .expect("a cause")
        .downcast_ref::<std::io::Error>()
        .expect("of the system");
    assert_eq!(source.raw_os_error(), Some(Errno::BUSY.raw_os_error()));
    drop(held);
    mount::unmount(&mount_point).expect("free");
    show.mounted
        .take()
        .expect("still there")
        .unmount()
        .expect("it has ended by itself");
    assert_eq!(fs::read_dir(&mount_point).expect("listed").count(), 0);
}

/// Serves a mount in a process of its own, for another test that writes the mount point to its
/// input.
#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn serve_for_another_test() {
    let mut mount_point = String::new();
    std::io::stdin()
        .read_line(&mut mount_point)
        .expect("a line");
    if mount_point.is_empty() {
        return; // no other test has started this
    }
    let view: View = store(small_files(3, 30), Recipe::default()).view();
    let options = MountOptions {
        stats_file: Some(PathBuf::from(format!("{}.stats", mount_point.trim()))),
        ..MountOptions::new(mount_point.trim(), "test")
    };
    mount::serve(&options, Forest::of_tree(view), || println!("\nready"))
        .expect("served to the end");
}

fn serve_elsewhere(mount_point: &Path) -> std::process::Child {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args([
            "--exact",
            "ends::serve_for_another_test",
            "--ignored",
            "--nocapture",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    writeln!(child.stdin.take().expect("piped"), "{}", text(mount_point)).expect("written");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        assert!(
            output.read_line(&mut line).expect("read") > 0,
            "it ended before it was ready"
        );
    }
    // Its end must not be held up by a full pipe.
    thread::spawn(move || output.read_to_end(&mut Vec::new()));
    child
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_whose_process_was_killed_is_taken_away_by_the_next() {
    let directory = scratch();
    let mount_point = directory.path().join("mnt");
    fs::create_dir(&mount_point).expect("made");
    let mut child = serve_elsewhere(&mount_point);
    assert!(mount_point.join("d000/f0001").exists());
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(
        rustix::fs::statvfs(&mount_point).err(),
        Some(Errno::NOTCONN)
    );
    let view = store(small_files(1, 1), Recipe::default()).view();
    let mounted = mount::mount(
        &MountOptions::new(&mount_point, "test"),
        Forest::of_tree(view),
    )
    .expect("mounted again");
    assert!(mount_point.join("d000/f0000").exists());
    mounted.unmount().expect("unmounted");
    assert_eq!(
        fs::read_dir(&mount_point).expect("listed").count(),
        0,
        "nothing is left"
    );
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_signal_ends_the_mount_and_leaves_nothing_but_the_counts() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM] {
        let directory = scratch();
        let mount_point = directory.path().join("mnt");
        fs::create_dir(&mount_point).expect("made");
        let mut child = serve_elsewhere(&mount_point);
        assert_eq!(
            fs::read_dir(mount_point.join("d001"))
                .expect("listed")
                .count(),
            30
        );
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("sent");
        assert!(child.wait().expect("ended").success());
        assert_eq!(fs::read_dir(&mount_point).expect("listed").count(), 0);
        let stats = fs::read_to_string(directory.path().join("mnt.stats")).expect("written");
        let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
        assert!(
            stats["requests"]["readdirplus"]
                .as_u64()
                .is_some_and(|count| count > 0),
            "{stats}"
        );
        assert!(stats["cache"]["fetched"].is_u64(), "{stats}");
    }
}
