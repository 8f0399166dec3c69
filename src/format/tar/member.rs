//! Members: the header fields and records that describe an entry.

use super::dumpdir::DumpDir;
use super::pax::PaxRecords;
use super::sparse;
use super::{acl, padding, ustar};
use crate::model::{
    Content, DataRun, Entry, Extent, LevelSerial, Name, StreamOffset, TreePath, Xattr,
};

/// The record of a directory that lists all its names.
const DUMPDIR: &[u8] = b"GNU.dumpdir";

/// The record of a directory that lists the names whose metadata changed while their content is
/// still in an earlier level: each name, then a NUL.
const KEPT: &[u8] = b"FREEZER.kept";

/// An entry cannot be a member of a tar stream, because the caller broke a rule of
/// [`MemberEncoder::header`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not write {path} as a tar member: {reason}")]
pub struct TarError {
    /// The path of the entry.
    pub path: TreePath,
    /// The rule that the caller broke.
    pub reason: &'static str,
}

/// Writes the headers of members. Keeps its buffers from one member to the next.
#[derive(Debug, Default)]
pub struct MemberEncoder {
    name: Vec<u8>,
    link: Vec<u8>,
    records: PaxRecords,
    runs: Vec<DataRun>,
    map: Vec<u8>,
}

/// What follows a member's header in the stream: the runs end to end, then
/// [`padding`](Self::padding) zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberPlan<'a> {
    runs: &'a [DataRun],
    data_bytes: u64,
}

impl MemberPlan<'_> {
    /// Returns the parts of the file to write, in this order. They cover the runs that the caller
    /// named, and up to a block more at the edges of holes: the zeros there become data.
    pub fn runs(&self) -> &[DataRun] {
        self.runs
    }

    /// Returns the sum of the runs' lengths in bytes.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Returns how many zeros end the member.
    pub fn padding(&self) -> u64 {
        padding(self.data_bytes)
    }

    /// Lists where the content is, given where the header ended in the stream of `level`.
    pub fn extents(
        &self,
        level: LevelSerial,
        header_end: StreamOffset,
    ) -> impl Iterator<Item = Extent> {
        self.runs.iter().scan(header_end.0, move |next, run| {
            let stream = StreamOffset(*next);
            *next += run.length;
            Some(Extent {
                at: run.at,
                level,
                stream,
                length: run.length,
            })
        })
    }
}

impl MemberEncoder {
    /// Makes an encoder with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends everything that stands before the member's data to `out`, and returns a plan of the
    /// data.
    ///
    /// `runs` are the parts of a regular file that hold data, in order: one run for a file without
    /// holes, none for an empty file. The extents of the entry do not count. If the member is a
    /// further name of an earlier one, `link_to` is the path of that one: the member is then a hard
    /// link, and `runs` do not count.
    ///
    /// # Errors
    ///
    /// [`TarError`] if runs overlap, are out of order or reach past the end of the file, or if the
    /// root of the tree is not a directory. `out` is then unchanged.
    ///
    /// Layout: docs/format.md, "The tar stream".
    pub fn header(
        &mut self,
        entry: &Entry,
        link_to: Option<&TreePath>,
        runs: &[DataRun],
        out: &mut Vec<u8>,
    ) -> Result<MemberPlan<'_>, TarError> {
        self.header_with(entry, link_to, runs, &[], out)
    }

    /// Appends the member of a directory to `out`, with lists of what is in it. `names` are all its
    /// names; `None` if they are not known. `kept` are the names whose metadata changed while their
    /// content is still in an earlier level.
    ///
    /// # Errors
    ///
    /// [`TarError`] if the entry is not a directory.
    pub fn directory(
        &mut self,
        entry: &Entry,
        names: Option<DumpDir>,
        kept: &[Name],
        out: &mut Vec<u8>,
    ) -> Result<(), TarError> {
        if entry.content != Content::Directory {
            return Err(refused(entry, "it is not a directory"));
        }
        let names = names.map(DumpDir::finish);
        let kept: Vec<u8> = kept
            .iter()
            .flat_map(|name| name.as_bytes().iter().copied().chain([0]))
            .collect();
        let mut records: Vec<(&[u8], &[u8])> = Vec::new();
        records.extend(names.as_deref().map(|names| (DUMPDIR, names)));
        if !kept.is_empty() {
            records.push((KEPT, &kept));
        }
        self.header_with(entry, None, &[], &records, out).map(drop)
    }

    fn header_with(
        &mut self,
        entry: &Entry,
        link_to: Option<&TreePath>,
        runs: &[DataRun],
        records: &[(&[u8], &[u8])],
        out: &mut Vec<u8>,
    ) -> Result<MemberPlan<'_>, TarError> {
        let refuse = |reason| refused(entry, reason);
        if entry.path.is_root() && entry.content != Content::Directory {
            return Err(refuse("the root of a tree must be a directory"));
        }
        let size = match &entry.content {
            Content::File { size, .. } if link_to.is_none() => *size,
            _ => 0,
        };
        self.runs.clear();
        if size > 0 {
            sparse::align(runs, size, &mut self.runs)
                .ok_or_else(|| refuse("its data runs are out of order or reach past its end"))?;
        }
        self.records.clear();
        self.map.clear();

        let mut header = ustar::HeaderBlock::new(kind_of(entry, link_to));
        member_name(&entry.path, &entry.content, &mut self.name);
        let is_sparse = sparse::has_hole(&self.runs, size);
        if is_sparse {
            self.sparse_name(entry, size, &mut header);
            sparse::write_map(&self.runs, size, &mut self.map);
        } else {
            self.name(&mut header);
        }
        self.link(entry, link_to, &mut header);

        let data_bytes = self.runs.iter().map(|run| run.length).sum::<u64>();
        let stored = data_bytes
            .checked_add(self.map.len() as u64)
            .ok_or_else(|| refuse("it is larger than a file can be"))?;
        header.number(ustar::SIZE, stored);
        // Python's tarfile takes the size record of a sparse member for the size of the file.
        if stored > ustar::MAX_LONG && !is_sparse {
            self.records.push_number(b"size", stored);
        }
        self.metadata(entry, &mut header);
        if link_to.is_none() {
            self.device_and_xattrs(entry, &mut header);
        }
        for (key, value) in records {
            self.records.push(&[key], value);
        }
        self.records.finish(out);
        header.finish(out);
        out.extend_from_slice(&self.map);
        Ok(MemberPlan {
            runs: &self.runs,
            data_bytes,
        })
    }

    /// Writes the name: into the header if it fits, otherwise cut off there and whole in a record.
    fn name(&mut self, header: &mut ustar::HeaderBlock) {
        let name = &self.name;
        if name.len() <= ustar::NAME.len() {
            header.text(ustar::NAME, name);
        } else if let Some(cut) = ustar::split(name) {
            header.text(ustar::PREFIX, &name[..cut]);
            header.text(ustar::NAME, &name[cut + 1..]);
        } else {
            header.text(ustar::NAME, name);
            self.records.push_text(b"path", name);
        }
    }

    /// Writes the name and the size of a sparse file. As with GNU tar, readers that do not know
    /// sparse members see map and data under another name: not as a wrong file in place of the
    /// right one.
    fn sparse_name(&mut self, entry: &Entry, size: u64, header: &mut ustar::HeaderBlock) {
        const AS_STORED: &[u8] = b"./GNUSparseFile.0/";
        header.text(ustar::NAME, AS_STORED);
        header.text(
            ustar::NAME.start + AS_STORED.len()..ustar::NAME.end,
            entry.path.file_name(),
        );
        self.records.push(&[b"GNU.sparse.major"], b"1");
        self.records.push(&[b"GNU.sparse.minor"], b"0");
        self.records.push_text(b"GNU.sparse.name", &self.name);
        self.records.push_number(b"GNU.sparse.realsize", size);
    }

    /// Writes the target of a symbolic or hard link.
    fn link(&mut self, entry: &Entry, link_to: Option<&TreePath>, header: &mut ustar::HeaderBlock) {
        let target = match (link_to, &entry.content) {
            (Some(first), content) => {
                member_name(first, content, &mut self.link);
                self.link.as_slice()
            }
            (None, Content::Symlink(target)) => target,
            (None, _) => return,
        };
        header.text(ustar::LINK_NAME, target);
        if target.len() > ustar::LINK_NAME.len() {
            self.records.push_text(b"linkpath", target);
        }
    }

    /// Writes mode, owner and time. A hard link has them too: tarfile sets them for every name.
    fn metadata(&mut self, entry: &Entry, header: &mut ustar::HeaderBlock) {
        let metadata = &entry.metadata;
        header.number(ustar::MODE, u64::from(metadata.mode & 0o7777));
        let owner = &metadata.owner;
        for (field, key, id) in [
            (ustar::UID, &b"uid"[..], owner.uid),
            (ustar::GID, b"gid", owner.gid),
        ] {
            let id = u64::from(id);
            header.number(field, id);
            if id > ustar::MAX_SHORT {
                self.records.push_number(key, id);
            }
        }
        for (field, key, name) in [
            (ustar::USER, &b"uname"[..], &owner.user),
            (ustar::GROUP, b"gname", &owner.group),
        ] {
            // The field ends with a NUL. A name that is cut off would be another name: readers
            // then better use the number.
            if name.len() < field.len() {
                header.text(field, name);
            } else {
                self.records.push_text(key, name);
            }
        }
        let mtime = metadata.mtime;
        let seconds = u64::try_from(mtime.seconds())
            .unwrap_or(0)
            .min(ustar::MAX_LONG);
        header.number(ustar::MTIME, seconds);
        if mtime.nanoseconds() > 0 || i64::try_from(seconds) != Ok(mtime.seconds()) {
            self.records.push_time(b"mtime", mtime);
        }
    }

    /// Writes the numbers of a device, and the extended attributes.
    fn device_and_xattrs(&mut self, entry: &Entry, header: &mut ustar::HeaderBlock) {
        if let Content::CharDevice(device) | Content::BlockDevice(device) = &entry.content {
            header.number(ustar::DEVICE_MAJOR, u64::from(device.major));
            header.number(ustar::DEVICE_MINOR, u64::from(device.minor));
        }
        for xattr in &entry.metadata.xattrs {
            self.xattr(xattr);
        }
    }

    /// Writes an extended attribute: an ACL as text; any other, and an ACL that cannot be read, as
    /// it is.
    fn xattr(&mut self, xattr: &Xattr) {
        let acl_key: Option<&[u8]> = match &*xattr.name {
            b"system.posix_acl_access" => Some(b"SCHILY.acl.access"),
            b"system.posix_acl_default" => Some(b"SCHILY.acl.default"),
            _ => None,
        };
        if let Some(key) = acl_key {
            self.link.clear();
            if acl::push_text(&xattr.value, &mut self.link).is_some() {
                return self.records.push(&[key], &self.link);
            }
        }
        const KEY: &[u8] = b"SCHILY.xattr.";
        if xattr.name.iter().any(|byte| matches!(byte, b'=' | b'%')) {
            // A key ends at the first `=`: GNU tar writes these two bytes like this.
            self.link.clear();
            for byte in &xattr.name {
                match byte {
                    b'=' => self.link.extend_from_slice(b"%3D"),
                    b'%' => self.link.extend_from_slice(b"%25"),
                    other => self.link.push(*other),
                }
            }
            self.records.push(&[KEY, &self.link], &xattr.value);
        } else {
            self.records.push(&[KEY, &xattr.name], &xattr.value);
        }
    }
}

fn refused(entry: &Entry, reason: &'static str) -> TarError {
    TarError {
        path: entry.path.clone(),
        reason,
    }
}

/// Returns the content of the type field.
fn kind_of(entry: &Entry, link_to: Option<&TreePath>) -> u8 {
    match (&entry.content, link_to) {
        (_, Some(_)) => b'1',
        (Content::File { .. }, None) => b'0',
        (Content::Symlink(_), None) => b'2',
        (Content::CharDevice(_), None) => b'3',
        (Content::BlockDevice(_), None) => b'4',
        (Content::Directory, None) => b'5',
        (Content::Fifo, None) => b'6',
    }
}

/// Makes the name of a member: it begins with `./`, and that of a directory ends with a slash.
fn member_name(path: &TreePath, content: &Content, name: &mut Vec<u8>) {
    name.clear();
    name.extend_from_slice(b"./");
    name.extend_from_slice(path.as_bytes());
    if *content == Content::Directory && !path.is_root() {
        name.push(b'/');
    }
}
