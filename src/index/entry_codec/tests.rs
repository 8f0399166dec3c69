use super::{check, decode, decode_attributes, encode};
use crate::model::{
    Content, Device, Entry, Extent, FileOffset, Kind, LevelSerial, Metadata, NodeId, Owner,
    SignaturePlace, StreamOffset, Time, TreePath, Xattr,
};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

/// Numbers of every length, extremes among them.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift),
        Just(0),
        Just(u64::MAX)
    ]
}

fn number_u32() -> impl Strategy<Value = u32> {
    (any::<u32>(), 0u32..32).prop_map(|(number, shift)| number >> shift)
}

fn time() -> impl Strategy<Value = Time> {
    (any::<i64>(), 0u32..64, 0u32..1_000_000_000)
        .prop_map(|(seconds, shift, nanoseconds)| Time::new(seconds >> shift, nanoseconds))
}

fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Box<[u8]>> {
    proptest::collection::vec(any::<u8>(), length).prop_map(Box::from)
}

fn file() -> impl Strategy<Value = Content> {
    let piece = (0u64..100_000, 1u64..100_000, 0u64..3, 0..u64::MAX / 2);
    (proptest::collection::vec(piece, 0..5), 0u64..100).prop_map(|(pieces, hole)| {
        let mut end = 0;
        let extents = pieces.into_iter().map(|(gap, length, level, stream)| {
            let at = end + if gap > 50_000 { 0 } else { gap };
            end = at + length;
            Extent {
                at: FileOffset(at),
                level: LevelSerial(level),
                stream: StreamOffset(stream),
                length,
            }
        });
        let extents = extents.collect();
        Content::File {
            size: end + if hole > 50 { 0 } else { hole },
            extents,
        }
    })
}

fn device() -> impl Strategy<Value = Device> {
    (number_u32(), number_u32()).prop_map(|(major, minor)| Device { major, minor })
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        file(),
        number().prop_map(|size| Content::File {
            size,
            extents: Vec::new()
        }),
        Just(Content::Directory),
        proptest::collection::vec(1u8.., 1..300).prop_map(|target| Content::Symlink(target.into())),
        device().prop_map(Content::CharDevice),
        device().prop_map(Content::BlockDevice),
        Just(Content::Fifo),
    ]
}

fn xattrs() -> impl Strategy<Value = Vec<Xattr>> {
    proptest::collection::btree_map(bytes(0..6), bytes(0..200), 0..4).prop_map(|map| {
        map.into_iter()
            .map(|(name, value)| Xattr { name, value })
            .collect()
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let owner = (number_u32(), number_u32(), bytes(0..40), bytes(0..3));
    let owner = owner.prop_map(|(uid, gid, user, group)| Owner {
        uid,
        gid,
        user,
        group,
    });
    let ctime = prop_oneof![Just(None), time().prop_map(Some)];
    let numbers = (number(), number(), number_u32(), number());
    (0u32..0o10000, owner, time(), ctime, numbers, xattrs()).prop_map(
        |(mode, owner, mtime, ctime, numbers, xattrs)| {
            let (device, inode, links, blocks) = numbers;
            Metadata {
                mode,
                owner,
                mtime,
                ctime: ctime.unwrap_or(mtime),
                device,
                inode,
                links,
                blocks,
                xattrs,
                signatures: Vec::new(),
            }
        },
    )
}

fn signatures() -> impl Strategy<Value = Vec<SignaturePlace>> {
    proptest::collection::btree_map(number(), (0..u64::MAX / 2, 1..u64::MAX / 2), 0..4).prop_map(
        |map| {
            let place = |(level, (stream, length))| SignaturePlace {
                level: LevelSerial(level),
                stream: StreamOffset(stream),
                length,
            };
            map.into_iter().map(place).collect()
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    (
        metadata(),
        content(),
        proptest::option::of(number().prop_map(NodeId)),
        signatures(),
    )
        .prop_map(|(mut metadata, content, link_to, signatures)| {
            if content.kind() == Kind::File {
                metadata.signatures = signatures;
            }
            Entry {
                path: TreePath::root(),
                metadata,
                content,
                link_to,
            }
        })
}

fn encoded(entry: &Entry) -> Vec<u8> {
    let mut value = b"what was there before".to_vec();
    encode(entry, &mut value);
    value
}

proptest! {
    #[test]
    fn every_entry_reads_back(entry in entry()) {
        prop_assert_eq!(check(&entry), Ok(()));
        let value = encoded(&entry);
        prop_assert_eq!(decode(&value, TreePath::root()), Ok(entry.clone()));
        let attributes = decode_attributes(&value).expect("the entry is sound");
        prop_assert_eq!(attributes.size, entry.content.size());
        prop_assert_eq!(attributes.kind, entry.content.kind());
        prop_assert_eq!(attributes.has_xattrs, !entry.metadata.xattrs.is_empty());
        prop_assert_eq!(attributes.mtime, entry.metadata.mtime);
        prop_assert_eq!(attributes.ctime, entry.metadata.ctime);
    }

    #[test]
    fn damaged_values_are_refused_or_are_exactly_what_another_entry_would_be(
        entry in entry(), at: proptest::sample::Index, bit in 0u8..8, cut: bool,
    ) {
        let mut value = encoded(&entry);
        let at = at.index(value.len());
        if cut { value.truncate(at) } else { value[at] ^= 1 << bit }
        if let Ok(other) = decode(&value, TreePath::root()) {
            prop_assert!(other != entry);
            prop_assert_eq!(encoded(&other), value);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_have_one_meaning(
        flags in 0u8..64,
        kind in 0u8..7,
        rest in bytes(0..200),
    ) {
        let value = [&[1, kind, flags][..], &rest].concat();
        if let Ok(entry) = decode(&value, TreePath::root()) {
            prop_assert_eq!(check(&entry), Ok(()));
            prop_assert_eq!(encoded(&entry), value);
        }
    }
}

fn file_of(extents: &[(u64, u64)], size: u64) -> Entry {
    let extent = |&(at, length): &(u64, u64)| Extent {
        at: FileOffset(at),
        level: LevelSerial(1),
        stream: StreamOffset(512),
        length,
    };
    let content = Content::File {
        size,
        extents: extents.iter().map(extent).collect(),
    };
    Entry {
        path: TreePath::root(),
        metadata: Metadata::default(),
        content,
        link_to: None,
    }
}

#[test]
fn extents_that_contradict_the_file_are_refused_by_both_sides() {
    for (bad, size) in [
        (&[(0, 5)][..], 4),
        (&[(0, 5), (4, 5)], 20),
        (&[(5, 5), (0, 5)], 20),
        (&[(0, 0)], 4),
        (&[(u64::MAX, 2)], u64::MAX),
    ] {
        let entry = file_of(bad, size);
        assert!(check(&entry).is_err(), "{bad:?}");
    }
    assert_eq!(check(&file_of(&[(0, 4), (4, 4), (9, 1)], 10)), Ok(()));
    for (bad, size) in [(&[(0, 5)][..], 4), (&[(0, 0)], 4), (&[(0, 4), (4, 4)], 7)] {
        decode(&encoded(&file_of(bad, size)), TreePath::root()).expect_err("it contradicts itself");
    }
}

#[test]
fn impossible_signatures_are_refused_by_both_sides() {
    let place = |level, stream, length| SignaturePlace {
        level: LevelSerial(level),
        stream: StreamOffset(stream),
        length,
    };
    for bad in [
        vec![place(1, 5, 0)],
        vec![place(2, 5, 5), place(2, 50, 5)],
        vec![place(1, u64::MAX, 2)],
    ] {
        let mut entry = file_of(&[(0, 5)], 5);
        entry.metadata.signatures = bad;
        assert!(check(&entry).is_err(), "{entry:?}");
        decode(&encoded(&entry), TreePath::root()).expect_err("impossible signatures");
    }
    let mut directory = Entry {
        content: Content::Directory,
        ..file_of(&[], 0)
    };
    directory.metadata.signatures = vec![place(1, 5, 5)];
    assert!(check(&directory).is_err());
    decode(&encoded(&directory), TreePath::root()).expect_err("it is not a file");
}

#[test]
fn entries_of_a_newer_version_are_refused_by_name() {
    let sound = encoded(&file_of(&[(0, 5)], 5));
    for (at, byte, says) in [
        (0, 2, "version 2"),
        (1, 6, "kind 6"),
        (2, 0x42, "flags 0x40"),
    ] {
        let mut value = sound.clone();
        value[at] = byte;
        let flaw = decode(&value, TreePath::root()).expect_err("a newer version");
        assert!(flaw.0.contains(says), "{flaw:?}");
    }
}

#[test]
fn a_count_that_the_bytes_cannot_hold_allocates_no_memory() {
    let sound = encoded(&file_of(&[(0, 5), (6, 5)], 11));
    let list = sound.len() - (1 + 5 + 4);
    assert_eq!(sound[list], 2, "the count of extents");
    let mut value = sound[..list].to_vec();
    value.extend_from_slice(&[0xff; 9]);
    value.push(1);
    assert!(decode(&value, TreePath::root()).is_err());
}
