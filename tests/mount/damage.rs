//! Errors of a mount whose store is damaged or does not answer.

use super::*;
use freezer::store::StoreExt;

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn damage_is_an_input_error_for_the_files_it_hits_and_all_others_read() {
    let contents: Vec<_> = (0..60).map(|number| noise(number, 40_000)).collect();
    let files = contents
        .iter()
        .enumerate()
        .map(|(number, content)| Planned::file(&format!("file {number:02}"), content.clone()));
    let tree: Vec<_> = std::iter::once(Planned::directory(""))
        .chain(files)
        .collect();
    let recipe = Recipe {
        frame_bytes: 200_000,
        segment_bytes: 500_000,
        ..Recipe::default()
    };
    for harm in ["flip", "cut", "delete"] {
        let stored = store(tree.clone(), recipe);
        let mut segments: Vec<ObjectName> = Vec::new();
        stored
            .store
            .list("data/", &mut |object| {
                segments
                    .extend(Some(object.name).filter(|name| name.as_str().contains("/segments/")));
                true
            })
            .expect("listed");
        let name = &segments[1];
        let mut body = stored.store.get(name, u64::MAX).expect("there");
        match harm {
            "flip" => body[1000] ^= 1,
            "cut" => body.truncate(100),
            _ => (),
        }
        match harm {
            "delete" => stored.store.delete(name).expect("deleted"),
            _ => stored.store.put(name, &vec![body]).expect("stored"),
        }
        let show = Show::new(Forest::of_tree(stored.view()));
        assert_eq!(
            fs::read_dir(show.at("")).expect("listed").count(),
            contents.len()
        );
        let mut failed = 0;
        for (number, content) in contents.iter().enumerate() {
            match fs::read(show.at(&format!("file {number:02}"))) {
                Ok(read) => assert!(read == *content, "{harm}: wrong bytes in file {number}"),
                Err(error) => {
                    assert_eq!(
                        error.raw_os_error(),
                        Some(Errno::IO.raw_os_error()),
                        "{harm}: {error}"
                    );
                    failed += 1;
                }
            }
        }
        assert!((1..=20).contains(&failed), "{harm}: {failed} files failed");
    }
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_damaged_index_is_an_input_error_and_never_an_empty_directory_or_no_such_file() {
    let tree = small_files(20, 150);
    let stored = store(
        tree,
        Recipe {
            segment_bytes: 4 << 20,
            ..Recipe::default()
        },
    );
    let index = names::data_name(&stored.backup, &stored.manifest.id, Folder::Index, 0);
    let mut body = stored.store.get(&index, u64::MAX).expect("there");
    let middle = body.len() / 2;
    body[middle] ^= 1;
    stored.store.put(&index, &vec![body]).expect("stored");
    let show = Show::new(Forest::of_tree(stored.view()));
    let is_input_error =
        |error: &std::io::Error| error.raw_os_error() == Some(Errno::IO.raw_os_error());
    let (mut whole, mut broken) = (0, 0);
    for directory in 0..20 {
        let directory = show.at(&format!("d{directory:03}"));
        let names: Result<Vec<_>, _> = fs::read_dir(&directory)
            .expect("opening asks for nothing")
            .collect();
        match names {
            Ok(names) => {
                assert_eq!(names.len(), 150, "{}", directory.display());
                whole += 1;
            }
            Err(error) => {
                assert!(is_input_error(&error), "{error}");
                broken += 1;
            }
        }
        for file in 0..150 {
            if let Err(error) = fs::metadata(directory.join(format!("f{file:04}"))) {
                assert!(is_input_error(&error), "{error}");
            }
        }
    }
    assert!(
        whole > 10 && broken > 0,
        "{whole} directories whole, {broken} broken"
    );
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_store_that_does_not_answer_is_an_input_error_after_the_deadline_until_it_does() {
    let faulty = Arc::new(Faulty::new(MemoryStore::default()));
    let tree = [
        Planned::directory(""),
        Planned::file("file", noise(1, 100_000)),
        Planned::file("other", noise(2, 100_000)),
    ];
    let stored = StoredTree::write(
        Arc::clone(&faulty) as Arc<dyn Store>,
        tree,
        Recipe {
            frame_bytes: 100_000,
            ..Recipe::default()
        },
    );
    let patience = Duration::from_millis(100);
    let fetch_threads = NonZeroUsize::new(2).expect("not zero");
    let reader = FileReader::new(&ReadOptions {
        patience,
        fetch_threads,
        ..ReadOptions::default()
    })
    .expect("threads");
    let show = Show::with(
        Forest::of_tree(stored.view_through(&Arc::new(reader))),
        |options| options.appearance.patience = patience,
    );
    let gate = faulty.gate(Operation::Get);
    let error = fs::read(show.at("file")).expect_err("the store does not answer");
    assert_eq!(
        error.raw_os_error(),
        Some(Errno::IO.raw_os_error()),
        "{error}"
    );
    assert_eq!(fs::read_dir(show.at("")).expect("in memory").count(), 2);
    gate.open();
    // On a busy machine even the store in memory may need longer than this patience. So the test
    // accepts the same error until an answer comes.
    let read = |name: &str| loop {
        match fs::read(show.at(name)) {
            Ok(content) => break content,
            Err(error) => assert_eq!(
                error.raw_os_error(),
                Some(Errno::IO.raw_os_error()),
                "{name}: {error}"
            ),
        }
    };
    assert!(
        read("other") == noise(2, 100_000),
        "the store answers again"
    );
    assert!(
        read("file") == noise(1, 100_000),
        "the error is not remembered"
    );
}
