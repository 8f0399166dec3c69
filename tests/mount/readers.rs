//! Files spread over many levels, many readers, slow stores.

use super::*;

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_file_whose_blocks_lie_in_twenty_levels_reads_as_one() {
    let source = scratch();
    let access = backup::create_hidden(Arc::new(MemoryStore::default()));
    let mut content = noise(7, 9 << 20);
    let mut manifest = None;
    for level in 0..20_u64 {
        for page in 0..10 {
            let at =
                usize::try_from((level * 77_719 + page * 947_291) % (content.len() as u64 - 5000))
                    .expect("small");
            content[at..at + 4096].copy_from_slice(&noise(level * 100 + page, 4096));
        }
        content.splice(9000..9000, noise(level, 100));
        fs::write(source.path().join("image"), &content).expect("written");
        let report = backup::back_up(&access, &[source.path()], |request| {
            request.levels = freezer::backup::Levels::default();
            request.engine = Engine::Rsync(BlockOptions::default());
        });
        manifest = Some(report.manifest);
    }
    let manifest = manifest.expect("twenty");
    assert_eq!(manifest.levels.len(), 20, "each holds some of it");
    let (store, store_id, protection) = (access.store(), access.store_id(), access.protection());
    let parts = ViewParts {
        manifest,
        store,
        store_id,
        protection,
        backup: backup::name(),
    };
    let view = View::open(parts, &support::stored_tree::reader(64 << 20)).expect("opened");
    let show = Show::new(Forest::of_tree(view));
    let file = fs::File::open(show.at("image")).expect("opened");
    for turn in 0..300_u64 {
        let at =
            usize::try_from(turn * 7_654_321 % (content.len() as u64 - 10_000)).expect("small");
        let mut buffer = vec![0; 10_000];
        file.read_exact_at(&mut buffer, at as u64).expect("read");
        assert!(buffer == content[at..at + 10_000], "wrong bytes at {at}");
    }
    assert!(fs::read(show.at("image")).expect("read") == content);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn many_readers_at_once_each_read_right_through_a_small_cache() {
    let content = noise(7, 20_000_000);
    let files = [
        Planned::directory(""),
        Planned::file("random", content.clone()),
        Planned::file("text", b"to be or not to be\n".repeat(500_000)),
    ];
    let stored = store(
        files,
        Recipe {
            frame_bytes: 300_000,
            ..Recipe::default()
        },
    );
    let reader = support::stored_tree::reader(2_000_000);
    let show = Show::new(Forest::of_tree(stored.view_through(&reader)));
    thread::scope(|scope| {
        for reader in 0..8_u64 {
            let (content, path) = (&content, show.at("random"));
            scope.spawn(move || {
                let file = fs::File::open(path).expect("opened");
                let mut place = reader.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                for turn in 0..60 {
                    place = place
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let at = usize::try_from((place >> 33) % 19_000_000).expect("small");
                    let length = if turn % 4 == 0 { 900_000 } else { 5000 };
                    let mut buffer = vec![0; length];
                    file.read_exact_at(&mut buffer, at as u64).expect("read");
                    assert!(buffer == content[at..at + length], "wrong bytes at {at}");
                }
            });
        }
        scope.spawn(|| assert!(fs::read(show.at("random")).expect("read") == content));
        scope.spawn(|| assert_eq!(fs::read(show.at("text")).expect("read").len(), 19 * 500_000));
    });
    assert!(reader.counts().held_bytes <= 2_000_000);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_slow_store_does_not_keep_what_is_in_memory_from_being_read() {
    let faulty = Arc::new(Faulty::new(MemoryStore::default()));
    let mut tree = small_files(1, 50);
    tree.push(Planned::file("d000/z big", noise(1, 5_000_000)));
    let stored = StoredTree::write(
        Arc::clone(&faulty) as Arc<dyn Store>,
        tree,
        Recipe {
            frame_bytes: 100_000,
            ..Recipe::default()
        },
    );
    let show = Show::new(Forest::of_tree(stored.view()));
    let first = fs::read(show.at("d000/f0001")).expect("read");
    let gate = faulty.gate(Operation::Get);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8)
            .map(|reader| {
                let path = show.at("d000/z big");
                scope.spawn(move || {
                    let mut buffer = [0; 10];
                    fs::File::open(path)
                        .expect("opened")
                        .read_exact_at(&mut buffer, reader * 500_000 + 1_000_000)
                        .expect("read in the end");
                })
            })
            .collect();
        gate.wait_for(2);
        // All fetching threads wait at the gate now. Requests without a fetch are answered: an
        // attribute that the kernel does not know yet, a listing, a small file in a frame in
        // memory.
        assert_eq!(fs::read_dir(show.at("d000")).expect("listed").count(), 51);
        assert_eq!(fs::read(show.at("d000/f0001")).expect("read"), first);
        assert_eq!(
            fs::read(show.at("d000/f0002")).expect("read").len(),
            "line 2 of directory 0\n".len() * 3
        );
        assert!(waiting.iter().all(|reader| !reader.is_finished()));
        gate.open();
    });
}
