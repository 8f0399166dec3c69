//! Sources that change while they are read: the stream stays a tar archive, and every file that
//! could not be kept is reported and counted.

use crate::support::reading::{self, Readable, Whole};
use crate::support::{backup, scratch, torture};
use freezer::backup::{BlockOptions, Engine, Report, run};
use freezer::catalog::Access;
use freezer::catalog::names::Folder;
use freezer::format::frame::Compression;
use freezer::model::progress::{Collected, Told};
use freezer::model::{Cancel, Content, Entry, Kind, Progress, Trouble};
use freezer::platform::SystemClock;
use freezer::store::StoreExt;
use freezer::store::memory::MemoryStore;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Acts when the first file is in the stream, while the run waits.
///
/// By then the first 64 names of its directory have been opened or read, and all names of the
/// directory are listed. Names a thousand places further have not been read.
pub(super) struct AtFirstFile<'test> {
    pub(super) told: Collected,
    act: Mutex<Option<Box<dyn FnOnce() + Send + 'test>>>,
}

impl<'test> AtFirstFile<'test> {
    pub(super) fn new(act: impl FnOnce() + Send + 'test) -> Self {
        Self {
            told: Collected::default(),
            act: Mutex::new(Some(Box::new(act))),
        }
    }
}

impl Progress for AtFirstFile<'_> {
    fn stage(&self, name: &'static str) {
        self.told.stage(name);
    }

    fn expect_total(&self, files: u64, bytes: u64) {
        self.told.expect_total(files, bytes);
    }

    fn advance(&self, files: u64, bytes: u64) {
        if let Some(act) = self.act.lock().expect("nothing panics").take() {
            act();
        }
        self.told.advance(files, bytes);
    }

    fn trouble(&self, trouble: Trouble) {
        self.told.trouble(trouble);
    }
}

/// Backs a tree up while `progress` listens. Checks that the stream is a tar archive and the counts
/// are right.
#[track_caller]
fn back_up(tree: &Path, progress: &dyn Progress, told: impl Fn() -> Told) -> (Whole, Told, Report) {
    back_up_with(Engine::Tar, tree, progress, told)
}

/// Backs a tree up in the same way with an engine.
#[track_caller]
fn back_up_with(
    engine: Engine,
    tree: &Path,
    progress: &dyn Progress,
    told: impl Fn() -> Told,
) -> (Whole, Told, Report) {
    let store = Arc::new(MemoryStore::default());
    let access = backup::create_plain(store.clone());
    let mut request = backup::request(&[tree]);
    request.engine = engine;
    request.compression = Compression::None;
    request.compression_level = 0;
    let report = run(&request, &access, &SystemClock, progress, &Cancel::new())
        .expect("a change does not end the run");
    let told = told();
    assert_eq!(
        report.manifest.counts.failed,
        told.troubles.len() as u64,
        "{:?}",
        told.troubles
    );
    let whole = reading::whole(&access, &backup::name(), &report.manifest.id);
    assert_eq!(whole.len() as u64, report.manifest.counts.entries);
    let view = reading::open(
        &access,
        &backup::name(),
        &report.manifest.id,
        &reading::reader(),
    )
    .expect("it opens");
    assert_eq!(
        reading::examine(&view, &whole, "a new level"),
        Readable::all_of(&whole),
        "an entry is missing in its directory"
    );
    assert_stream_is_tar(&access, &report, &whole);
    (whole, told, report)
}

/// Checks that stock tar reads the stream without a warning, and finds every file of the index.
#[track_caller]
fn assert_stream_is_tar(access: &Access, report: &Report, whole: &Whole) {
    let mut stream = Vec::new();
    for number in 0..report.manifest.levels[0].segments {
        let of = freezer::catalog::names::LevelOf {
            backup: backup::name(),
            level: report.manifest.id.clone(),
        };
        stream.extend(
            access
                .store()
                .get(&of.data_name(Folder::Segments, number), u64::MAX)
                .expect("stored"),
        );
    }
    assert_eq!(stream.len() as u64, report.manifest.bytes.stream);
    let others = whole
        .iter()
        .filter(|(entry, _)| entry.content != Content::Directory)
        .count();
    for (program, options) in [
        ("tar", ["--quoting-style=escape", "-tf", "-"]),
        ("bsdtar", ["--numeric-owner", "-tf", "-"]),
    ] {
        let mut child = Command::new(program);
        child
            .env("LC_ALL", "C.UTF-8")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().expect("it starts");
        let mut input = child.stdin.take().expect("piped");
        let output = std::thread::scope(|scope| {
            let stream = &stream;
            scope.spawn(move || input.write_all(stream).expect("tar reads to the end"));
            child.wait_with_output().expect("it ends")
        });
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{program}: {said}"
        );
        let listed = String::from_utf8(output.stdout).expect("all names are text");
        let files = listed
            .lines()
            .filter(|line| !line.ends_with('/') && !line.starts_with("./.freezer-blocks/"))
            .count();
        assert_eq!(files, others, "{program} lists another number of files");
    }
}

/// Returns the type and content of a path in a level.
fn at<'whole>(whole: &'whole Whole, path: &str) -> Option<(Kind, &'whole [u8])> {
    let found = whole
        .iter()
        .find(|(entry, _)| entry.path.as_bytes() == path.as_bytes())?;
    Some((found.0.content.kind(), &found.1))
}

fn troubles_of(told: &Told) -> BTreeMap<String, String> {
    told.troubles
        .iter()
        .filter_map(|trouble| trouble.split_once(": "))
        .map(|(path, what)| (path.to_owned(), what.to_owned()))
        .collect()
}

/// Writes small files that separate the names before them from the names behind them.
fn fill(tree: &Path) {
    for number in 0..64 * 24 {
        fs::write(tree.join(format!("m-{number:04}")), b"x").expect("written");
    }
}

fn make_node(path: &Path, kind: FileType) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), 0).expect("made");
}

#[test]
fn a_file_that_changes_after_it_was_listed_is_kept_as_it_is_or_reported() {
    let room = scratch();
    let tree = room.path();
    fill(tree);
    fs::write(tree.join("a-first"), b"first").expect("written");
    for name in [
        "z-directory",
        "z-fifo",
        "z-gone",
        "z-grew",
        "z-link",
        "z-replaced",
        "z-shrank",
        "z-socket",
    ] {
        fs::write(tree.join(name), b"before").expect("written");
    }
    let progress = AtFirstFile::new(|| {
        let fresh = |name: &str| {
            fs::remove_file(tree.join(name)).expect("it was there");
            tree.join(name)
        };
        let directory = fresh("z-directory");
        fs::create_dir(&directory).expect("made");
        fs::write(directory.join("inside"), b"never listed").expect("written");
        make_node(&fresh("z-fifo"), FileType::Fifo);
        make_node(&fresh("z-socket"), FileType::Socket);
        fresh("z-gone");
        std::os::unix::fs::symlink("a-first", fresh("z-link")).expect("linked");
        fs::write(tree.join("z-grew"), vec![b'g'; 500_000]).expect("written");
        fs::write(tree.join("z-shrank"), b"").expect("written");
        fs::write(tree.join("other"), b"another file").expect("written");
        fs::rename(tree.join("other"), tree.join("z-replaced")).expect("renamed");
    });
    let (whole, told, report) = back_up(tree, &progress, || progress.told.told());

    assert_eq!(
        troubles_of(&told).into_keys().collect::<Vec<_>>(),
        ["z-directory"]
    );
    assert_eq!(report.manifest.counts.skipped, 1, "the socket");
    assert_eq!(at(&whole, "a-first"), Some((Kind::File, &b"first"[..])));
    assert_eq!(
        at(&whole, "z-directory"),
        None,
        "its content was not listed, so it must not look empty"
    );
    assert_eq!(at(&whole, "z-fifo"), Some((Kind::Fifo, &b""[..])));
    assert_eq!(at(&whole, "z-gone"), None);
    assert!(at(&whole, "z-grew") == Some((Kind::File, &[b'g'; 500_000])));
    assert_eq!(at(&whole, "z-link").expect("kept").0, Kind::Symlink);
    assert_eq!(
        at(&whole, "z-replaced"),
        Some((Kind::File, &b"another file"[..]))
    );
    assert_eq!(at(&whole, "z-shrank"), Some((Kind::File, &b""[..])));
    assert_eq!(at(&whole, "z-socket"), None);
}

#[test]
fn a_long_file_that_changes_behind_its_header_leaves_the_stream_sound() {
    change_long_files(Engine::Tar);
}

#[test]
fn a_long_file_that_changes_behind_its_header_is_sound_with_signatures_too() {
    change_long_files(Engine::Rsync(BlockOptions {
        threshold_bytes: 200_000,
        ..BlockOptions::default()
    }));
}

fn change_long_files(engine: Engine) {
    let room = scratch();
    let tree = room.path();
    fill(tree);
    let noise = torture::noise(1, 400_000);
    fs::write(tree.join("a-first"), b"first").expect("written");
    for name in ["b-gone", "b-grew", "b-shrank", "b-emptied", "b-overwritten"] {
        fs::write(tree.join(name), &noise).expect("written");
    }
    let progress = AtFirstFile::new(|| {
        let open = |name: &str| {
            let mut options = fs::OpenOptions::new();
            options.append(name == "b-grew").write(true);
            options.open(tree.join(name)).expect("opened")
        };
        let write = |name, bytes: &[u8]| open(name).write_all(bytes).expect("written");
        fs::remove_file(tree.join("b-gone")).expect("removed");
        write("b-grew", &[7; 100_000]);
        open("b-shrank").set_len(150_001).expect("cut");
        open("b-emptied").set_len(0).expect("cut");
        write("b-overwritten", &[9; 400_000]);
    });
    let (whole, told, _) = back_up_with(engine, tree, &progress, || progress.told.told());

    let troubles = troubles_of(&told);
    assert_eq!(
        troubles.keys().collect::<Vec<_>>(),
        ["b-emptied", "b-shrank"]
    );
    assert_eq!(
        told.troubles.len(),
        2,
        "each is reported once: {:?}",
        told.troubles
    );
    assert!(
        troubles["b-shrank"].contains("shrank by 249999 bytes"),
        "{troubles:?}"
    );
    assert!(
        at(&whole, "b-gone") == Some((Kind::File, &noise)),
        "the file was open, so all of it can be read"
    );
    assert!(
        at(&whole, "b-grew") == Some((Kind::File, &noise)),
        "more was kept than the file had when it was opened"
    );
    assert!(
        at(&whole, "b-shrank") == Some((Kind::File, &[&noise[..150_001], &[0; 249_999]].concat()))
    );
    assert!(at(&whole, "b-emptied") == Some((Kind::File, &[0; 400_000])));
    assert!(at(&whole, "b-overwritten") == Some((Kind::File, &[9; 400_000])));
    let is_filler = |entry: &&(Entry, Vec<u8>)| entry.0.path.as_bytes().starts_with(b"m-");
    assert_eq!(whole.iter().filter(is_filler).count(), 64 * 24);
}

#[test]
fn directories_that_vanish_are_reported_and_the_others_are_kept() {
    let room = scratch();
    let tree = room.path();
    fill(tree);
    fs::write(tree.join("a-first"), b"first").expect("written");
    // Before the change, the names with "a" were read as entries of the root; those with "y" were
    // only listed.
    let changing = ["a-file", "a-gone", "a-link", "y-file", "y-gone", "y-link"];
    for name in changing.into_iter().chain(["a-kept", "y-kept"]) {
        fs::create_dir(tree.join(name)).expect("made");
        fs::write(tree.join(name).join("inside"), name).expect("written");
    }
    let progress = AtFirstFile::new(|| {
        for name in changing {
            fs::remove_dir_all(tree.join(name)).expect("removed");
        }
        for (file, link) in [("a-file", "a-link"), ("y-file", "y-link")] {
            fs::write(tree.join(file), b"a file").expect("written");
            std::os::unix::fs::symlink("y-kept", tree.join(link)).expect("linked");
        }
    });
    let (whole, told, _) = back_up(tree, &progress, || progress.told.told());

    assert_eq!(troubles_of(&told).into_keys().collect::<Vec<_>>(), changing);
    assert_eq!(
        told.troubles.len(),
        changing.len(),
        "each is reported once: {:?}",
        told.troubles
    );
    for kept in ["a-kept", "y-kept"] {
        assert_eq!(
            at(&whole, &format!("{kept}/inside")),
            Some((Kind::File, kept.as_bytes()))
        );
    }
    assert_eq!(at(&whole, "a-link/inside"), None, "no link is followed");
    assert_eq!(at(&whole, "y-file"), Some((Kind::File, &b"a file"[..])));
    assert_eq!(at(&whole, "y-gone"), None);
    assert_eq!(at(&whole, "y-link").expect("kept").0, Kind::Symlink);
}

#[test]
fn a_second_name_of_a_file_that_changed_meanwhile_has_the_new_content() {
    let room = scratch();
    let tree = room.path();
    fill(tree);
    for name in ["a-changed", "a-same"] {
        fs::write(tree.join(name), b"before").expect("written");
        fs::hard_link(tree.join(name), tree.join(name.replace("a-", "z-"))).expect("linked");
    }
    let progress = AtFirstFile::new(|| {
        fs::write(tree.join("z-changed"), b"written since then").expect("written")
    });
    let (whole, _, _) = back_up(tree, &progress, || progress.told.told());

    assert_eq!(at(&whole, "a-changed"), Some((Kind::File, &b"before"[..])));
    assert_eq!(
        at(&whole, "z-changed"),
        Some((Kind::File, &b"written since then"[..]))
    );
    let link = |path: &str| {
        whole
            .iter()
            .find(|(entry, _)| entry.path.as_bytes() == path.as_bytes())
            .expect("kept")
            .0
            .link_to
    };
    assert_eq!(link("z-changed"), None);
    assert!(link("z-same").is_some());
}

/// Gives up the rights of root, in this thread and those it starts.
fn become_nobody() {
    if rustix::process::geteuid().is_root() {
        let (user, group) = (
            rustix::process::Uid::from_raw(65534),
            rustix::process::Gid::from_raw(65534),
        );
        rustix::thread::set_thread_groups(&[]).expect("root may");
        rustix::thread::set_thread_res_gid(group, group, group).expect("root may");
        rustix::thread::set_thread_res_uid(user, user, user).expect("root may");
    }
}

#[test]
fn files_without_permission_are_reported_and_the_rest_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let room = scratch();
    let tree = room.path().join("tree");
    let allow = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed")
    };
    allow(room.path(), 0o755);
    for folder in ["", "closed", "open", "unlisted", "unsearched"] {
        fs::create_dir(tree.join(folder)).expect("made");
        fs::write(tree.join(folder).join("file"), folder).expect("written");
    }
    fs::write(tree.join("secret"), b"secret").expect("written");
    allow(&tree, 0o755);
    allow(&tree.join("open"), 0o755);
    allow(&tree.join("secret"), 0);
    allow(&tree.join("closed"), 0);
    allow(&tree.join("unlisted"), 0o311);
    allow(&tree.join("unsearched"), 0o644);
    let as_nobody = || {
        become_nobody();
        let told = Collected::default();
        back_up(&tree, &told, || told.told())
    };
    let (whole, told, _) = std::thread::scope(|scope| scope.spawn(as_nobody).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    ["closed", "unlisted", "unsearched"]
        .into_iter()
        .for_each(|folder| allow(&tree.join(folder), 0o755));

    let troubles = troubles_of(&told);
    assert_eq!(
        troubles.keys().collect::<Vec<_>>(),
        ["closed", "secret", "unlisted", "unsearched/file"],
        "{troubles:?}"
    );
    assert!(
        troubles
            .values()
            .all(|what| what.contains("ermission denied")),
        "{troubles:?}"
    );
    for folder in ["closed", "open", "unlisted", "unsearched"] {
        assert_eq!(
            at(&whole, folder),
            Some((Kind::Directory, &b""[..])),
            "{folder}: its own metadata could be read"
        );
    }
    assert_eq!(at(&whole, "open/file"), Some((Kind::File, &b"open"[..])));
    assert_eq!(
        at(&whole, "secret"),
        None,
        "a file that could not be read must not look empty"
    );
}

/// Changes the tree at random until `stop` is set.
fn disturb(tree: &Path, seed: u64, stop: &AtomicBool) {
    let mut state = seed;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let path = tree.join(format!("changing-{}/{}", random(8), random(40)));
        let gone = || fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        // Each may fail, because something else may be there.
        let _any = match random(9) {
            0 => gone(),
            1 => fs::write(&path, torture::noise(turn, random(300_000))),
            2 => fs::OpenOptions::new()
                .append(true)
                .open(&path)
                .and_then(|mut file| file.write_all(&[1; 5000])),
            3 => fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(random(100_000) as u64)),
            4 => gone().and_then(|()| fs::create_dir_all(path.join("deep/er"))),
            5 => gone().and_then(|()| std::os::unix::fs::symlink("../kept", &path)),
            6 => fs::hard_link(tree.join(format!("changing-0/{}", random(40))), &path),
            7 => fs::rename(tree.join(format!("changing-1/{}", random(40))), &path),
            _ => fs::rename(
                tree.join(format!("changing-{}", random(8))),
                tree.join(format!("changing-{}", random(8))),
            ),
        };
    }
}

#[test]
fn a_tree_that_changes_all_the_time_gives_a_sound_level() {
    let room = scratch();
    let tree = room.path();
    fs::create_dir(tree.join("kept")).expect("made");
    let noise = torture::noise(5, 200_000);
    for number in 0..30 {
        fs::write(tree.join(format!("kept/{number}")), &noise[number * 1000..]).expect("written");
    }
    for folder in 0..8 {
        fs::create_dir(tree.join(format!("changing-{folder}"))).expect("made");
        for number in 0..40 {
            fs::write(
                tree.join(format!("changing-{folder}/{number}")),
                torture::noise(number, 3000),
            )
            .expect("written");
        }
    }
    for round in 0..6 {
        let stop = AtomicBool::new(false);
        let (whole, ..) = std::thread::scope(|scope| {
            let (stop, told) = (&stop, Collected::default());
            let disturbing = scope.spawn(move || disturb(tree, round, stop));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                back_up(tree, &told, || told.told())
            }));
            stop.store(true, Ordering::Relaxed);
            disturbing.join().expect("it ignores errors");
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        for number in 0..30 {
            let kept = at(&whole, &format!("kept/{number}"));
            assert!(
                kept == Some((Kind::File, &noise[number * 1000..])),
                "round {round}: kept/{number} has other bytes"
            );
        }
    }
}
