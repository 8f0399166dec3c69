use super::extensions::ExtensionArea;
use super::{EXTENSIONS, check, decode, decode_attributes, encode};
use crate::index::node_number::{RANK_BITS, node_of};
use crate::model::{
    Content, ContentHash, Device, Entry, Extensions, Extent, FileOffset, InodeFlags, Kind,
    LevelSerial, Metadata, NodeId, Owner, SignaturePlace, StreamOffset, Time, TreePath,
    UnknownExtension, Xattr,
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
                extensions: Extensions::default(),
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

/// The run that the entries of these tests are in.
const RUN: usize = 5;

fn link() -> impl Strategy<Value = NodeId> {
    (0..=RUN, number()).prop_map(|(run, rank)| node_of(run, rank >> (64 - RANK_BITS)))
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let unknown = proptest::collection::btree_map(number(), bytes(0..40), 0..4);
    (
        proptest::option::of(any::<[u8; 20]>().prop_map(ContentHash)),
        proptest::option::of(
            (1u32.., 0u32..31).prop_map(|(flags, shift)| InodeFlags((flags >> shift).max(1))),
        ),
        proptest::option::of(time()),
        unknown,
    )
        .prop_map(|(content_hash, inode_flags, birth, unknown)| Extensions {
            content_hash,
            inode_flags,
            birth,
            unknown: unknown
                .into_iter()
                .filter(|(number, _)| ![2, 4, 6, 8].contains(number))
                .map(|(number, value)| UnknownExtension { number, value })
                .collect(),
        })
}

fn entry() -> impl Strategy<Value = Entry> {
    (
        metadata(),
        content(),
        proptest::option::of(link()),
        signatures(),
        prop_oneof![Just(Extensions::default()), extensions()],
    )
        .prop_map(|(mut metadata, content, link_to, signatures, extensions)| {
            metadata.extensions = extensions;
            if content.kind() != Kind::File || content.size() == 0 {
                metadata.extensions.content_hash = None;
            }
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
    encode(entry, RUN, &mut value);
    value
}

proptest! {
    #[test]
    fn every_entry_reads_back(entry in entry()) {
        prop_assert_eq!(check(&entry), Ok(()));
        let value = encoded(&entry);
        prop_assert_eq!(decode(&value, TreePath::root(), RUN), Ok(entry.clone()));
        let attributes = decode_attributes(&value, RUN).expect("the entry is sound");
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
        if let Ok(other) = decode(&value, TreePath::root(), RUN) {
            // The version alone may read as the one before it.
            prop_assert!(other != entry || value[0] == 1);
            value[0] = 2;
            prop_assert_eq!(encoded(&other), value);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_have_one_meaning(
        version in 1u8..=2,
        flags in 0u8..128,
        kind in 0u8..7,
        rest in bytes(0..200),
    ) {
        let mut value = [&[version, kind, flags][..], &rest].concat();
        if let Ok(entry) = decode(&value, TreePath::root(), RUN) {
            prop_assert_eq!(check(&entry), Ok(()));
            value[0] = 2;
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
        decode(&encoded(&file_of(bad, size)), TreePath::root(), RUN)
            .expect_err("it contradicts itself");
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
        decode(&encoded(&entry), TreePath::root(), RUN).expect_err("impossible signatures");
    }
    let mut directory = Entry {
        content: Content::Directory,
        ..file_of(&[], 0)
    };
    directory.metadata.signatures = vec![place(1, 5, 5)];
    assert!(check(&directory).is_err());
    decode(&encoded(&directory), TreePath::root(), RUN).expect_err("it is not a file");
}

#[test]
fn entries_of_a_newer_version_are_refused_by_name() {
    let sound = encoded(&file_of(&[(0, 5)], 5));
    for (at, byte, says) in [
        (0, 3, "version 3"),
        (1, 6, "kind 6"),
        (2, 0x82, "flags 0x80"),
    ] {
        let mut value = sound.clone();
        value[at] = byte;
        let flaw = decode(&value, TreePath::root(), RUN).expect_err("a newer version");
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
    assert!(decode(&value, TreePath::root(), RUN).is_err());
}

#[test]
fn entries_of_version_1_are_read_and_know_no_extensions() {
    let sound = file_of(&[(0, 5)], 5);
    let mut value = encoded(&sound);
    value[0] = 1;
    assert_eq!(decode(&value, TreePath::root(), RUN), Ok(sound));
    value[2] |= EXTENSIONS;
    let flaw = decode(&value, TreePath::root(), RUN).expect_err("no such flag");
    assert!(flaw.0.contains("flags 0x40"), "{flaw:?}");
}

/// Returns an entry with an area of these bytes.
fn with_area(area: &[u8]) -> Result<Entry, crate::index::error::Flaw> {
    let plain = encoded(&file_of(&[(0, 5)], 5));
    let mut value = plain.clone();
    value[2] |= EXTENSIONS;
    // The area follows the count of blocks, with which the entry ends.
    value.push(u8::try_from(area.len()).expect("short"));
    value.extend_from_slice(area);
    decode(&value, TreePath::root(), RUN)
}

#[test]
fn an_extension_that_nobody_knows_is_kept_and_hurts_only_where_it_is_critical() {
    let skippable = with_area(&[14, 2, 7, 7]).expect("it may be passed over");
    assert_eq!(skippable.metadata.extensions.understood(), Ok(()));
    let unknown = &skippable.metadata.extensions.unknown;
    assert_eq!((unknown[0].number, &*unknown[0].value), (14, &[7, 7][..]));

    let critical = with_area(&[14, 0, 15, 1, 7]).expect("its other fields can be read");
    let error = critical
        .metadata
        .extensions
        .understood()
        .expect_err("critical");
    assert_eq!(error.0, 15);
    assert!(error.to_string().contains("extension 15"), "{error}");
    let value = encoded(&critical);
    assert_eq!(decode(&value, TreePath::root(), RUN), Ok(critical));
}

#[test]
fn areas_that_break_a_rule_are_refused() {
    for (area, why) in [
        (&[][..], "empty"),
        (&[14, 0, 14, 0], "the same type twice"),
        (&[14, 0, 12, 0], "not sorted"),
        (&[14, 3, 7, 7], "longer than the area"),
        (&[6, 1, 0], "no inode flag"),
        (&[6, 2, 1, 0], "a byte too many"),
        (&[4, 2, 5, 0], "a record in the same run"),
        (&[4, 2, 6, 0], "a record in a newer run"),
        (&[2, 1, 0], "a hash of one byte"),
        (&[8, 2, 0, 1], "a time before the beginning of its second"),
    ] {
        assert!(with_area(area).is_err(), "{why}");
    }
    assert!(with_area(&[4, 2, 4, 0]).is_ok());
    let hash = [&[2, 20][..], &[9; 20]].concat();
    assert!(with_area(&hash).is_ok());
    let empty = ExtensionArea {
        extensions: &Extensions::default(),
        ctime: Time::default(),
        link: None,
    };
    assert!(empty.is_empty());
}
