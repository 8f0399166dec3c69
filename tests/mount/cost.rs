//! How few requests the kernel sends.

use super::*;

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_listing_with_attributes_costs_no_request_the_second_time_and_few_the_first() {
    let (directories, files) = (20, 100);
    let show = show(small_files(directories, files));
    let root = show.at("");
    let list = || {
        assert_eq!(
            run("ls", &["-lR", text(&root)])
                .lines()
                .filter(|line| line.contains(" f"))
                .count(),
            directories * files
        )
    };
    let first = show.cost(list);
    // A directory of 100 entries takes two answers: the entries, and that there are no more. One or
    // two more for all: the root's attributes, and that there are no extended attributes.
    assert!(
        first <= 3 * directories as u64 + 10,
        "{first} requests: {:?}",
        show.counts()
    );
    assert_eq!(show.cost(list), 0, "{:?}", show.counts());
    let counts = show.counts();
    assert!(
        counts["lookup"] <= 2
            && counts["opendir"] <= 1
            && counts["getxattr"] + counts["listxattr"] <= 2,
        "{counts:?}"
    );
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_copy_costs_at_most_one_request_for_each_small_file_and_a_second_reading_none() {
    let (directories, files) = (10, 100);
    let show = show(small_files(directories, files));
    let root = show.at("");
    let target = scratch();
    let copy = show.cost(|| {
        run(
            "cp",
            &["-a", text(&root), text(&target.path().join("copy"))],
        );
    });
    let all = (directories * files) as u64;
    assert!(
        copy <= all + 4 * directories as u64 + 20,
        "{copy} requests for {all} files: {:?}",
        show.counts()
    );
    let search = || {
        assert_eq!(
            run("grep", &["-rl", "line", text(&root)]).lines().count(),
            directories * files
        )
    };
    // The one may be for the size of the file system, which the kernel never keeps.
    assert!(show.cost(search) <= 1, "{:?}", show.counts());
    let counts = show.counts();
    assert!(
        counts["open"] <= 1 && counts["flush"] <= 1 && counts["release"] == 0,
        "{counts:?}"
    );
    assert_eq!(
        run(
            "diff",
            &["-r", text(&root), text(&target.path().join("copy"))]
        ),
        ""
    );
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn files_that_follow_those_read_in_order_are_there_before_they_are_asked_for() {
    let show = show(small_files(2, 40));
    let read = |directory: usize, file: usize| {
        let expected = format!("line {file} of directory {directory}\n").repeat(1 + file % 90);
        assert_eq!(
            fs::read_to_string(show.at(&format!("d{directory:03}/f{file:04}"))).expect("read"),
            expected
        );
    };
    run("ls", &["-lR", text(&show.at(""))]);
    read(0, 0);
    assert_eq!(show.cost(|| read(0, 1)), 1, "one file read is no order yet");
    show.wait_until_sent(4);
    assert_eq!(
        show.cost(|| (2..6).for_each(|file| read(0, file))),
        0,
        "{:?}",
        show.counts()
    );
    assert_eq!(
        show.cost(|| read(0, 6)),
        1,
        "what was not sent tells that the reader came so far"
    );
    show.wait_until_sent(4 + 8);
    assert_eq!(
        show.cost(|| (7..15).for_each(|file| read(0, file))),
        0,
        "{:?}",
        show.counts()
    );
    // The first file of another directory: the walk goes on there.
    assert_eq!(show.cost(|| read(1, 0)), 1);
    show.wait_until_sent(4 + 8 + 8);
    assert_eq!(
        show.cost(|| (1..9).for_each(|file| read(1, file))),
        0,
        "{:?}",
        show.counts()
    );
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_reader_that_picks_files_is_delivered_nothing_ahead() {
    let show = show(small_files(2, 97));
    run("ls", &["-lR", text(&show.at(""))]);
    for turn in 0..96 {
        let file = turn * 31 % 97;
        fs::read(show.at(&format!("d{:03}/f{file:04}", turn % 2))).expect("read");
    }
    let counts = show.counts();
    assert_eq!(
        (counts["read"], counts["sent_ahead"]),
        (96, 0),
        "{counts:?}"
    );
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn the_kernel_asks_once_for_a_missing_name() {
    let show = show(small_files(1, 1));
    let absent = show.at("d000/absent");
    assert!(!absent.exists());
    assert_eq!(show.cost(|| assert!(!absent.exists())), 0);
}
