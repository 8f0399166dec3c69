use super::{
    Bytes, Counts, LevelParts, Manifest, ManifestBlock, ManifestParts, Outline, Parent, PathText,
    RootNode, Run, SourceFilesystem, SourceIdentity, digest,
};
use crate::format::DocumentError;
use crate::format::frame::{Compression, Protection, Sealer};
use crate::model::{BackupName, LevelId, LevelSerial, Ranges, StoreId};

fn manifest() -> Manifest {
    let id = LevelId::new(jiff::Timestamp::UNIX_EPOCH, 5);
    let root = || RootNode {
        node: vec![0xff, 0, 1],
        height: 2,
        entries: 77,
    };
    Manifest::new(ManifestParts {
        store: StoreId([1; 16]),
        backup: BackupName::new("host", "docs").expect("legal"),
        id: id.clone(),
        serial: LevelSerial(1),
        chain: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        ended: jiff::Timestamp::UNIX_EPOCH,
        zone: "Europe/Berlin".to_owned(),
        sources: vec![b"/home/u/docs".to_vec().into(), b"/\xff".to_vec().into()],
        tags: vec!["monthly".to_owned()],
        counts: Counts {
            entries: 77,
            ..Counts::default()
        },
        bytes: Bytes::default(),
        engine: "tar",
        has_xattrs: true,
        index: vec![Run {
            serial: LevelSerial(1),
            root: root(),
            segments: 1,
            subtrees: 5,
            head: vec![ManifestBlock {
                number: 0,
                node: vec![3, 4],
            }],
        }],
        level: 3,
        parent: Some(Parent {
            id: id.clone(),
            digest: digest(b"another manifest"),
        }),
        levels: vec![LevelParts {
            serial: LevelSerial(1),
            id,
            compression: Compression::Gzip,
            compression_level: 6,
            stream_bytes: 10240,
            segments: 1,
            frame_table: root(),
            frame_table_segments: 0,
            live: Some(Ranges::new(vec![4096..8192, 16384..40960])),
            repacked: 1,
        }],
    })
}

#[test]
fn a_manifest_reads_back() {
    let manifest = manifest();
    let sealer = Sealer::new(StoreId([1; 16]), manifest.id.clone(), Protection::Checksum);
    let stored = manifest.seal(&sealer).expect("sealed");
    let back = Manifest::open(stored, &sealer.opener()).expect("opened");
    assert_eq!(back, manifest);
    assert_eq!(back.backup().expect("a name").to_string(), "host/docs");
    let outline =
        Outline::open(manifest.seal(&sealer).expect("sealed"), &sealer.opener()).expect("opened");
    assert_eq!(
        (&outline.id, &outline.tags, outline.level),
        (&manifest.id, &manifest.tags, manifest.level)
    );
    assert_eq!(
        (outline.index_serials(), &outline.levels[0].id),
        (vec![LevelSerial(1)], &manifest.levels[0].id)
    );
    assert_eq!(
        (outline.levels[0].stream_bytes, &outline.levels[0].live),
        (10240, &manifest.levels[0].live)
    );
    assert_eq!(
        back.sources[1],
        PathText::Bytes {
            base64: b"/\xff".to_vec()
        }
    );
}

#[test]
fn a_manifest_of_a_newer_version_is_refused_by_its_number() {
    let mut json: serde_json::Value = serde_json::to_value(manifest()).expect("JSON");
    json["version"] = 9.into();
    let error =
        Manifest::decode(&serde_json::to_vec(&json).expect("JSON")).expect_err("a newer one");
    assert!(error.to_string().contains("version 9"), "{error}");
}

fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::to_value(manifest()).expect("JSON");
    change(&mut json);
    serde_json::to_vec(&json).expect("JSON")
}

#[test]
fn a_level_with_features_that_are_not_known_is_refused_or_only_read() {
    let refused = |json: &[u8]| {
        let error = Manifest::decode(json).expect_err("not known");
        assert!(matches!(error, DocumentError::Feature(_)), "{error}");
    };
    refused(&changed(|json| json["requires"] = ["later"].into()));
    refused(&changed(|json| {
        json["requires"] = ["foreign-levels"].into();
        json["levels"][0]["of"] = serde_json::json!({"host": "h", "name": "n"});
    }));
    let allowed = changed(|json| json["allows"] = ["later"].into());
    let allowed = Manifest::decode(&allowed).expect("readable");
    assert_eq!(allowed.read_only_for(), ["later".to_owned()]);
    let extended = changed(|json| json["later"] = 7.into());
    assert_eq!(Manifest::decode(&extended).expect("ignored"), manifest());
}

#[test]
fn a_manifest_of_version_1_is_read_and_names_the_next_serial_by_its_own() {
    let old = changed(|json| {
        json["version"] = 1.into();
        json.as_object_mut()
            .expect("an object")
            .remove("next_serial");
    });
    let old = Manifest::decode(&old).expect("decoded");
    assert_eq!(old.next_serial(), LevelSerial(2));
    let later = changed(|json| json["next_serial"] = 9.into());
    assert_eq!(
        Manifest::decode(&later).expect("decoded").next_serial(),
        LevelSerial(9)
    );
}

#[test]
fn the_identity_of_the_source_reads_back() {
    let mut with = manifest();
    with.source = Some(SourceIdentity {
        machine: "0a1b".to_owned(),
        filesystems: vec![SourceFilesystem {
            path: b"/home".to_vec().into(),
            kind: "ext4".to_owned(),
            id: "7c9e".to_owned(),
        }],
    });
    let json = serde_json::to_vec(&with).expect("JSON");
    assert_eq!(Manifest::decode(&json).expect("decoded"), with);
}
