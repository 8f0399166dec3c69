//! Properties of the header of every possible entry.

use super::decoder::decode;
use super::members::{Member, path};
use freezer::format::tar::MemberEncoder;
use freezer::model::{
    Content, DataRun, Device, Entry, FileOffset, Metadata, Name, Owner, Time, TreePath, Xattr,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

/// Usual names, and names of any bytes with lengths around every limit.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let legal = |name: &Vec<u8>| Name::new(name.clone()).is_some();
    prop_oneof![
        4 => "[a-z]{1,20}(\\.[a-z]{1,3})?".prop_map(String::into_bytes),
        2 => "[a-z\u{e9}\u{4e2d}\n =%]{1,60}".prop_map(String::into_bytes),
        2 => vec(
            any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b'x' } else { byte }),
            1..260,
        ),
        2 => (1..260usize).prop_map(|length| vec![b'n'; length]),
    ]
    .prop_filter("a legal name", legal)
}

fn tree_path() -> impl Strategy<Value = TreePath> {
    vec(name(), 1..6).prop_map(|names| path(names.join(&b'/')))
}

fn owner_name() -> impl Strategy<Value = Box<[u8]>> {
    let bytes = any::<u8>().prop_map(|byte| byte.max(1));
    prop_oneof![
        Just(Vec::new()),
        "[a-z]{1,40}".prop_map(String::into_bytes),
        vec(bytes, 1..40)
    ]
    .prop_map(Vec::into_boxed_slice)
}

fn edge_u32() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..5000u32,
        any::<u32>(),
        2_097_150..2_097_154u32,
        Just(u32::MAX)
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let owner =
        (edge_u32(), edge_u32(), owner_name(), owner_name()).prop_map(|(uid, gid, user, group)| {
            Owner {
                uid,
                gid,
                user,
                group,
            }
        });
    let seconds = prop_oneof![
        0..2_000_000_000i64,
        any::<i64>(),
        -3..3i64,
        (1 << 33) - 2..(1 << 33) + 2i64
    ];
    let mtime = (seconds, prop_oneof![Just(0), 0..1_000_000_000u32])
        .prop_map(|(seconds, nanoseconds)| Time::new(seconds, nanoseconds));
    let xattr = (
        "(user|trusted)\\.[a-z.%=\u{e9}]{1,20}",
        vec(any::<u8>(), 0..300),
    )
        .prop_map(|(name, value)| Xattr {
            name: name.into_bytes().into(),
            value: value.into(),
        });
    let xattrs = vec(xattr, 0..4).prop_map(|mut xattrs| {
        xattrs.sort_by(|a, b| a.name.cmp(&b.name));
        xattrs.dedup_by(|a, b| a.name == b.name);
        xattrs
    });
    (0..=0o7777u32, owner, mtime, xattrs).prop_map(|(mode, owner, mtime, xattrs)| Metadata {
        mode,
        owner,
        mtime,
        xattrs,
        ..Metadata::default()
    })
}

/// Content of any kind, and the runs of a file.
fn content() -> impl Strategy<Value = (Content, Vec<DataRun>)> {
    let target = vec(any::<u8>().prop_map(|byte| byte.max(1)), 1..400);
    let size = prop_oneof![
        Just(0),
        0..100_000u64,
        (1 << 33) - 3..(1 << 33) + 3u64,
        0..=u64::try_from(i64::MAX).expect("positive")
    ];
    // The runs of a file: sorted places in it, taken in pairs.
    let file =
        (size, vec(any::<u64>(), 0..20), any::<bool>()).prop_map(|(size, places, is_whole)| {
            let mut places: Vec<_> = places.into_iter().map(|place| place % (size + 1)).collect();
            places.sort_unstable();
            let runs = places
                .chunks_exact(2)
                .map(|pair| DataRun {
                    at: FileOffset(pair[0]),
                    length: pair[1] - pair[0],
                })
                .collect();
            let whole = vec![DataRun {
                at: FileOffset(0),
                length: size,
            }];
            (
                Content::File {
                    size,
                    extents: Vec::new(),
                },
                if is_whole { whole } else { runs },
            )
        });
    let device = || (edge_u32(), edge_u32()).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        6 => file,
        1 => Just((Content::Directory, Vec::new())),
        1 => Just((Content::Fifo, Vec::new())),
        2 => target.prop_map(|target| (Content::Symlink(target.into()), Vec::new())),
        1 => device().prop_map(|device| (Content::CharDevice(device), Vec::new())),
        1 => device().prop_map(|device| (Content::BlockDevice(device), Vec::new())),
    ]
}

/// A member of any kind.
pub fn member() -> impl Strategy<Value = Member> {
    (
        tree_path(),
        metadata(),
        content(),
        proptest::option::weighted(0.2, tree_path()),
    )
        .prop_map(|(path, metadata, (content, runs), link_to)| {
            let link_to = link_to.filter(|_| content != Content::Directory);
            Member {
                entry: Entry {
                    path,
                    metadata,
                    content,
                    link_to: None,
                },
                link_to,
                runs,
            }
        })
}

fn is_in(runs: &[(u64, u64)], start: u64, end: u64) -> bool {
    runs.iter()
        .any(|(at, length)| *at <= start && end <= at + length)
}

proptest! {
    #[test]
    fn every_entry_reads_back_from_its_header(before in member(), member in member()) {
        let mut encoder = MemberEncoder::new();
        encoder
            .header(
                &before.entry,
                before.link_to.as_ref(),
                &before.runs,
                &mut Vec::new(),
            )
            .expect("it can be written");
        let mut out = b"what stood there".to_vec();
        let start = out.len();
        let plan = encoder
            .header(
                &member.entry,
                member.link_to.as_ref(),
                &member.runs,
                &mut out,
            )
            .expect("it can be written");
        let is = decode(&out[start..]);
        let entry = &member.entry;

        prop_assert_eq!(is.header_bytes, out.len() - start);
        prop_assert_eq!(is.data_bytes, plan.data_bytes());
        prop_assert_eq!((plan.data_bytes() + plan.padding()) % 512, 0);
        let name_of = |path: &TreePath| {
            [
                &b"./"[..],
                path.as_bytes(),
                if entry.content == Content::Directory {
                    b"/"
                } else {
                    b""
                },
            ]
            .concat()
        };
        prop_assert_eq!(&is.name, &name_of(&entry.path));
        let (kind, link, device) = match (&entry.content, &member.link_to) {
            (_, Some(first)) => (b'1', name_of(first), Device { major: 0, minor: 0 }),
            (Content::File { .. }, None) => (b'0', Vec::new(), Device { major: 0, minor: 0 }),
            (Content::Symlink(target), None) => {
                (b'2', target.to_vec(), Device { major: 0, minor: 0 })
            }
            (Content::CharDevice(device), None) => (b'3', Vec::new(), *device),
            (Content::BlockDevice(device), None) => (b'4', Vec::new(), *device),
            (Content::Directory, None) => (b'5', Vec::new(), Device { major: 0, minor: 0 }),
            (Content::Fifo, None) => (b'6', Vec::new(), Device { major: 0, minor: 0 }),
        };
        prop_assert_eq!(is.kind, kind);
        prop_assert_eq!(&is.link, &link);
        if member.link_to.is_none() {
            prop_assert_eq!(
                is.device,
                (u64::from(device.major), u64::from(device.minor))
            );
        }
        let metadata = &entry.metadata;
        prop_assert_eq!(is.mode, u64::from(metadata.mode));
        prop_assert_eq!(
            (is.uid, is.gid),
            (u64::from(metadata.owner.uid), u64::from(metadata.owner.gid))
        );
        prop_assert_eq!(
            (&is.user[..], &is.group[..]),
            (&*metadata.owner.user, &*metadata.owner.group)
        );
        prop_assert_eq!(
            is.mtime,
            (
                i128::from(metadata.mtime.seconds()),
                i128::from(metadata.mtime.nanoseconds())
            )
        );

        // Texts in records are ASCII or declared as bytes, and declared only if they need it.
        let texts = [
            ("path", &is.name),
            ("GNU.sparse.name", &is.name),
            ("linkpath", &is.link),
            ("uname", &is.user),
            ("gname", &is.group),
        ];
        let has_bytes = texts
            .iter()
            .any(|(key, text)| is.keys.iter().any(|found| found == key) && !text.is_ascii());
        prop_assert_eq!(is.is_binary, has_bytes);

        let attributes = if member.link_to.is_some() {
            &[][..]
        } else {
            &metadata.xattrs
        };
        prop_assert_eq!(is.attributes.len(), attributes.len());
        for xattr in attributes {
            let name = String::from_utf8(xattr.name.to_vec())
                .expect("text")
                .replace('%', "%25")
                .replace('=', "%3D");
            prop_assert_eq!(
                is.attributes.get(format!("SCHILY.xattr.{name}").as_bytes()),
                Some(&xattr.value.to_vec())
            );
        }

        if kind != b'0' {
            prop_assert_eq!((is.size, plan.runs()), (0, &[][..]));
            return Ok(());
        }
        prop_assert_eq!(is.size, member.size());
        let stored = is.map.clone().unwrap_or_else(|| {
            if is.size > 0 {
                vec![(0, is.size)]
            } else {
                Vec::new()
            }
        });
        let planned: Vec<_> = plan
            .runs()
            .iter()
            .map(|run| (run.at.0, run.length))
            .collect();
        prop_assert_eq!(
            &stored
                .iter()
                .copied()
                .filter(|(_, length)| *length > 0)
                .collect::<Vec<_>>(),
            &planned
        );
        for run in member.runs.iter().filter(|run| run.length > 0) {
            prop_assert!(
                is_in(&planned, run.at.0, run.at.0 + run.length),
                "a run is lost"
            );
        }
        let given: u64 = member.runs.iter().map(|run| run.length).sum();
        prop_assert!(
            plan.data_bytes() <= given + 1022 * member.runs.len() as u64,
            "holes are stored"
        );
        for window in stored.windows(2) {
            prop_assert!(
                window[0].0 + window[0].1 <= window[1].0,
                "runs are in order"
            );
            prop_assert!(
                window[0].1 % 512 == 0 && window[1].0 % 512 == 0 || window[1].1 == 0,
                "GNU tar begins runs at blocks"
            );
        }
        if let Some(map) = &is.map {
            let (at, length) = map.last().expect("a map has a line");
            prop_assert_eq!(at + length, is.size, "the map reaches the end");
        }
    }
}

#[test]
fn a_common_member_needs_one_record_and_a_plain_one_none() {
    let header = |member: Member| {
        let mut out = Vec::new();
        MemberEncoder::new()
            .header(&member.entry, None, &member.runs, &mut out)
            .expect("it can be written");
        out
    };
    assert_eq!(
        header(Member::file("a/b", 5).time(1_700_000_000, 0)).len(),
        512
    );
    assert_eq!(
        header(Member::file("\u{e9}".repeat(49), 5).time(1_700_000_000, 0)).len(),
        512
    );
    assert_eq!(
        header(Member::file(vec![0xff; 98], 5).time(1_700_000_000, 0)).len(),
        512
    );
    let (one, other) = (
        header(Member::file("a/b", 5).time(1_700_000_000, 1)),
        header(Member::file("c", 7).time(1_600_000_001, 999)),
    );
    assert_eq!((one.len(), other.len()), (1536, 1536));
    assert_eq!(
        one[..512],
        other[..512],
        "the extended header is the same bytes each time"
    );
    assert_eq!(decode(&one).keys, ["mtime"]);
}

#[test]
fn an_entry_that_cannot_be_a_member_is_refused_and_leaves_nothing() {
    let mut out = Vec::new();
    let mut encoder = MemberEncoder::new();
    let root = Entry {
        path: TreePath::root(),
        ..Member::file("x", 1).entry
    };
    encoder
        .header(&root, None, &[], &mut out)
        .expect_err("a root that is a file");
    let beyond = Member::sparse("file", 10, &[(5, 6)]);
    let error = encoder
        .header(&beyond.entry, None, &beyond.runs, &mut out)
        .expect_err("a run past the end");
    assert_eq!(
        error.to_string(),
        "could not write file as a tar member: its data runs are out of order or reach past its end"
    );
    assert_eq!(out, b"");
}

#[test]
fn a_stream_is_written_as_documented() {
    let member = Member::file("a", 5).time(1_700_000_000, 123_456_789);
    let mut out = Vec::new();
    MemberEncoder::new()
        .header(&member.entry, None, &member.runs, &mut out)
        .expect("it can be written");
    let lines = out
        .chunks(16)
        .enumerate()
        .filter(|(_, line)| line.iter().any(|byte| *byte != 0));
    let dump: Vec<_> = lines
        .map(|(number, line)| {
            let bytes: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("    {:04x}  {}\n", number * 16, bytes.join(" "))
        })
        .collect();
    let dump = dump.concat();
    assert!(
        include_str!("../../../docs/format/tar.md").ends_with(&dump),
        "the example should be:\n{dump}"
    );
}
