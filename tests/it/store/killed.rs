//! A process that is killed in the middle of a put leaves no half object.
#![expect(
    clippy::disallowed_methods,
    reason = "the test starts itself as the process to be killed, and tells it its store by a \
        variable"
)]

use freezer::store::local::Local;
use freezer::store::{ObjectName, Rope, Store, StoreExt};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const STORE: &str = "FREEZER_TEST_KILLED_STORE";
const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 256;

/// Few objects, so that most puts replace one.
const OBJECTS: u32 = 3;

fn object(number: u32) -> ObjectName {
    ObjectName::new(format!("data/segments/{:08}", number % OBJECTS)).expect("legal")
}

fn body(number: u32) -> Rope {
    vec![number.to_le_bytes().repeat(PIECE_BYTES / 4); PIECES]
}

#[test]
#[ignore = "the process that the other test kills"]
fn child_that_puts_until_it_is_killed() {
    let Some(folder) = std::env::var_os(STORE) else {
        return;
    };
    // Ends with the test that started it, however that ends.
    std::thread::spawn(|| {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("read to its end");
        std::process::abort();
    });
    let store = Local::open(Path::new(&folder)).expect("a store");
    (0..2000).for_each(|number| store.put(&object(number), &body(number)).expect("stored"));
}

/// Returns whether some temporary file has a part of its bytes but not all.
fn a_put_is_half_done(folder: &Path) -> bool {
    let files = |folder: &Path| {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .collect::<Vec<_>>()
    };
    files(&folder.join("#tmp"))
        .iter()
        .flat_map(|writer| files(&writer.path()))
        .any(|file| {
            let whole = (PIECE_BYTES * PIECES) as u64;
            file.metadata()
                .is_ok_and(|metadata| (1..whole).contains(&metadata.len()))
        })
}

/// Kills and reaps it, also when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("a child");
        self.0.wait().expect("a child");
    }
}

#[test]
fn a_killed_put_leaves_no_half_object_and_the_next_writer_removes_its_temporary() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args([
            "--exact",
            "store::killed::child_that_puts_until_it_is_killed",
            "--ignored",
        ]);
        let mut child = Killed(
            child
                .env(STORE, folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .expect("started"),
        );
        while !a_put_is_half_done(folder.path()) {
            assert!(
                child.0.try_wait().expect("a child").is_none(),
                "round {round}: it ended before it was seen in the middle of a put"
            );
            std::thread::yield_now();
        }
        drop(child);

        let store = Local::open(folder.path()).expect("a store");
        let mut listed = Vec::new();
        let mut keep = |info: freezer::store::ObjectInfo| {
            listed.push(info.name);
            true
        };
        store.list("", &mut keep).expect("listed");
        for (number, name) in (0..).zip(listed) {
            assert_eq!(name, object(number), "round {round}");
            let stored = store.get(&name, u64::MAX).expect("read");
            let put = u32::from_le_bytes(stored[..4].try_into().expect("four bytes"));
            assert!(
                stored == body(put).concat(),
                "round {round}: {name} is not whole"
            );
        }
        assert!(
            fs::read_dir(folder.path().join("#tmp"))
                .expect("there")
                .count()
                >= 1,
            "round {round}: the kill left a temporary"
        );
        store
            .put(&ObjectName::new("last").expect("legal"), &vec![])
            .expect("stored");
        assert_eq!(
            fs::read_dir(folder.path().join("#tmp"))
                .expect("there")
                .count(),
            1,
            "round {round}: only the living writer's folder"
        );
        store
            .delete(&ObjectName::new("last").expect("legal"))
            .expect("removed");
    }
}
