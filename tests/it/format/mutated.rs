//! A short run of the fuzz targets (`fuzz/`), on sound inputs of which some bytes were changed.

#[path = "../../../fuzz/entry_points.rs"]
pub(crate) mod entry_points;

use entry_points as entry;
use freezer::format::frame::{
    Compression, Decoder, Encoder, ExpectedFrame, FrameError, FrameKeys, Lane, MAX_RAW_BYTES,
    Protection, Sealer,
};
use freezer::format::identity::{Cipher, Identity};
use freezer::format::keys::{KdfCost, KeySlot, MasterKey};
use freezer::format::signature::{SignatureKey, SignatureWriter};
use freezer::model::{FrameNo, StoreId, StreamOffset};
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

/// A change of an input.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Repeat(Index, usize),
    Remove(Index, usize),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Change::Remove(at, length)),
    ];
    prop::collection::vec(change, 0..4)
}

pub(crate) fn changed(sound: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let place = |at: &Index| at.index(bytes.len());
        match change {
            Change::Set(at, byte) => {
                let at = place(at);
                bytes[at] = *byte;
            }
            Change::Flip(at, bit) => {
                let at = place(at);
                bytes[at] ^= 1 << bit;
            }
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Repeat(at, length) => {
                let from = place(at);
                let piece = bytes[from..bytes.len().min(from + length)].to_vec();
                bytes.splice(from..from, piece);
            }
            Change::Remove(at, length) => {
                let from = place(at);
                bytes.drain(from..bytes.len().min(from + length));
            }
        }
    }
    bytes
}

/// Makes an input for [`entry::payload`].
fn payload(compression: Compression, raw: &[u8]) -> Vec<u8> {
    let sealer = Sealer::new(StoreId([3; 16]), entry::level(), Protection::Checksum);
    let mut encoder =
        Encoder::new(compression, compression.default_level()).expect("a level of the method");
    let stored = sealer
        .seal_data(&mut encoder, &[(FrameNo(7), raw)])
        .expect("sealed")
        .remove(0);
    let length = stored.raw_length.to_le_bytes();
    [&[compression as u8], &length[..3], &stored.bytes].concat()
}

const RAW: &[u8] =
    b"to be or not to be, to be or not to be: that is the question, that is the question";

const CHECKPOINT: &[u8] = include_bytes!("../../../fuzz/seeds/checkpoint/taken");

fn identity() -> Vec<u8> {
    let master = MasterKey::generate().expect("random bytes");
    let (id, created) = (StoreId([9; 16]), jiff::Timestamp::UNIX_EPOCH);
    let identity = Identity::new(id, Cipher::Aes256Cfb, created);
    identity.with_hidden_names().seal(Some(&master)).encode()
}

fn key() -> Vec<u8> {
    let cost = KdfCost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };
    let master = MasterKey::generate().expect("random bytes");
    KeySlot::seal(
        &master,
        StoreId([3; 16]),
        b"passphrase",
        cost,
        jiff::Timestamp::UNIX_EPOCH,
        "a comment",
    )
    .expect("sealed")
    .encode()
}

fn signature() -> Vec<u8> {
    let mut writer = SignatureWriter::new(7, SignatureKey([5; 32]));
    for run in 0..4_u64 {
        writer.begin_run(StreamOffset(512 * run));
        writer.update(&RAW[..20 * usize::try_from(run).expect("small")]);
    }
    writer.finish()
}

fn manifest() -> Vec<u8> {
    use crate::support::backup;
    use std::sync::OnceLock;
    static MANIFEST: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let room = crate::support::scratch();
        std::fs::write(room.path().join("file"), "hello").expect("written");
        let access = backup::create_plain(Arc::new(freezer::store::memory::MemoryStore::default()));
        let report = backup::back_up(&access, &[room.path()], |_| {});
        serde_json::to_vec(&report.manifest).expect("JSON")
    };
    MANIFEST.get_or_init(make).clone()
}

#[test]
fn the_inputs_are_sound_before_they_are_changed() {
    for compression in Compression::ALL {
        entry::payload(&payload(compression, RAW));
    }
    freezer::format::manifest::Manifest::decode(&manifest()).expect("sound");
    freezer::format::checkpoint::Checkpoint::decode(CHECKPOINT).expect("sound");
    Identity::decode(&identity()).expect("sound");
    let slot = KeySlot::decode(&key()).expect("sound");
    assert!(
        slot.open(StoreId([3; 16]), b"passphrase")
            .expect("sound")
            .is_some()
    );
}

proptest! {
    #[test]
    fn frames_that_nobody_sealed_are_refused(bytes: Vec<u8>, changes in changes()) {
        entry::frame(&bytes);
        let sealer = Sealer::new(StoreId([4; 16]), entry::level(), Protection::Checksum);
        let mut encoder = Encoder::new(Compression::Zstd, 3).expect("a level of the method");
        let elsewhere = sealer
            .seal(&mut encoder, Lane::Index, FrameNo(7), RAW)
            .expect("sealed");
        entry::frame(&changed(&elsewhere, &changes));
    }

    #[test]
    fn payloads_that_were_changed_are_refused_or_have_the_length_they_say(
        which in 0_usize..5,
        changes in changes(),
        raw: Vec<u8>,
    ) {
        let compression = Compression::ALL[which];
        entry::payload(&changed(&payload(compression, RAW), &changes));
        entry::payload(&changed(&payload(compression, &raw), &changes));
    }

    #[test]
    fn documents_that_were_changed_are_refused_or_sound(changes in changes()) {
        entry::manifest(&changed(&manifest(), &changes));
        entry::checkpoint(&changed(CHECKPOINT, &changes));
        entry::identity(&changed(&identity(), &changes));
        entry::claim(&changed(
            include_bytes!("../../../fuzz/seeds/claim/running"),
            &changes,
        ));
        entry::known_store(&changed(
            include_bytes!("../../../fuzz/seeds/known_store/one-place"),
            &changes,
        ));
        entry::lost(&changed(
            include_bytes!("../../../fuzz/seeds/lost/two-ranges"),
            &changes,
        ));
        entry::key(&changed(&key(), &changes));
        entry::repacked(&changed(
            include_bytes!("../../../fuzz/seeds/repacked/once"),
            &changes,
        ));
    }

    #[test]
    fn live_ranges_of_any_bytes_are_refused_or_sound(changes in changes(), bytes: Vec<u8>) {
        entry::live_ranges(&bytes);
        let sound = include_bytes!("../../../fuzz/seeds/live_ranges/two");
        entry::live_ranges(&changed(sound, &changes));
    }

    #[test]
    fn signatures_that_were_changed_are_refused_or_sound(changes in changes(), bytes: Vec<u8>) {
        entry::signature(&bytes);
        entry::signature(&changed(&signature(), &changes));
    }

    #[test]
    fn names_and_references_that_were_changed_are_refused_or_lead_back(
        which in 0_usize..8,
        changes in changes(),
    ) {
        let sound = [
            "manifests/web-1/docs%2Fold/20261122T223450.123Z-1a2b3c4d",
            "data/web-1/docs/20261122T223450.123Z-1a2b3c4d/segments/00000017",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/frames/A0100000000",
            "host/docs@2026-11-22T14:30:05+01:00",
            "docs@yesterday 14:00",
            "docs@-3h",
            "20261122T223450.123Z-1a2b3c4d",
            "docs@2026-11-22",
        ][which];
        entry::object_name(&changed(sound.as_bytes(), &changes));
        entry::reference(&changed(sound.as_bytes(), &changes));
    }

    #[test]
    fn patterns_of_any_bytes_do_not_fail(changes in changes(), path: Vec<u8>) {
        let sound = b"*.o\n./a/[!b-d]*\n/home/*/[[:alpha:]]?\n\\*\n";
        let mut data = changed(sound, &changes);
        data.extend_from_slice(b"\n");
        data.extend(path.iter().filter(|byte| **byte != b'\n'));
        entry::excludes(&data);
        entry::excludes(&path);
    }

    #[test]
    fn frames_of_any_bytes_come_back_as_they_were(
        which in 0_usize..5,
        raw in any_raw(),
        encrypted: bool,
    ) {
        let protection = if encrypted {
            Protection::Encrypted(Arc::new(FrameKeys::new(&[1; 32].into(), &[2; 32].into())))
        } else {
            Protection::Checksum
        };
        let compression = Compression::ALL[which];
        let sealer = Sealer::new(StoreId([3; 16]), entry::level(), protection);
        let opener = sealer.opener();
        let level = *compression.levels().start();
        let mut encoder = Encoder::new(compression, level).expect("a level of the method");
        let mut decoder = Decoder::new();
        let pieces: Vec<(FrameNo, &[u8])> = (0..)
            .map(FrameNo)
            .zip(raw.iter().map(|raw| &raw[..]))
            .collect();
        let stored = sealer.seal_data(&mut encoder, &pieces).expect("sealed");
        for ((number, raw), stored) in pieces.iter().zip(stored) {
            prop_assert_eq!(stored.raw_length as usize, raw.len());
            let expected = ExpectedFrame {
                number: *number,
                raw_length: stored.raw_length,
                compression,
                checksum: stored.checksum,
            };
            let back = opener.open_data(&mut decoder, &expected, stored.bytes.clone());
            prop_assert!(&back.expect("opened") == raw);
            let other = ExpectedFrame {
                number: FrameNo(number.0 + 1),
                ..expected
            };
            prop_assert!(
                opener
                    .open_data(&mut decoder, &other, stored.bytes)
                    .is_err()
            );
        }
    }
}

/// Several frames of noise or of equal bytes. Their lengths are around those where something
/// changes: 0, a block of the cipher, several such blocks at once, the window of a codec.
fn any_raw() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let length = prop_oneof![
        0_usize..70,
        500_usize..530,
        4080_usize..4112,
        65_530_usize..65_545
    ];
    let raw =
        (length, any::<u64>(), any::<bool>()).prop_map(|(length, seed, is_noise)| match is_noise {
            true => crate::support::torture::noise(seed, length),
            false => vec![u8::try_from(seed & 0xff).expect("a byte"); length],
        });
    prop::collection::vec(raw, 1..5)
}

#[test]
fn a_frame_of_the_greatest_length_comes_back_and_a_longer_one_is_refused() {
    let sealer = Sealer::new(StoreId([3; 16]), entry::level(), Protection::Checksum);
    let mut encoder = Encoder::new(Compression::Zstd, 1).expect("a level of the method");
    let mut raw = vec![5; MAX_RAW_BYTES];
    let sealed = sealer
        .seal(&mut encoder, Lane::Manifest, FrameNo(0), &raw)
        .expect("it fits");
    let back = sealer
        .opener()
        .open(&mut Decoder::new(), Lane::Manifest, FrameNo(0), sealed)
        .expect("opened");
    assert!(back == raw);
    raw.push(5);
    assert!(matches!(
        sealer.seal(&mut encoder, Lane::Manifest, FrameNo(0), &raw),
        Err(FrameError::Malformed { .. })
    ));
}

/// One of the entry points.
type Target = fn(&[u8]);

#[test]
fn the_targets_accept_every_seed() {
    let targets: [(&str, Target); 15] = [
        ("checkpoint", entry::checkpoint),
        ("claim", entry::claim),
        ("excludes", entry::excludes),
        ("frame", entry::frame),
        ("identity", entry::identity),
        ("key", entry::key),
        ("known_store", entry::known_store),
        ("live_ranges", entry::live_ranges),
        ("lost", entry::lost),
        ("manifest", entry::manifest),
        ("object_name", entry::object_name),
        ("payload", entry::payload),
        ("reference", entry::reference),
        ("repacked", entry::repacked),
        ("signature", entry::signature),
    ];
    for (target, run) in targets {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        let inputs: Vec<_> = std::fs::read_dir(&folder)
            .expect("there are some")
            .collect();
        assert!(!inputs.is_empty(), "{target}");
        for input in inputs {
            run(&std::fs::read(input.expect("listed").path()).expect("read"));
        }
    }
}
