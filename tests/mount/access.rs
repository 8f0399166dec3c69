//! Permissions in a mount.

use super::*;

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn changes_are_refused_even_for_root_and_on_a_mount_made_writable() {
    let mut tree = small_files(1, 1);
    tree[0].entry.metadata.xattrs = vec![Xattr {
        name: (*b"user.a").into(),
        value: (*b"b").into(),
    }];
    let show = show(tree);
    let file = show.at("d000/f0000");
    for flags in [MountFlags::RDONLY, MountFlags::empty()] {
        rustix::mount::mount_remount(show.mounted().mount_point(), flags, c"").expect("root may");
        let errors = [
            fs::write(&file, "x"),
            fs::remove_file(&file),
            fs::create_dir(show.at("new")),
            fs::write(show.at("new"), "x"),
            fs::rename(&file, show.at("new")),
            fs::hard_link(&file, show.at("new")),
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)),
            fs::remove_dir(show.at("d000")),
            std::os::unix::fs::symlink("x", show.at("new")),
            std::os::unix::fs::chown(&file, Some(1), Some(1)),
            rustix::fs::setxattr(&file, "user.x", b"y", rustix::fs::XattrFlags::empty())
                .map_err(Into::into),
            rustix::fs::removexattr(show.at(""), "user.a").map_err(Into::into),
            fs::File::options()
                .write(true)
                .open(&file)
                .and_then(|file| file.write_at(b"x", 0))
                .map(|_| ()),
            fs::File::options()
                .write(true)
                .open(&file)
                .and_then(|file| file.set_len(0)),
        ];
        for (number, result) in errors.into_iter().enumerate() {
            let error = result.expect_err("nothing can be changed");
            assert_eq!(
                error.raw_os_error(),
                Some(Errno::ROFS.raw_os_error()),
                "change {number} with {flags:?}: {error}"
            );
        }
    }
    assert!(fs::read(&file).expect("read").starts_with(b"line 0"));
}

/// Whether a process of another user can read a file.
fn can_read(user: u32, group: u32, path: &Path) -> bool {
    let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
    let status = Command::new("setpriv")
        .args([&user, &group, "--clear-groups", "cat"])
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("setpriv runs").success()
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn permissions_are_those_of_the_source_acls_among_them() {
    let with_mode = |name: &str, mode: u32| {
        let mut file = Planned::file(name, "x");
        file.entry.metadata.mode = mode;
        file.entry.metadata.owner.uid = 1000;
        file.entry.metadata.owner.gid = 2000;
        file
    };
    // user::rw-, user:7:r--, group::---, mask::r--, other::---: the group's bits in the mode are
    // the mask's.
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 0, 0, 255, 255,
        255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
    ];
    let mut listed = with_mode("acl", 0o640);
    listed.entry.metadata.xattrs = vec![Xattr {
        name: (*b"system.posix_acl_access").into(),
        value: acl.into(),
    }];
    let tree = [
        Planned::directory(""),
        listed,
        with_mode("everybody", 0o644),
        with_mode("group", 0o640),
        with_mode("owner", 0o600),
    ];
    let view = store(tree, Recipe::default()).view();
    let everyone = |options: &mut MountOptions| options.audience = Audience::Everyone;
    let show = Show::with(Forest::of_tree(view.clone()), everyone);
    let may = |user, group| {
        ["acl", "everybody", "group", "owner"].map(|name| can_read(user, group, &show.at(name)))
    };
    assert_eq!(may(1000, 1), [true, true, true, true], "the owner");
    assert_eq!(may(7, 7), [true, true, false, false], "whom the ACL names");
    assert_eq!(
        may(8, 2000),
        [false, true, true, false],
        "the group, which the ACL shuts out"
    );
    assert_eq!(may(8, 8), [false, true, false, false], "anybody");
    drop(show);

    let show = Show::new(Forest::of_tree(view.clone()));
    assert!(
        !can_read(1000, 1, &show.at("everybody")),
        "a mount is its owner's unless it is said otherwise"
    );
    drop(show);

    let show = Show::with(Forest::of_tree(view), |options| {
        everyone(options);
        options.appearance.uid = Some(77);
        options.appearance.gid = Some(88);
        options.appearance.permissions = Permissions::Ignored;
    });
    let metadata = fs::metadata(show.at("owner")).expect("there");
    assert_eq!((metadata.uid(), metadata.gid()), (77, 88));
    assert!(can_read(8, 8, &show.at("owner")));
}
