use super::{
    Compression, Decoder, Encoder, ExpectedFrame, FrameError, FrameKeys, Lane, Opener, Protection,
    Sealer, StoredFrame,
};
use crate::model::{FrameNo, LevelId, StoreId};
use std::sync::Arc;
use zeroize::Zeroizing;

fn level(random: u32) -> LevelId {
    LevelId::new(jiff::Timestamp::UNIX_EPOCH, random)
}

fn encrypted(key: u8) -> Protection {
    Protection::Encrypted(Arc::new(FrameKeys::new(
        &Zeroizing::new([key; 32]),
        &Zeroizing::new([key + 1; 32]),
    )))
}

const TEXT: &[u8] = b"to be or not to be";

fn expected(number: FrameNo, compression: Compression, stored: &StoredFrame) -> ExpectedFrame {
    ExpectedFrame {
        number,
        raw_length: stored.raw_length,
        compression,
        checksum: stored.checksum,
    }
}

fn encoder() -> Encoder {
    Encoder::new(Compression::Zstd, 3).expect("a level of zstd")
}

#[test]
fn sealed_and_bare_frames_open_to_the_original() {
    for protection in [Protection::Checksum, encrypted(1)] {
        for method in Compression::ALL {
            let sealer = Sealer::new(StoreId([3; 16]), level(1), protection.clone());
            let opener = sealer.opener();
            let mut encoder =
                Encoder::new(method, method.default_level()).expect("a level of the method");
            let mut decoder = Decoder::new();
            let raw: Vec<Vec<u8>> = (0..6).map(|n| vec![n; 10_000 * usize::from(n)]).collect();
            let numbered: Vec<(FrameNo, &[u8])> = raw
                .iter()
                .zip(40..)
                .map(|(raw, number)| (FrameNo(number), &raw[..]))
                .collect();
            let stored = sealer.seal_data(&mut encoder, &numbered).expect("sealed");
            for ((stored, raw), number) in stored.into_iter().zip(&raw).zip(40..) {
                let expected = expected(FrameNo(number), method, &stored);
                assert_eq!(
                    expected.checksum.is_none(),
                    matches!(protection, Protection::Encrypted(_))
                );
                let back = opener
                    .open_data(&mut decoder, &expected, stored.bytes)
                    .expect("opened");
                assert!(&back == raw);
            }
            let sealed = sealer
                .seal(&mut encoder, Lane::Index, FrameNo(7), &raw[3])
                .expect("sealed");
            assert!(
                opener
                    .open(&mut decoder, Lane::Index, FrameNo(7), sealed)
                    .expect("opened")
                    == raw[3]
            );
        }
    }
}

#[test]
fn a_flipped_or_cut_byte_of_a_sealed_frame_is_never_served() {
    for protection in [Protection::Checksum, encrypted(1)] {
        let sealer = Sealer::new(StoreId([3; 16]), level(1), protection);
        let opener = sealer.opener();
        let mut decoder = Decoder::new();
        let mut open = |bytes| opener.open(&mut decoder, Lane::Manifest, FrameNo(0), bytes);
        let sealed = sealer
            .seal(&mut encoder(), Lane::Manifest, FrameNo(0), TEXT)
            .expect("sealed");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut damaged = sealed.clone();
                damaged[at] ^= 1 << bit;
                open(damaged).expect_err("a flipped bit");
            }
            open(sealed[..at].to_vec()).expect_err("a frame that is cut short");
        }
        open(sealed).expect("a whole frame");
    }
}

#[test]
fn a_flipped_byte_or_another_length_of_a_data_frame_is_never_served() {
    for protection in [Protection::Checksum, encrypted(1)] {
        let sealer = Sealer::new(StoreId([3; 16]), level(1), protection);
        let opener = sealer.opener();
        let mut decoder = Decoder::new();
        let stored = sealer
            .seal_data(&mut encoder(), &[(FrameNo(0), TEXT)])
            .expect("sealed")
            .remove(0);
        let sound = expected(FrameNo(0), Compression::Zstd, &stored);
        for at in 0..stored.bytes.len() {
            let mut damaged = stored.bytes.clone();
            damaged[at] ^= 0x10;
            opener
                .verify_data(&sound, &damaged)
                .expect_err("a flipped bit");
            opener
                .open_data(&mut decoder, &sound, damaged)
                .expect_err("a flipped bit");
        }
        let longer = ExpectedFrame {
            raw_length: sound.raw_length + 1,
            ..sound
        };
        opener
            .verify_data(&longer, &stored.bytes)
            .expect_err("another length");
        opener
            .open_data(&mut decoder, &longer, stored.bytes.clone())
            .expect_err("another length");
        opener
            .verify_data(&sound, &stored.bytes)
            .expect("a whole frame");
        opener
            .open_data(&mut decoder, &sound, stored.bytes)
            .expect("a whole frame");
    }
}

#[test]
fn a_frame_in_another_place_or_under_another_key_fails_authentication() {
    for protection in [Protection::Checksum, encrypted(1)] {
        let store = StoreId([3; 16]);
        let mut decoder = Decoder::new();
        let sealed = Sealer::new(store, level(1), protection.clone())
            .seal(&mut encoder(), Lane::Index, FrameNo(5), b"x")
            .expect("sealed");
        let mut opened = |opener: Opener, lane, number| {
            opener.open(&mut decoder, lane, FrameNo(number), sealed.clone())
        };
        opened(
            Opener::new(store, level(1), protection.clone()),
            Lane::Index,
            5,
        )
        .expect("its own place");
        for (opener, lane, number) in [
            (
                Opener::new(StoreId([4; 16]), level(1), protection.clone()),
                Lane::Index,
                5,
            ),
            (
                Opener::new(store, level(2), protection.clone()),
                Lane::Index,
                5,
            ),
            (
                Opener::new(store, level(1), protection.clone()),
                Lane::FrameTable,
                5,
            ),
            (
                Opener::new(store, level(1), protection.clone()),
                Lane::Index,
                6,
            ),
            (Opener::new(store, level(1), encrypted(9)), Lane::Index, 5),
        ] {
            assert!(matches!(
                opened(opener, lane, number),
                Err(FrameError::Tampered(_))
            ));
        }
    }
}

#[test]
fn a_bare_frame_is_refused_where_frames_are_encrypted() {
    let plain = Sealer::new(StoreId([3; 16]), level(1), Protection::Checksum);
    let stored = plain
        .seal_data(&mut encoder(), &[(FrameNo(0), b"planted")])
        .expect("sealed")
        .remove(0);
    let opener = Opener::new(StoreId([3; 16]), level(1), encrypted(1));
    let expected = expected(FrameNo(0), Compression::Zstd, &stored);
    let verified = opener.verify_data(&expected, &stored.bytes);
    assert!(matches!(verified, Err(FrameError::Tampered(_))));
    let opened = opener.open_data(&mut Decoder::new(), &expected, stored.bytes);
    assert!(matches!(opened, Err(FrameError::Tampered(_))));
}
