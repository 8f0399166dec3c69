//! The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02) that a store needs.

/// The most bytes of a packet: servers send at most 256 KiB of data and a head.
pub(super) const MAX_PACKET: usize = (256 << 10) + 1024;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request<'ask> {
    /// Opens to read.
    OpenToRead(&'ask str),
    /// Makes a file that must not be there, to write.
    Create(&'ask str),
    Close(&'ask [u8]),
    Read {
        handle: &'ask [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'ask [u8],
        offset: u64,
        data: &'ask [u8],
    },
    Stat(&'ask str),
    StatHandle(&'ask [u8]),
    OpenDirectory(&'ask str),
    ReadDirectory(&'ask [u8]),
    Remove(&'ask str),
    MakeDirectory(&'ask str),
    RemoveDirectory(&'ask str),
    Rename {
        from: &'ask str,
        to: &'ask str,
    },
    /// Renames over what is there: `posix-rename@openssh.com`.
    RenameOver {
        from: &'ask str,
        to: &'ask str,
    },
    /// Gives a file one more name, which nothing has yet: `hardlink@openssh.com`.
    Link {
        from: &'ask str,
        to: &'ask str,
    },
    /// `fsync@openssh.com`.
    Flush(&'ask [u8]),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SftpAnswer {
    Status { code: u32, words: String },
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<(Vec<u8>, SftpAttributes)>),
    Attributes(SftpAttributes),
}

/// The attributes of a file that a store needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SftpAttributes {
    pub(super) size: u64,
    /// Type and permissions as in `st_mode`; 0 where the server does not say.
    pub(super) mode: u32,
}

/// Status codes that we distinguish.
pub(super) const OK: u32 = 0;
pub(super) const END: u32 = 1;
pub(super) const NO_SUCH_FILE: u32 = 2;
pub(super) const DENIED: u32 = 3;
/// The code of version 3 for everything without a code of its own, such as a folder that exists.
pub(super) const FAILURE: u32 = 4;
pub(super) const UNSUPPORTED: u32 = 8;

/// Extensions of the protocol that the server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerExtensions {
    pub(super) rename_over: bool,
    pub(super) flush: bool,
    pub(super) link: bool,
}

const VERSION: u32 = 3;
const HAS_SIZE: u32 = 1;
const HAS_OWNER: u32 = 2;
const HAS_MODE: u32 = 4;
const HAS_TIMES: u32 = 8;
const HAS_MORE: u32 = 0x8000_0000;

impl SftpAttributes {
    pub(super) fn is_directory(self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    pub(super) fn is_file(self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// The packet that begins a session.
pub(super) fn hello() -> Vec<u8> {
    packet(1, |bytes| bytes.extend(VERSION.to_be_bytes()))
}

impl Request<'_> {
    /// Returns the packet, with its length before it.
    pub(super) fn encode(self, id: u32) -> Vec<u8> {
        packet(self.kind(), |bytes| {
            bytes.extend(id.to_be_bytes());
            if let Some(name) = self.extension() {
                put(bytes, name.as_bytes());
            }
            self.put_arguments(bytes);
        })
    }

    /// Returns the number of the packet's type.
    fn kind(self) -> u8 {
        match self {
            Self::OpenToRead(_) | Self::Create(_) => 3,
            Self::Close(_) => 4,
            Self::Read { .. } => 5,
            Self::Write { .. } => 6,
            Self::StatHandle(_) => 8,
            Self::OpenDirectory(_) => 11,
            Self::ReadDirectory(_) => 12,
            Self::Remove(_) => 13,
            Self::MakeDirectory(_) => 14,
            Self::RemoveDirectory(_) => 15,
            Self::Stat(_) => 17,
            Self::Rename { .. } => 18,
            Self::RenameOver { .. } | Self::Link { .. } | Self::Flush(_) => 200,
        }
    }

    /// Returns the name that stands before the arguments of an extension.
    fn extension(self) -> Option<&'static str> {
        match self {
            Self::RenameOver { .. } => Some("posix-rename@openssh.com"),
            Self::Link { .. } => Some("hardlink@openssh.com"),
            Self::Flush(_) => Some("fsync@openssh.com"),
            _ => None,
        }
    }

    fn put_arguments(self, bytes: &mut Vec<u8>) {
        match self {
            Self::OpenToRead(path) => {
                put(bytes, path.as_bytes());
                bytes.extend(1_u32.to_be_bytes());
                bytes.extend(0_u32.to_be_bytes());
            }
            Self::Create(path) => {
                put(bytes, path.as_bytes());
                // to write, made, and refused if it is there
                bytes.extend((2_u32 | 8 | 0x20).to_be_bytes());
                bytes.extend(0_u32.to_be_bytes());
            }
            Self::MakeDirectory(path) => {
                put(bytes, path.as_bytes());
                bytes.extend(0_u32.to_be_bytes());
            }
            Self::Close(handle)
            | Self::StatHandle(handle)
            | Self::ReadDirectory(handle)
            | Self::Flush(handle) => put(bytes, handle),
            Self::Read {
                handle,
                offset,
                length,
            } => {
                put(bytes, handle);
                bytes.extend(offset.to_be_bytes());
                bytes.extend(length.to_be_bytes());
            }
            Self::Write {
                handle,
                offset,
                data,
            } => {
                put(bytes, handle);
                bytes.extend(offset.to_be_bytes());
                put(bytes, data);
            }
            Self::Stat(path)
            | Self::OpenDirectory(path)
            | Self::Remove(path)
            | Self::RemoveDirectory(path) => put(bytes, path.as_bytes()),
            Self::Rename { from, to } | Self::RenameOver { from, to } | Self::Link { from, to } => {
                put(bytes, from.as_bytes());
                put(bytes, to.as_bytes());
            }
        }
    }
}

fn packet(kind: u8, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, kind];
    fill(&mut bytes);
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// A string: its length, and its bytes. Nothing of ours is as long as 4 GiB.
fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(text);
}

/// Reads the answer to [`hello`], without its length.
pub(super) fn decode_hello(packet: &[u8]) -> Option<ServerExtensions> {
    let mut rest = PacketRest(packet);
    if rest.u8()? != 2 || rest.u32()? != VERSION {
        return None;
    }
    let mut extensions = ServerExtensions::default();
    while !rest.0.is_empty() {
        match (rest.text()?, rest.text()?) {
            (b"posix-rename@openssh.com", b"1") => extensions.rename_over = true,
            (b"fsync@openssh.com", b"1") => extensions.flush = true,
            (b"hardlink@openssh.com", b"1") => extensions.link = true,
            _ => {}
        }
    }
    Some(extensions)
}

/// Reads a packet without its length: the number of the request that it answers, and the answer.
pub(super) fn decode(packet: &[u8]) -> Option<(u32, SftpAnswer)> {
    let mut rest = PacketRest(packet);
    let kind = rest.u8()?;
    let id = rest.u32()?;
    let answer = match kind {
        101 => {
            let code = rest.u32()?;
            // Some servers leave the words out.
            let words = rest
                .text()
                .map(|words| String::from_utf8_lossy(words).into_owned())
                .unwrap_or_default();
            let words = words.chars().take(300).collect();
            SftpAnswer::Status { code, words }
        }
        102 => SftpAnswer::Handle(rest.text()?.to_vec()),
        103 => SftpAnswer::Data(rest.text()?.to_vec()),
        104 => {
            let count = rest.u32()?;
            let mut names = Vec::new();
            for _ in 0..count {
                let name = rest.text()?.to_vec();
                rest.text()?;
                names.push((name, rest.attributes()?));
            }
            SftpAnswer::Names(names)
        }
        105 => SftpAnswer::Attributes(rest.attributes()?),
        _ => return None,
    };
    Some((id, answer))
}

/// The rest of a packet that is being read.
struct PacketRest<'packet>(&'packet [u8]);

impl<'packet> PacketRest<'packet> {
    fn take(&mut self, count: usize) -> Option<&'packet [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'packet [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn attributes(&mut self) -> Option<SftpAttributes> {
        let flags = self.u32()?;
        let has = |flag: u32| flags & flag != 0;
        let size = if has(HAS_SIZE) { self.u64()? } else { 0 };
        if has(HAS_OWNER) {
            self.take(8)?;
        }
        let mode = if has(HAS_MODE) { self.u32()? } else { 0 };
        if has(HAS_TIMES) {
            self.take(8)?;
        }
        if has(HAS_MORE) {
            for _ in 0..self.u32()? {
                self.text()?;
                self.text()?;
            }
        }
        Some(SftpAttributes { size, mode })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Request, ServerExtensions, SftpAnswer, SftpAttributes, decode, decode_hello, hello,
    };
    use proptest::prelude::*;

    /// A string as packets have it.
    fn text(text: &str) -> Vec<u8> {
        [
            &u32::try_from(text.len()).expect("short").to_be_bytes()[..],
            text.as_bytes(),
        ]
        .concat()
    }

    #[test]
    fn requests_are_what_the_draft_says() {
        assert_eq!(hello(), [0, 0, 0, 5, 1, 0, 0, 0, 3]);
        assert_eq!(
            Request::Close(b"h").encode(7),
            [0, 0, 0, 10, 4, 0, 0, 0, 7, 0, 0, 0, 1, b'h']
        );
        let read = Request::Read {
            handle: b"h",
            offset: 258,
            length: 9,
        }
        .encode(1);
        assert_eq!(
            read,
            [
                &[
                    0, 0, 0, 22, 5, 0, 0, 0, 1, 0, 0, 0, 1, b'h', 0, 0, 0, 0, 0, 0, 1, 2
                ][..],
                &[0, 0, 0, 9]
            ]
            .concat()
        );
        let rename = Request::RenameOver { from: "a", to: "b" }.encode(2);
        assert_eq!(
            rename[4..],
            [
                &[200, 0, 0, 0, 2][..],
                &text("posix-rename@openssh.com"),
                &text("a"),
                &text("b")
            ]
            .concat()
        );
    }

    #[test]
    fn answers_are_read() {
        let version = [
            &[2, 0, 0, 0, 3][..],
            &text("posix-rename@openssh.com"),
            &text("1"),
            &text("other"),
            &text("9"),
        ]
        .concat();
        assert_eq!(
            decode_hello(&version),
            Some(ServerExtensions {
                rename_over: true,
                flush: false,
                link: false
            })
        );
        assert_eq!(decode_hello(&[2, 0, 0, 0, 6]), None, "another version");
        let status = [
            &[101, 0, 0, 0, 5, 0, 0, 0, 2][..],
            &text("gone"),
            &text("en"),
        ]
        .concat();
        assert_eq!(
            decode(&status),
            Some((
                5,
                SftpAnswer::Status {
                    code: 2,
                    words: "gone".to_owned()
                }
            ))
        );
        let attributes = [0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0x81, 0xa4];
        let known = SftpAttributes {
            size: 9,
            mode: 0o100_644,
        };
        assert!(known.is_file() && !known.is_directory());
        assert_eq!(
            decode(&[&[105, 0, 0, 0, 6][..], &attributes].concat()),
            Some((6, SftpAnswer::Attributes(known)))
        );
        let names = [
            &[104, 0, 0, 0, 7, 0, 0, 0, 1][..],
            &text("n"),
            &text("-rw n"),
            &attributes,
        ]
        .concat();
        assert_eq!(
            decode(&names),
            Some((7, SftpAnswer::Names(vec![(b"n".to_vec(), known)])))
        );
        for cut in 0..names.len() {
            assert_eq!(decode(&names[..cut]), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(kind in prop_oneof![
            Just(101_u8),
            102..=105_u8,
            any::<u8>(),
        ], rest in proptest::collection::vec(any::<u8>(), 0..80)) {
            let packet = [&[kind][..], &rest].concat();
            let _read_or_refused = (decode(&packet).is_some(), decode_hello(&packet).is_some());
        }
    }
}
