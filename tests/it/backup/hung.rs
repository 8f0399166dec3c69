//! Sources whose file system does not answer: what is left out, what is kept, and how runs end.

use crate::support::hung::{Ask, HungMount, Node};
use crate::support::{backup, reading};
use freezer::backup::{BackupError, BackupRequest, Levels, Report, SourceError, run};
use freezer::catalog::Access;
use freezer::model::Cancel;
use freezer::model::progress::Collected;
use freezer::platform::SystemClock;
use freezer::store::memory::MemoryStore;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Long enough for a healthy call on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);

/// A local tree with a mount on `hung` in it.
struct Place {
    // Ends before the folder that it lies in is removed.
    mount: HungMount,
    room: tempfile::TempDir,
    access: Access,
}

impl Place {
    fn new(nodes: Vec<(String, Node)>) -> Self {
        let room = tempfile::tempdir().expect("a directory");
        let tree = room.path().join("tree");
        fs::create_dir_all(tree.join("hung")).expect("made");
        fs::write(tree.join("before"), "b").expect("written");
        fs::write(tree.join("later"), "l").expect("written");
        Self {
            mount: HungMount::on(&tree.join("hung"), nodes),
            room,
            access: backup::create_plain(Arc::new(MemoryStore::default())),
        }
    }

    fn tree(&self) -> PathBuf {
        self.room.path().join("tree")
    }

    fn request(&self, sources: &[&Path]) -> BackupRequest {
        BackupRequest {
            source_timeout: Some(PATIENCE),
            levels: Levels::default(),
            ..backup::request(sources)
        }
    }

    /// Makes a level, and returns it with its troubles.
    fn back_up(&self, sources: &[&Path]) -> (Report, Vec<String>) {
        let progress = Collected::default();
        let report = run(
            &self.request(sources),
            &self.access,
            &SystemClock,
            &progress,
            &Cancel::new(),
        );
        let mut troubles = progress.told().troubles;
        troubles.sort();
        (report.expect("a level"), troubles)
    }

    /// The paths of a level with their contents.
    fn holds(&self, report: &Report) -> Vec<(String, Vec<u8>)> {
        let whole = reading::whole(&self.access, &backup::name(), &report.manifest.id);
        whole
            .into_iter()
            .map(|(entry, content)| (entry.path.to_string(), content))
            .collect()
    }

    fn names(&self, report: &Report) -> Vec<String> {
        self.holds(report)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }
}

fn file(name: &str, content: &[u8]) -> (String, Node) {
    (name.to_owned(), Node::File(content.to_vec()))
}

/// One call that hangs, on `x` between two names that answer.
struct Case {
    node: Node,
    hangs: Ask,
    /// The call as it is named.
    call: &'static str,
    /// Whether the entry is there all the same.
    is_kept: bool,
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn each_call_of_a_mount_that_hangs_is_named_and_only_its_file_is_left_out() {
    let small = || Node::File(b"small".to_vec());
    let large = || Node::File(vec![7; 1 << 20]);
    let case = |node, hangs, call, is_kept| Case {
        node,
        hangs,
        call,
        is_kept,
    };
    let cases = [
        case(small(), Ask::Lookup, "(open)", false),
        case(Node::Symlink("a"), Ask::Lookup, "(lstat)", false),
        case(small(), Ask::Open, "(open)", false),
        case(small(), Ask::Listxattr, "(getxattr)", false),
        case(small(), Ask::Read, "(read)", false),
        case(large(), Ask::Read, "(read)", true),
        case(Node::Symlink("a"), Ask::Readlink, "(readlink)", false),
        case(Node::Directory, Ask::Readdir, "(readdir)", true),
    ];
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || one_call_hangs(case));
        }
    });
}

fn one_call_hangs(case: Case) {
    let what = format!("{:?} of {:?}", case.hangs, case.call);
    let nodes = vec![
        file("a", b"A"),
        ("x".to_owned(), case.node),
        file("z", b"Z"),
    ];
    let place = Place::new(nodes);
    let hangs = case.hangs;
    place
        .mount
        .hang(move |ask, name| ask == hangs && name == "x");
    let (report, troubles) = place.back_up(&[&place.tree()]);
    assert_eq!(troubles.len(), 1, "{what}: {troubles:?}");
    assert!(
        troubles[0].starts_with("hung/x: ")
            && troubles[0].contains("did not answer within 3 s")
            && troubles[0].contains(case.call),
        "{what}: {troubles:?}"
    );
    assert_eq!(report.manifest.counts.failed, 1, "{what}");
    let mut expected = vec!["", "before", "hung", "later", "hung/a"];
    expected.extend(case.is_kept.then_some("hung/x"));
    expected.push("hung/z");
    assert_eq!(place.names(&report), expected, "{what}");
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn nothing_of_a_mount_that_hangs_counts_as_removed() {
    let place = Place::new(vec![file("a", b"A"), ("d".to_owned(), Node::Directory)]);
    let (_, troubles) = place.back_up(&[&place.tree()]);
    assert_eq!(troubles, [] as [&str; 0]);
    fs::write(place.tree().join("later"), "changed").expect("written");
    fs::remove_file(place.tree().join("before")).expect("removed");
    place.mount.hang(|_, _| true);
    let (second, troubles) = place.back_up(&[&place.tree()]);
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert!(troubles[0].starts_with("hung: "), "{troubles:?}");
    let counts = &second.manifest.counts;
    assert_eq!((counts.removed, counts.failed), (1, 1));
    let later = ("later".to_owned(), b"changed".to_vec());
    assert!(place.holds(&second).contains(&later));
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn a_mount_with_many_files_that_hang_is_left_out_as_a_whole() {
    let nodes = (0..400).map(|number| file(&format!("f{number:03}"), b"x"));
    let place = Place::new(nodes.collect());
    place.mount.hang(|ask, _| ask == Ask::Open);
    let (report, troubles) = place.back_up(&[&place.tree()]);
    let asked = place.mount.unanswered().len();
    assert!((3..=8).contains(&asked), "{asked} calls hang");
    assert_eq!(troubles.len(), 400);
    let left_out = troubles
        .iter()
        .filter(|trouble| trouble.contains("left out as a whole"));
    assert_eq!(left_out.count(), 400 - asked, "{troubles:?}");
    assert_eq!(place.names(&report), ["", "before", "hung", "later"]);
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn a_mount_that_hangs_for_ever_does_not_keep_a_run_from_being_interrupted() {
    let place = Place::new(vec![file("a", b"A")]);
    let cancel = Cancel::new();
    let on_hang = cancel.clone();
    place.mount.hang(move |ask, name| {
        let hangs = (ask, name) == (Ask::Open, "a");
        if hangs {
            on_hang.request();
        }
        hangs
    });
    let tree = place.tree();
    let request = BackupRequest {
        source_timeout: None,
        ..place.request(&[&tree])
    };
    let progress = Collected::default();
    let error = run(&request, &place.access, &SystemClock, &progress, &cancel);
    let error = error.expect_err("it was interrupted");
    assert!(matches!(error, BackupError::Interrupted(_)), "{error:?}");
    assert_eq!(progress.told().troubles, [] as [&str; 0]);
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn one_of_several_sources_on_a_hung_mount_is_left_out_and_alone_it_is_refused() {
    let place = Place::new(vec![file("a", b"A")]);
    let (healthy, hung) = (place.room.path().join("healthy"), place.tree().join("hung"));
    fs::create_dir(&healthy).expect("made");
    fs::write(healthy.join("h"), "h").expect("written");
    place.back_up(&[&healthy, &hung]);
    fs::write(healthy.join("h"), "changed").expect("written");
    place.mount.hang(|_, _| true);
    let (second, troubles) = place.back_up(&[&healthy, &hung]);
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert!(
        troubles[0].contains("tree/hung: ") && troubles[0].contains("did not answer"),
        "{troubles:?}"
    );
    assert_eq!(second.manifest.counts.removed, 0);
    let alone = run(
        &place.request(&[&hung]),
        &place.access,
        &SystemClock,
        &Collected::default(),
        &Cancel::new(),
    );
    assert!(
        matches!(
            alone,
            Err(BackupError::Source(SourceError::NoAnswer { .. }))
        ),
        "{alone:?}"
    );
}
