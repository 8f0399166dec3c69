//! What is said when the store is not what it was.

use super::User;

/// A user with three files, each of several frames, and the first of the segments.
fn user_with_segments() -> (User, std::path::PathBuf) {
    let user = User::new();
    for name in ["a", "b", "c"] {
        let mut content = Vec::new();
        let mut state = u64::from(name.as_bytes()[0]);
        while content.len() < 9 << 20 {
            // Noise that no codec makes smaller.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            content.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
        }
        user.write(&format!("docs/{name}"), content);
    }
    user.succeeds("backup docs --max-segment-size 8MiB");
    let segments = user.objects("/segments/");
    assert!(segments.len() >= 3, "{segments:?}");
    let first = segments.first().expect("counted").clone();
    (user, first)
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("read");
    let end = bytes.len();
    bytes[at.min(end - 1)] ^= 0x10;
    std::fs::remove_file(path).expect("removed");
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn an_object_with_the_name_of_a_manifest_is_told_and_in_the_way_of_nothing() {
    let user = User::with_docs();
    for content in ["one\n", "two\n"] {
        user.write("docs/a.txt", content);
        user.succeeds("backup docs --hostname here -q");
    }
    let manifest = user.objects("/manifests/").remove(0);
    let stray = manifest.with_file_name("20991130T025420.000Z-00000000");
    std::fs::write(&stray, "junk").expect("written");
    let sound = |said: &str| !said.contains("2099");
    assert_eq!(user.succeeds("cat docs a.txt").out, "two\n");
    assert_eq!(user.succeeds("cat docs@today a.txt").out, "two\n");
    let said = user.succeeds("list");
    assert!(sound(&said.out), "{said:?}");
    assert!(
        said.err.contains("more than a day in the future"),
        "{said:?}"
    );
    let said = user.fails(3, "list docs");
    assert!(
        said.err.contains("freezer repair here/docs removes it"),
        "{said:?}"
    );
    let said = user.fails(1, "check docs");
    assert!(
        said.err
            .contains("manifests/here/docs/20991130T025420.000Z-00000000 is no manifest"),
        "{said:?}"
    );
    user.write("docs/a.txt", "three\n");
    let said = user.succeeds("backup docs --hostname here");
    assert!(
        said.err.contains("backed up") && !said.err.contains("docs@2099"),
        "{said:?}"
    );
    let data = user.objects("/data/").len();
    user.succeeds("prune docs --keep-last 1 --grace 0 --yes");
    assert!(user.objects("/data/").len() < data);
    user.runs("repair docs --yes");
    assert!(!stray.exists());
    user.succeeds("check docs --read-data");
    assert_eq!(user.succeeds("cat docs a.txt").out, "three\n");
}

#[test]
fn a_flipped_byte_is_found_when_data_is_read_and_the_file_is_named() {
    let (user, segment) = user_with_segments();
    flip(&segment, 500_000);
    user.succeeds("check");
    let said = user.fails(1, "check --read-data");
    assert!(
        said.out.contains("segments/00000000 is damaged"),
        "{said:?}"
    );
    assert!(
        said.out.contains("\"a\" cannot be read as a whole"),
        "{said:?}"
    );
    assert!(!said.out.contains("\"c\" cannot"), "{said:?}");
    let event = user.fails(1, "check --read-data --json").event("result");
    assert_eq!(event["files_touched"], 1);

    let said = user.fails(3, "export docs --output docs.tar");
    assert!(said.err.contains("freezer: a: "), "{said:?}");
    let listed = super::said(user.program("tar").args(["--list", "--file", "docs.tar"]));
    assert_eq!(listed.out, "./\n./b\n./c\n");
    let said = user.fails(3, "restore docs --target out");
    assert!(
        said.err.contains("freezer: a: ")
            && !user.path("out/a").exists()
            && user.path("out/c").exists(),
        "{said:?}"
    );
    let said = user.fails(1, "cat docs a");
    assert!(said.err.contains("hint: the store is damaged"), "{said:?}");
}

#[test]
fn a_missing_or_cut_segment_is_found_without_reading() {
    let (user, segment) = user_with_segments();
    let bytes = std::fs::read(&segment).expect("read");
    std::fs::remove_file(&segment).expect("removed");
    let said = user.fails(1, "check docs");
    assert!(
        said.out.contains("segments/00000000 is missing") && said.out.contains("\"a\" cannot"),
        "{said:?}"
    );
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).expect("written");
    let said = user.fails(1, "check docs");
    assert!(said.out.contains("bytes, and should have"), "{said:?}");
    std::fs::write(&segment, &bytes).expect("written");
    user.succeeds("check docs --read-data");
}

#[test]
fn damage_to_what_describes_a_level_is_found() {
    for (lane, told) in [
        ("/manifests/", "the manifest cannot be read"),
        ("/index/", "cannot be read"),
        ("/frames/", "the frame table"),
    ] {
        let user = User::new();
        // So many names, and in other frames, that index and frame table do not fit into the
        // manifest.
        for number in 0..6000 {
            user.write(
                &format!(
                    "docs/{}/a file with a rather long name {number}",
                    number % 7
                ),
                "",
            );
        }
        user.write("docs/large", vec![0; 64 << 20]);
        user.succeeds("backup docs --compression none --max-segment-size 8MiB");
        let Some(object) = user.objects(lane).first().cloned() else {
            assert_eq!(
                lane, "/frames/",
                "a table that fits into the manifest has no object of its own"
            );
            continue;
        };
        flip(&object, 100);
        let said = user.fails(1, "check");
        assert!(said.out.contains(told), "{lane}: {said:?}");
        if lane == "/manifests/" {
            let said = user.fails(3, "list docs");
            assert!(said.out.contains("unreadable"), "{said:?}");
        }
    }
}

#[test]
fn a_part_of_the_data_is_read_and_all_parts_together_find_all_damage() {
    let (user, segment) = user_with_segments();
    flip(&segment, 500_000);
    let ended = |part: &str| user.runs(&format!("check --read-data-subset {part} --json"));
    let found: Vec<_> = (1..=3)
        .map(|part| ended(&format!("{part}/3")))
        .filter(|said| said.code == 1)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].out.contains("segments/00000000 is damaged"));
    let result = ended("1/1").event("result");
    assert_eq!(
        (result["damages"].as_u64(), result["read_bytes"].as_u64()),
        (Some(2), result["stored_bytes"].as_u64())
    );
    let result = ended("5%").event("result");
    let [read, all] =
        ["read_bytes", "stored_bytes"].map(|name| result[name].as_u64().expect("a number"));
    assert!(read >= all / 20 && read < all / 2, "{result}");
    assert!(
        user.fails(2, "check --read-data-subset 4/3")
            .err
            .contains("is no part of the data")
    );
    user.fails(2, "check --read-data --read-data-subset 5%");
}

#[test]
fn a_file_that_is_lost_is_named_with_its_points_in_time_and_stored_again_after_a_repair() {
    let (user, segment) = user_with_segments();
    user.write("docs/new", "of the second level");
    user.succeeds("backup docs");
    let segment = segment.to_path_buf();
    flip(&segment, 500_000);
    let said = user.fails(1, "check docs --read-data");
    assert!(
        said.out
            .contains("(2 points in time): \"a\" cannot be read as a whole"),
        "{said:?}"
    );
    assert_eq!(
        said.out.matches("\"a\"").count(),
        1,
        "each version once: {said:?}"
    );
    let said = user.runs("repair docs --dry-run");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err.contains("nothing was changed") && user.objects("/lost/").is_empty(),
        "{said:?}"
    );
    let said = user.runs("repair docs");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.out.contains("\"a\" cannot be read as a whole")
            && said.err.contains("1 file cannot be read as a whole"),
        "{said:?}"
    );
    assert_eq!(user.objects("/lost/").len(), 1);
    user.succeeds("backup docs");
    // What is damaged is there still, and touches no file of the newest point in time.
    let result = user
        .runs("check docs@latest --read-data --json")
        .event("result");
    assert_eq!(
        (result["damages"].as_u64(), result["files_touched"].as_u64()),
        (Some(1), Some(0)),
        "{result}"
    );
    user.succeeds("restore docs --target out");
    assert_eq!(
        std::fs::read(user.path("out/a")).expect("restored"),
        std::fs::read(user.path("docs/a")).expect("there")
    );
    let level = user.succeeds("list docs --json").json();
    assert_eq!(
        level.as_array().expect("a list").last().expect("one")["level"],
        2,
        "no full level was needed"
    );
    // Earlier points in time keep what can be read of them.
    let said = user.fails(1, "check docs --read-data");
    assert!(said.out.contains("(2 points in time): \"a\""), "{said:?}");
}

#[test]
fn a_point_in_time_that_cannot_be_opened_goes_after_a_yes_and_not_before() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    user.write("docs/more", "more");
    user.succeeds("backup docs");
    let manifest = user.objects("/manifests/").first().cloned().expect("two");
    flip(&manifest, 60);
    let said = user.runs("find docs *.txt --json");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err.contains("is left out") && said.out.contains("a.txt"),
        "{said:?}"
    );
    let said = user.runs("repair docs");
    assert!(
        said.code == 3 && said.err.contains("--yes removes it") && manifest.exists(),
        "{said:?}"
    );
    let said = user.runs("repair docs --yes --json");
    assert_eq!(
        (
            said.code,
            said.event("result")["removed_points_in_time"].as_u64()
        ),
        (3, Some(1)),
        "{said:?}"
    );
    assert!(!manifest.exists());
    let said = user.succeeds("repair docs");
    assert!(said.err.contains("there is no damage"), "{said:?}");
    user.succeeds("check docs --read-data");
    user.succeeds("cat docs a.txt");
}

#[test]
fn what_is_left_of_a_run_that_was_cut_off_is_told_of_and_no_damage() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    let segment = user.objects("/segments/").first().cloned().expect("one");
    let level = segment.ancestors().nth(2).expect("a level").to_path_buf();
    let left = level
        .with_file_name("20201122T223450.123Z-1a2b3c4d")
        .join("segments");
    std::fs::create_dir_all(&left).expect("made");
    std::fs::write(left.join("00000000"), vec![7; 5000]).expect("written");
    let said = user.fails(1, "check docs");
    assert!(
        said.out.contains("its manifest is gone"),
        "nothing explains it: {said:?}"
    );
    // The claim of a run, which was ended, explains it.
    let host = segment.ancestors().nth(4).expect("a host").file_name();
    let host = host.expect("a name").to_string_lossy().into_owned();
    let claims = format!(".local/share/freezer/store/locks/{host}/docs");
    user.write(&format!("{claims}/20201122T223450.123Z-1a2b3c4d/over"), "");
    let said = user.succeeds("check docs");
    assert!(
        said.err
            .contains("was cut off; the next run deals with the 4.8 KiB it left"),
        "{said:?}"
    );
    let remark = user.succeeds("check docs --json").event("remark");
    assert_eq!(
        (remark["remark"].as_str(), remark["bytes"].as_u64()),
        (Some("cut_off"), Some(5000)),
        "{remark}"
    );
    user.succeeds("prune docs --yes");
    assert!(!user.succeeds("check docs").err.contains("was cut off"));
}
