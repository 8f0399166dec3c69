//! Members to encode, and archives made of them. Every byte of content depends on its place.

use freezer::format::tar::{END_OF_ARCHIVE, MemberEncoder};
use freezer::model::{
    Content, DataRun, Entry, FileOffset, LevelSerial, Metadata, NodeId, Owner, StreamOffset, Time,
    TreePath, Xattr,
};

/// An entry, and the other arguments of the encoder.
#[derive(Clone, Debug)]
pub struct Member {
    pub entry: Entry,
    /// The path of the first name, if this is a further name.
    pub link_to: Option<TreePath>,
    /// The runs of the file that are data.
    pub runs: Vec<DataRun>,
}

/// Returns the byte at a place in the data of every file. It is never 0, so that no hole looks like
/// data.
pub fn byte_at(offset: u64) -> u8 {
    let mixed = (offset ^ (offset >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    u8::try_from(mixed).expect("eight bits are left").max(1)
}

/// Returns the bytes that a file with these runs has at a place.
pub fn bytes_of(runs: &[DataRun], start: u64, length: u64) -> Vec<u8> {
    let in_data = |at| {
        runs.iter()
            .any(|run| (run.at.0..run.at.0 + run.length).contains(&at))
    };
    (start..start + length)
        .map(|at| if in_data(at) { byte_at(at) } else { 0 })
        .collect()
}

/// Makes a path from its bytes.
pub fn path(bytes: impl AsRef<[u8]>) -> TreePath {
    TreePath::parse(bytes.as_ref()).expect("a legal path")
}

impl Member {
    pub fn new(name: impl AsRef<[u8]>, content: Content) -> Self {
        let mode = if content == Content::Directory {
            0o755
        } else {
            0o644
        };
        let metadata = Metadata {
            mode,
            mtime: Time::new(1_700_000_000, 123_456_789),
            ..Metadata::default()
        };
        Self {
            entry: Entry {
                path: path(name),
                metadata,
                content,
                link_to: None,
            },
            link_to: None,
            runs: Vec::new(),
        }
    }

    pub fn file(name: impl AsRef<[u8]>, size: u64) -> Self {
        let mut member = Self::new(
            name,
            Content::File {
                size,
                extents: Vec::new(),
            },
        );
        member.runs = if size > 0 {
            vec![DataRun {
                at: FileOffset(0),
                length: size,
            }]
        } else {
            Vec::new()
        };
        member
    }

    pub fn sparse(name: impl AsRef<[u8]>, size: u64, runs: &[(u64, u64)]) -> Self {
        let mut member = Self::file(name, size);
        member.runs = runs
            .iter()
            .map(|(at, length)| DataRun {
                at: FileOffset(*at),
                length: *length,
            })
            .collect();
        member
    }

    pub fn directory(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, Content::Directory)
    }

    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(name, Content::Symlink(target.as_ref().into())).mode(0o777)
    }

    /// Makes a further name of `first`.
    pub fn hard_link(name: impl AsRef<[u8]>, first: &Self) -> Self {
        let mut member = first.clone();
        member.entry.path = path(name);
        member.entry.link_to = Some(NodeId(1));
        member.link_to = Some(first.entry.path.clone());
        member
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.entry.metadata.mode = mode;
        self
    }

    pub fn time(mut self, seconds: i64, nanoseconds: u32) -> Self {
        self.entry.metadata.mtime = Time::new(seconds, nanoseconds);
        self
    }

    pub fn owner(mut self, uid: u32, gid: u32, user: &str, group: &str) -> Self {
        self.entry.metadata.owner = Owner {
            uid,
            gid,
            user: user.as_bytes().into(),
            group: group.as_bytes().into(),
        };
        self
    }

    pub fn xattr(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.entry.metadata.xattrs.push(Xattr {
            name: name.as_ref().into(),
            value: value.as_ref().into(),
        });
        self
    }

    /// Returns the size of a regular file, otherwise 0.
    pub fn size(&self) -> u64 {
        match self.entry.content {
            Content::File { size, .. } => size,
            _ => 0,
        }
    }
}

/// Encodes members as a backup would, and checks that the extents point at the data.
pub fn archive(members: &[Member]) -> Vec<u8> {
    let mut encoder = MemberEncoder::new();
    let mut out = Vec::new();
    for member in members {
        let plan = encoder
            .header(
                &member.entry,
                member.link_to.as_ref(),
                &member.runs,
                &mut out,
            )
            .expect("the member can be written");
        let header_end = StreamOffset(out.len() as u64);
        for run in plan.runs() {
            out.extend(bytes_of(&member.runs, run.at.0, run.length));
        }
        for extent in plan.extents(LevelSerial(3), header_end) {
            assert_eq!(extent.level, LevelSerial(3));
            let start = usize::try_from(extent.stream.0).expect("in memory");
            let end = start + usize::try_from(extent.length).expect("in memory");
            assert_eq!(
                out[start..end],
                bytes_of(&member.runs, extent.at.0, extent.length),
                "{:?}",
                member.entry.path
            );
        }
        let padding = usize::try_from(plan.padding()).expect("less than a block");
        out.resize(out.len() + padding, 0);
        assert_eq!(out.len() % 512, 0);
    }
    out.extend(END_OF_ARCHIVE);
    out
}
