//! Reads a tree.

use crate::model::{DataRun, Device, FileOffset, Kind, Name, Time};
use crate::platform::calls::{CallKind, during};
use crate::platform::{ListedName, Sort, Stat};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::{Errno, retry_on_intr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Length of the buffer for names: enough for some two thousand, and below the mmap threshold of
/// malloc.
const LIST_BUFFER_BYTES: usize = 64 * 1024;

/// An open directory. Its entries are reached through it, by one name, and never through a symbolic
/// link.
///
/// Many threads may use it at once, except for [`list`](Self::list).
#[derive(Debug)]
pub struct DirHandle(OwnedFd);

impl DirHandle {
    /// Opens the directory at `path`: the root of a tree. Follows symbolic links, as a person named
    /// the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open_quietly(CWD, path, OFlags::DIRECTORY)?))
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotADirectory`] for any other entry, a symbolic link included.
    pub fn open_child(&self, name: &Name) -> io::Result<Self> {
        Ok(Self(open_quietly(
            &self.0,
            name.as_bytes(),
            OFlags::DIRECTORY | OFlags::NOFOLLOW,
        )?))
    }

    /// Opens a regular file in this directory for reading. Leaves its access time alone where the
    /// system allows that.
    ///
    /// Does not wait for the other end of a FIFO that has taken the file's place, so look at
    /// [`FileHandle::stat`] before reading.
    pub fn open_file(&self, name: &Name) -> io::Result<FileHandle> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(FileHandle(Some(open_quietly(
            &self.0,
            name.as_bytes(),
            flags,
        )?)))
    }

    /// Returns all names except `.` and `..`, in the order of the file system. Only one thread at a
    /// time may list a directory.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when the file system is damaged, and lists a name that is
    /// empty or has a slash.
    pub fn list(&self) -> io::Result<Vec<ListedName>> {
        let about = self.0.as_raw_fd();
        during(CallKind::List, about, || {
            rustix::fs::seek(&self.0, SeekFrom::Start(0))
        })?;
        let mut buffer = Vec::with_capacity(LIST_BUFFER_BYTES);
        let mut names = RawDir::new(&self.0, buffer.spare_capacity_mut());
        let mut listed = Vec::new();
        while let Some(found) = during(CallKind::List, about, || names.next()) {
            let found = match found {
                Err(Errno::INTR) => continue,
                found => found?,
            };
            let name = found.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = Name::new(name).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the file system lists a name that is empty or has a slash; it may be damaged",
                )
            })?;
            let sort = Some(sort_of(found.file_type())).filter(|sort| *sort != Sort::Unknown);
            listed.push(ListedName { name, sort });
        }
        Ok(listed)
    }

    /// Returns the metadata of this directory.
    pub fn stat(&self) -> io::Result<Stat> {
        let stat = during(CallKind::Stat, self.0.as_raw_fd(), || {
            rustix::fs::fstat(&self.0)
        });
        Ok(stat_of(&stat?))
    }

    /// Returns the number of the mount that this directory is in. The system may give it to another
    /// mount once this one is gone.
    pub fn mount(&self) -> io::Result<u64> {
        super::mounts::mount_of(&self.0)
    }

    /// Returns a path that leads here as long as this is open, even if the directory is renamed.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// Returns the metadata of an entry of this directory.
    pub fn stat_child(&self, name: &Name) -> io::Result<Stat> {
        let stat = during(CallKind::Stat, self.0.as_raw_fd(), || {
            rustix::fs::statat(&self.0, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)
        });
        Ok(stat_of(&stat?))
    }

    /// Returns the target of a symbolic link in this directory, of any length.
    pub fn read_link(&self, name: &Name) -> io::Result<Box<[u8]>> {
        let target = during(CallKind::ReadLink, self.0.as_raw_fd(), || {
            rustix::fs::readlinkat(&self.0, name.as_bytes(), Vec::new())
        });
        Ok(target?.into_bytes().into())
    }
}

impl AsFd for DirHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A file open for reading. Many threads may use it at once, except for
/// [`data_runs`](Self::data_runs).
#[derive(Debug)]
pub struct FileHandle(Option<OwnedFd>);

impl FileHandle {
    /// Opens the file at `path`: a source that is a single file. Follows symbolic links, as a
    /// person named the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Some(open_quietly(CWD, path, OFlags::NONBLOCK)?)))
    }

    /// Returns the metadata of the file as it is now.
    pub fn stat(&self) -> io::Result<Stat> {
        let stat = during(CallKind::Stat, self.as_fd().as_raw_fd(), || {
            rustix::fs::fstat(self)
        });
        Ok(stat_of(&stat?))
    }

    /// Reads from `offset` on until `buffer` is full or the file ends. Returns how many bytes it
    /// read: fewer than fit only where the file ends.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let read = during(CallKind::Read, self.as_fd().as_raw_fd(), || {
                retry_on_intr(|| rustix::io::pread(self, &mut *rest, offset + done as u64))
            });
            match read? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    /// Returns the runs of data in order, up to the size in `stat`. The rest of the file is holes,
    /// which need not be read.
    ///
    /// Takes no system call where `stat` shows that there are no holes. A file system that cannot
    /// tell gives one run.
    pub fn data_runs(&self, stat: &Stat) -> DataRuns<'_> {
        DataRuns {
            file: self.as_fd(),
            at: 0,
            size: stat.size,
            ask: stat.may_have_holes(),
        }
    }
}

impl Drop for FileHandle {
    /// Closes the file. Some file systems ask their server then.
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            during(CallKind::Close, open.as_raw_fd(), || drop(open));
        }
    }
}

impl AsFd for FileHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect("open until it is dropped").as_fd()
    }
}

/// The runs of data in a file, in order. Ends after the first error.
#[derive(Debug)]
pub struct DataRuns<'file> {
    file: BorrowedFd<'file>,
    at: u64,
    size: u64,
    /// Whether to ask the file system; else the rest of the file is data.
    ask: bool,
}

impl DataRuns<'_> {
    fn next_run(&mut self) -> io::Result<DataRun> {
        let rest = DataRun {
            at: FileOffset(self.at),
            length: self.size - self.at,
        };
        if !self.ask {
            return Ok(rest);
        }
        let seek = |to| {
            during(CallKind::Seek, self.file.as_raw_fd(), || {
                rustix::fs::seek(self.file, to)
            })
        };
        let offset = match seek(SeekFrom::Data(self.at)) {
            Ok(offset) => offset.min(self.size),
            // No data from here to the end.
            Err(Errno::NXIO) => self.size,
            // The file system cannot tell: EINVAL by lseek(2), the others from network and FUSE
            // file systems.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(rest),
            Err(error) => return Err(error.into()),
        };
        let end = match seek(SeekFrom::Hole(offset)) {
            Ok(end) => end.min(self.size),
            // The file was cut off behind this point since its size was taken: reading will notice.
            Err(Errno::NXIO) => self.size,
            Err(error) => return Err(error.into()),
        };
        Ok(DataRun {
            at: FileOffset(offset),
            length: end.saturating_sub(offset),
        })
    }
}

impl Iterator for DataRuns<'_> {
    type Item = io::Result<DataRun>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.size {
            return None;
        }
        let run = self.next_run();
        self.at = run.as_ref().map_or(self.size, |run| run.at.0 + run.length);
        // An empty run can only be the end: the system found no data from there on.
        run.map(|run| Some(run).filter(|run| run.length > 0))
            .transpose()
    }
}

/// Opens for reading without a change of the access time, which only the owner and root may ask
/// for.
fn open_quietly<P: rustix::path::Arg + Copy>(
    directory: impl AsFd,
    path: P,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let about = directory.as_fd().as_raw_fd();
    let open = |flags| {
        during(CallKind::Open, about, || {
            retry_on_intr(|| rustix::fs::openat(&directory, path, flags, Mode::empty()))
        })
    };
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        done => done,
    }
}

/// Returns the path of an open file or directory. Its file system is not asked.
pub(in crate::platform) fn path_of_open(number: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{number}")).ok()
}

fn sort_of(file_type: FileType) -> Sort {
    match file_type {
        FileType::RegularFile => Sort::Kept(Kind::File),
        FileType::Directory => Sort::Kept(Kind::Directory),
        FileType::Symlink => Sort::Kept(Kind::Symlink),
        FileType::CharacterDevice => Sort::Kept(Kind::CharDevice),
        FileType::BlockDevice => Sort::Kept(Kind::BlockDevice),
        FileType::Fifo => Sort::Kept(Kind::Fifo),
        FileType::Socket => Sort::Socket,
        _ => Sort::Unknown,
    }
}

/// Converts the kernel's `struct stat`, whose fields differ in width between architectures.
fn stat_of(stat: &rustix::fs::Stat) -> Stat {
    let mode = Mode::from_raw_mode(stat.st_mode).as_raw_mode();
    Stat {
        sort: sort_of(FileType::from_raw_mode(stat.st_mode)),
        mode: mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: widen(stat.st_size),
        mtime: Time::new(seconds(stat.st_mtime), nanoseconds(stat.st_mtime_nsec)),
        ctime: Time::new(seconds(stat.st_ctime), nanoseconds(stat.st_ctime_nsec)),
        device: widen(stat.st_dev),
        inode: widen(stat.st_ino),
        links: u32::try_from(widen(stat.st_nlink)).unwrap_or(u32::MAX),
        blocks: widen(stat.st_blocks),
        rdev: Device {
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
        },
    }
}

/// Converts a size or number that the kernel never makes negative.
fn widen(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
}

fn seconds(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Converts nanoseconds, which the kernel keeps below 10^9.
fn nanoseconds(value: impl TryInto<u32>) -> u32 {
    value.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::DirHandle;
    use crate::model::{DataRun, FileOffset};
    use crate::model::{Device, Kind, Name, Time};
    use crate::platform::Sort;
    use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps};
    use rustix::io::Errno;
    use std::io::ErrorKind;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileExt, symlink};
    use std::path::PathBuf;
    use std::{ffi::OsStr, fs};

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn at(&self, name: &[u8]) -> PathBuf {
            self.0.path().join(OsStr::from_bytes(name))
        }

        fn open(&self) -> DirHandle {
            DirHandle::open(self.0.path()).unwrap()
        }
    }

    fn name(bytes: &[u8]) -> Name {
        Name::new(bytes).expect("a legal name")
    }

    #[test]
    fn every_name_is_listed_whatever_its_bytes_and_however_many() {
        let tree = Tree::new();
        let mut expected: Vec<_> = (0..5000)
            .map(|i| format!("{i:0200}").into_bytes())
            .collect();
        expected.extend([
            b"\xff\xfe\n".to_vec(),
            b" ".to_vec(),
            b"...".to_vec(),
            vec![b'x'; 255],
        ]);
        for name in &expected {
            fs::write(tree.at(name), b"").unwrap();
        }
        let directory = tree.open();
        expected.sort();
        for _ in 0..2 {
            let listed = directory.list().unwrap();
            assert!(listed.iter().all(|listed| {
                listed
                    .sort
                    .is_none_or(|sort| sort == Sort::Kept(Kind::File))
            }));
            let mut names: Vec<_> = listed
                .iter()
                .map(|listed| listed.name.as_bytes().to_vec())
                .collect();
            names.sort();
            assert!(
                names == expected,
                "{} names of {}",
                names.len(),
                expected.len()
            );
        }
    }

    #[test]
    fn each_sort_of_thing_is_told_apart() {
        let tree = Tree::new();
        fs::write(tree.at(b"file"), b"12345").unwrap();
        fs::hard_link(tree.at(b"file"), tree.at(b"link")).unwrap();
        fs::create_dir(tree.at(b"directory")).unwrap();
        symlink("target", tree.at(b"symlink")).unwrap();
        rustix::fs::mknodat(CWD, tree.at(b"fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(tree.at(b"socket")).unwrap();
        let mut expected = vec![
            ("directory", Sort::Kept(Kind::Directory)),
            ("fifo", Sort::Kept(Kind::Fifo)),
            ("file", Sort::Kept(Kind::File)),
            ("link", Sort::Kept(Kind::File)),
            ("socket", Sort::Socket),
            ("symlink", Sort::Kept(Kind::Symlink)),
        ];
        if rustix::process::geteuid().is_root() {
            let numbers = rustix::fs::makedev(4095, 70_000);
            rustix::fs::mknodat(
                CWD,
                tree.at(b"device"),
                FileType::BlockDevice,
                Mode::RUSR,
                numbers,
            )
            .unwrap();
            expected.insert(0, ("device", Sort::Kept(Kind::BlockDevice)));
            assert_eq!(
                tree.open().stat_child(&name(b"device")).unwrap().rdev,
                Device {
                    major: 4095,
                    minor: 70_000
                }
            );
        }
        let directory = tree.open();
        let mut listed = directory.list().unwrap();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        for (listed, (expected, sort)) in listed.iter().zip(&expected) {
            assert_eq!(listed.name.as_bytes(), expected.as_bytes());
            assert!(
                listed.sort.is_none_or(|listed| listed == *sort),
                "{listed:?}"
            );
            assert_eq!(directory.stat_child(&listed.name).unwrap().sort, *sort);
        }
        assert_eq!(listed.len(), expected.len());
        let stat = directory.stat_child(&name(b"link")).unwrap();
        assert_eq!((stat.size, stat.links), (5, 2));
        assert_eq!(
            stat,
            directory.open_file(&name(b"file")).unwrap().stat().unwrap()
        );
    }

    #[test]
    fn times_keep_their_nanoseconds_before_1970_and_after_2038() {
        let tree = Tree::new();
        fs::write(tree.at(b"file"), b"").unwrap();
        for (seconds, nanoseconds) in [
            (-1_000_000_000, 1),
            (-1, 999_999_999),
            (0, 0),
            (1 << 33, 123_456_789),
        ] {
            let time = Timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(CWD, tree.at(b"file"), &times, rustix::fs::AtFlags::empty())
                .unwrap();
            let expected = Time::new(seconds, nanoseconds.try_into().unwrap());
            assert_eq!(
                tree.open().stat_child(&name(b"file")).unwrap().mtime,
                expected
            );
        }
    }

    #[test]
    fn a_symbolic_link_is_read_and_never_followed() {
        let tree = Tree::new();
        let target = vec![b'/'; 4095];
        symlink(OsStr::from_bytes(&target), tree.at(b"long")).unwrap();
        symlink(".", tree.at(b"here")).unwrap();
        let directory = tree.open();
        assert_eq!(&*directory.read_link(&name(b"long")).unwrap(), &*target);
        assert_eq!(
            directory.open_child(&name(b"here")).unwrap_err().kind(),
            ErrorKind::NotADirectory
        );
        assert_eq!(
            directory
                .open_file(&name(b"here"))
                .unwrap_err()
                .raw_os_error(),
            Some(Errno::LOOP.raw_os_error())
        );
        assert_eq!(
            directory.open_file(&name(b"gone")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn opening_a_fifo_does_not_wait_for_a_writer() {
        let tree = Tree::new();
        rustix::fs::mknodat(CWD, tree.at(b"fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let opened = tree.open().open_file(&name(b"fifo")).unwrap();
        assert_eq!(opened.stat().unwrap().sort, Sort::Kept(Kind::Fifo));
    }

    #[test]
    fn a_read_is_short_only_at_the_end() {
        let tree = Tree::new();
        fs::write(tree.at(b"file"), b"0123456789").unwrap();
        let file = tree.open().open_file(&name(b"file")).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(
            (file.read_at(&mut buffer, 4).unwrap(), &buffer[..6]),
            (6, &b"456789"[..])
        );
        assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 2).unwrap(), 8);
    }

    #[test]
    fn data_is_found_between_holes() {
        const MIB: u64 = 1 << 20;
        let tree = Tree::new();
        let file = fs::File::create(tree.at(b"sparse")).unwrap();
        file.write_all_at(&[1; 4096], MIB).unwrap();
        file.write_all_at(&[1; 4096], 3 * MIB).unwrap();
        file.set_len(9 * MIB).unwrap();
        fs::File::create(tree.at(b"hole"))
            .unwrap()
            .set_len(3)
            .unwrap();
        fs::write(tree.at(b"dense"), vec![1; 300_000]).unwrap();
        fs::write(tree.at(b"empty"), b"").unwrap();
        let runs = |file: &[u8]| -> Vec<DataRun> {
            let file = tree.open().open_file(&name(file)).unwrap();
            file.data_runs(&file.stat().unwrap())
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(
            runs(b"sparse"),
            [
                DataRun {
                    at: FileOffset(MIB),
                    length: 4096
                },
                DataRun {
                    at: FileOffset(3 * MIB),
                    length: 4096
                }
            ]
        );
        assert_eq!(runs(b"hole"), []);
        assert_eq!(
            runs(b"dense"),
            [DataRun {
                at: FileOffset(0),
                length: 300_000
            }]
        );
        assert_eq!(runs(b"empty"), []);
    }

    #[test]
    fn data_runs_end_where_a_file_was_cut_since() {
        let tree = Tree::new();
        fs::write(tree.at(b"file"), vec![1; 1 << 20]).unwrap();
        let file = tree.open().open_file(&name(b"file")).unwrap();
        let stat = file.stat().unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(tree.at(b"file"))
            .unwrap()
            .set_len(4096)
            .unwrap();
        let runs: Vec<_> = file.data_runs(&stat).map(Result::unwrap).collect();
        assert_eq!(
            runs,
            [DataRun {
                at: FileOffset(0),
                length: 4096
            }]
        );
    }

    #[test]
    fn a_file_system_that_cannot_tell_gives_one_run() {
        let directory = DirHandle::open("/proc/self".as_ref()).unwrap();
        let file = directory.open_file(&name(b"maps")).unwrap();
        let mut stat = file.stat().unwrap();
        stat.size = 200_000;
        let runs: Vec<_> = file.data_runs(&stat).map(Result::unwrap).collect();
        assert_eq!(
            runs,
            [DataRun {
                at: FileOffset(0),
                length: 200_000
            }]
        );
    }
}
