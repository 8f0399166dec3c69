//! The table of mounts.
//!
//! Layout: proc_pid_mountinfo(5).

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A mount, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number. The system gives it to another mount once this one is gone.
    pub id: u64,
    /// The number of the mount that it lies in, or on.
    pub parent: u64,
    /// Major and minor number of the file system.
    pub device: (u32, u32),
    /// The folder of the file system that is shown.
    pub root: PathBuf,
    /// The full path of the place where it is mounted.
    pub place: PathBuf,
    /// The kind of file system, such as `ext4` or `fuse.sshfs`.
    pub kind: String,
}

/// Lists all mounts. A later mount hides an earlier one at the same place.
///
/// # Errors
///
/// When `/proc` is not there, or holds a table that cannot be read.
pub fn mounts() -> io::Result<Vec<Mount>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    let lines = table.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| parse(line).ok_or_else(|| unreadable("/proc/self/mountinfo")))
        .collect()
}

/// Returns the device of the file system that is mounted on a full path without symbolic links;
/// `None` if none is. Asks the table of mounts alone.
pub fn device_mounted_on(place: &[u8]) -> Option<u64> {
    let place = Path::new(OsStr::from_bytes(place));
    let table = mounts().ok()?;
    let mount = table.iter().rev().find(|mount| mount.place == place)?;
    Some(rustix::fs::makedev(mount.device.0, mount.device.1))
}

/// Returns the number of the mount that a path leads to. Does not ask its file system, which may be
/// dead, and does not follow a symbolic link at the end of the path.
pub fn mount_id(path: &Path) -> io::Result<u64> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    mount_of(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// Returns the number of the mount that an open file or directory is in.
pub(super) fn mount_of(open: impl AsFd) -> io::Result<u64> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    if let Ok(about) = rustix::fs::statx(&open, c"", flags, StatxFlags::MNT_ID)
        && StatxFlags::from_bits_retain(about.stx_mask).contains(StatxFlags::MNT_ID)
    {
        return Ok(about.stx_mnt_id);
    }
    // Linux before 5.8, or a file system that is dead.
    let about = format!("/proc/self/fdinfo/{}", open.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(&about)?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    id.and_then(|id| id.trim().parse().ok())
        .ok_or_else(|| unreadable(&about))
}

fn unreadable(file: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{file} does not have the form that proc(5) describes"),
    )
}

/// Parses a line of the table. Any number of fields stands between the options of the mount and a
/// lone `-`, which the kind follows.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (id, parent) = (text()?.parse().ok()?, text()?.parse().ok()?);
    let (major, minor) = text()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let path = |field| PathBuf::from(OsString::from_vec(unescaped(field)));
    let (root, place) = (path(fields.next()?), path(fields.next()?));
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount {
        id,
        parent,
        device,
        root,
        place,
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Decodes space, tab, newline and backslash, which are a backslash and three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<3>().filter(|_| *first == b'\\');
        let code = escaped
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() {
            after.get(3..).unwrap_or_default()
        } else {
            after
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Mount, mount_id, mounts, parse};
    use std::path::Path;

    #[test]
    fn a_line_of_the_table_is_read_with_its_escapes() {
        let line = b"36 35 98:0 /mnt1 /mnt\\040a\\134b rw,noatime master:1 shared:2 \
            - fuse.freezer freezer:docs ro,user_id=0";
        let mount = parse(line).expect("a line");
        let expected = Mount {
            id: 36,
            parent: 35,
            device: (98, 0),
            root: "/mnt1".into(),
            place: "/mnt a\\b".into(),
            kind: "fuse.freezer".into(),
        };
        assert_eq!(mount, expected);
        for line in [
            &b""[..],
            b"1 2 3 4 5 6 7",
            b"x 2 3:4 / / - a",
            b"1 2 3 / / - a",
        ] {
            assert_eq!(parse(line), None);
        }
    }

    #[test]
    fn a_path_leads_to_a_mount_of_the_table() {
        let id = mount_id(Path::new("/proc")).expect("there");
        let table = mounts().expect("readable");
        let proc = table.iter().find(|mount| mount.id == id).expect("listed");
        assert_eq!(
            (proc.place.as_path(), &*proc.kind),
            (Path::new("/proc"), "proc")
        );
    }
}
