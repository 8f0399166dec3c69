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
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
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
fn a_flipped_byte_is_found_when_data_is_read_and_the_file_is_named() {
    let (user, segment) = user_with_segments();
    flip(&segment, 500_000);
    user.succeeds("check");
    let said = user.fails(1, "check --read-data");
    assert!(said.out.contains("segments/00000000 is damaged"), "{said:?}");
    assert!(said.out.contains("\"a\" cannot be read as a whole"), "{said:?}");
    assert!(!said.out.contains("\"c\" cannot"), "{said:?}");
    let event = user.fails(1, "check --read-data --json").event("result");
    assert_eq!(event["files_touched"], 1);

    let said = user.fails(3, "export docs --output docs.tar");
    assert!(said.err.contains("freezer: a: "), "{said:?}");
    let listed = super::said(user.program("tar").args(["--list", "--file", "docs.tar"]));
    assert_eq!(listed.out, "./\n./b\n./c\n");
    let said = user.fails(3, "restore docs --target out");
    assert!(said.err.contains("freezer: a: ") && !user.path("out/a").exists() && user.path("out/c").exists(), "{said:?}");
    let said = user.fails(1, "cat docs a");
    assert!(said.err.contains("hint: the store is damaged"), "{said:?}");
}

#[test]
fn a_missing_or_cut_segment_is_found_without_reading() {
    let (user, segment) = user_with_segments();
    let bytes = std::fs::read(&segment).expect("read");
    std::fs::remove_file(&segment).expect("removed");
    let said = user.fails(1, "check docs");
    assert!(said.out.contains("segments/00000000 is missing") && said.out.contains("\"a\" cannot"), "{said:?}");
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).expect("written");
    let said = user.fails(1, "check docs");
    assert!(said.out.contains("bytes, and should have"), "{said:?}");
    std::fs::write(&segment, &bytes).expect("written");
    user.succeeds("check docs --read-data");
}

#[test]
fn damage_to_what_describes_a_level_is_found() {
    for (lane, told) in [("/manifests/", "the manifest cannot be read"), ("/index/", "cannot be read"), ("/frames/", "the frame table")] {
        let user = User::new();
        // So many names, and in other frames, that index and frame table do not fit into the manifest.
        for number in 0..6000 {
            user.write(&format!("docs/{}/a file with a rather long name {number}", number % 7), "");
        }
        user.write("docs/large", vec![0; 64 << 20]);
        user.succeeds("backup docs --compression none --max-segment-size 8MiB");
        let Some(object) = user.objects(lane).first().cloned() else {
            assert_eq!(lane, "/frames/", "a table that fits into the manifest has no object of its own");
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
