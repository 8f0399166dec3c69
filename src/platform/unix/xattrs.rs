//! Reads extended attributes.

use super::DirHandle;
use crate::model::{Name, Xattr};
use crate::platform::calls::{CallKind, during};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{PoisonError, RwLock};

/// Room in bytes for the names, and for most values, of an ordinary file, so that one call is
/// enough.
const USUAL_BYTES: usize = 1024;

/// Reads extended attributes. Remembers the file systems that have none, and asks those once.
///
/// Takes one call for a file that has none, which is the usual case. Many threads may use it at
/// once.
#[derive(Debug, Default)]
pub struct Xattrs {
    /// The devices whose file systems have no extended attributes. A handful at most.
    without: RwLock<Vec<u64>>,
}

impl Xattrs {
    /// Returns a reader that has not met any file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the attributes of an open file or directory on `device`
    /// ([`Stat::device`](crate::platform::Stat)), sorted by name.
    pub fn of_open(&self, open: &impl AsFd, device: u64) -> io::Result<Vec<Xattr>> {
        if self
            .without
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&device)
        {
            return Ok(Vec::new());
        }
        let mut small = [0; USUAL_BYTES];
        let mut large;
        let about = open.as_fd().as_raw_fd();
        let listed = during(CallKind::Xattrs, about, || {
            rustix::fs::flistxattr(open, &mut small[..])
        });
        let names: &[u8] = match listed {
            Ok(length) => small.get(..length).unwrap_or_default(),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let mut without = self.without.write().unwrap_or_else(PoisonError::into_inner);
                if !without.contains(&device) {
                    without.push(device);
                }
                return Ok(Vec::new());
            }
            Err(Errno::RANGE) => {
                large = Vec::new();
                fill(&mut large, about, |room| {
                    rustix::fs::flistxattr(open, spare_capacity(room))
                })?;
                &large
            }
            Err(error) => return Err(error.into()),
        };
        values(names, about, |name, room| {
            rustix::fs::fgetxattr(open, name, spare_capacity(room))
        })
    }

    /// Returns the attributes of an entry that must not be opened, sorted by name: a symbolic link,
    /// a device or a FIFO.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] when `/proc` is not mounted: before Linux 6.13 the call works
    /// relative to a directory only through `/proc`.
    pub fn of_child(&self, directory: &DirHandle, name: &Name) -> io::Result<Vec<Xattr>> {
        let about = directory.as_fd().as_raw_fd();
        let mut path = format!("/proc/self/fd/{about}/").into_bytes();
        let through = path.len();
        path.extend_from_slice(name.as_bytes());
        let mut names = Vec::new();
        match fill(&mut names, about, |room| {
            rustix::fs::llistxattr(path.as_slice(), spare_capacity(room))
        }) {
            Ok(()) => values(&names, about, |attribute, room| {
                rustix::fs::lgetxattr(path.as_slice(), attribute, spare_capacity(room))
            }),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Vec::new()),
            Err(Errno::NOENT)
                if rustix::fs::stat(path.get(..through).unwrap_or_default()).is_err() =>
            {
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "cannot read extended attributes of links and devices: /proc is not mounted",
                ))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads the value of each name in a list as the kernel gives it, `name NUL name NUL`.
fn values(
    names: &[u8],
    about: RawFd,
    mut read: impl FnMut(&CStr, &mut Vec<u8>) -> Result<usize, Errno>,
) -> io::Result<Vec<Xattr>> {
    let mut found = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        let mut value = Vec::new();
        match fill(&mut value, about, |room| read(name, room)) {
            Ok(()) => found.push(Xattr {
                name: name.to_bytes().into(),
                value: value.into(),
            }),
            // Removed since it was listed, or listed by a file system that does not keep it.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Calls `read` with more room until its result fits. The kernel limits lists and values to 64 KiB.
fn fill(
    room: &mut Vec<u8>,
    about: RawFd,
    mut read: impl FnMut(&mut Vec<u8>) -> Result<usize, Errno>,
) -> Result<(), Errno> {
    let mut bytes = USUAL_BYTES;
    loop {
        room.clear();
        room.reserve_exact(bytes);
        match during(CallKind::Xattrs, about, || read(room)) {
            Err(Errno::RANGE) if bytes < 1 << 20 => bytes *= 8,
            done => return done.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Xattrs;
    use crate::model::{Name, Xattr};
    use crate::platform::DirHandle;
    use rustix::fs::{XattrFlags, lsetxattr, setxattr};
    use std::fs;
    use std::os::unix::fs::symlink;

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr {
            name: name.as_bytes().into(),
            value: value.into(),
        }
    }

    #[test]
    fn attributes_are_read_in_order_of_name_whatever_their_size() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("file");
        fs::write(&path, b"").unwrap();
        let directory = DirHandle::open(tree.path()).unwrap();
        let file = directory
            .open_file(&Name::new(&b"file"[..]).unwrap())
            .unwrap();
        let device = file.stat().unwrap().device;
        let xattrs = Xattrs::new();
        assert_eq!(xattrs.of_open(&file, device).unwrap(), []);

        let mut expected = vec![
            xattr("user.binary", b"\0\xff\n"),
            xattr("user.empty", b""),
            xattr("user.large", &[7; 1500]),
        ];
        expected.extend((0..20).map(|i| xattr(&format!("user.{i:060}"), b"x")));
        for attribute in &expected {
            setxattr(
                &path,
                &*attribute.name,
                &attribute.value,
                XattrFlags::CREATE,
            )
            .unwrap();
        }
        expected.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(xattrs.of_open(&file, device).unwrap(), expected);
        assert_eq!(xattrs.of_open(&directory, device).unwrap(), []);
    }

    #[test]
    fn attributes_of_a_link_are_its_own() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("file"), b"").unwrap();
        symlink("file", tree.path().join("link")).unwrap();
        setxattr(
            tree.path().join("file"),
            "user.of_file",
            b"1",
            XattrFlags::CREATE,
        )
        .unwrap();
        let directory = DirHandle::open(tree.path()).unwrap();
        let link = Name::new(&b"link"[..]).unwrap();
        let xattrs = Xattrs::new();
        assert_eq!(xattrs.of_child(&directory, &link).unwrap(), []);
        if rustix::process::geteuid().is_root() {
            lsetxattr(
                tree.path().join("link"),
                "trusted.of_link",
                b"2",
                XattrFlags::CREATE,
            )
            .unwrap();
            assert_eq!(
                xattrs.of_child(&directory, &link).unwrap(),
                [xattr("trusted.of_link", b"2")]
            );
        }
        let gone = xattrs.of_child(&directory, &Name::new(&b"gone"[..]).unwrap());
        assert_eq!(gone.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
