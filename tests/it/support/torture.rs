//! A real tree with everything a Linux file system holds and backup programs get wrong.
//!
//! ```text
//! names/    any bytes, 255 of them, hard to sort, hard to print
//! deep/     a path of 3.8 KiB
//! sizes/    0 bytes to 3 MiB, around block limits
//! sparse/   holes at the start, in the middle, at the end, only
//! giant/    9 GiB and 1 TiB that are nearly all hole
//! links/    symbolic links, and hard links of everything
//! special/  devices, FIFOs, a socket (not backed up)
//! xattrs/   attributes, capabilities, ACLs
//! times/    before 1970, after 2038, after 2242
//! modes/    0000 to 7777, read-only directories with content
//! owners/   numbers without names
//! crowd/    5,000 entries in one directory
//! ```
//!
//! Built as root on ext4 or tmpfs (Linux 6.6 and later), nothing is left out. What a file system or
//! a user without rights refuses is left out, and named in what [`build`] returns: extended
//! attributes and ACLs (tmpfs before Linux 6.6 has no `user.`), owners, devices, capabilities and
//! `trusted.` attributes (root only). A file system without nanoseconds or with narrower times
//! (ext4 ends in 2446) keeps what it can: the tree is what it is, not what was asked for.

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Longest path in the tree, counted from its root. A copy of it can lie below 250 bytes more
/// before ordinary programs, which use paths of at most 4095 bytes, fail.
pub const LONGEST_PATH: usize = 3844;

/// Builds the tree in `root`, which must exist and be empty. Takes about a second. Returns what
/// could not be made here, and why: nothing for root on a usual file system.
pub fn build(root: &Path) -> Vec<String> {
    let mut builder = Builder {
        root: root.to_owned(),
        left_out: Vec::new(),
        times: Vec::new(),
        modes: Vec::new(),
    };
    builder.names();
    builder.deep();
    builder.sizes();
    builder.sparse();
    builder.giant();
    builder.links();
    builder.special();
    builder.xattrs();
    builder.acls();
    builder.modes();
    builder.owners();
    builder.crowd();
    builder.times();
    builder.finish()
}

struct Builder {
    root: PathBuf,
    left_out: Vec<String>,
    /// Directories change their time when they are filled: set at the end.
    times: Vec<(PathBuf, i64, u32)>,
    /// Directories that must not be written to: set at the end.
    modes: Vec<(PathBuf, u32)>,
}

impl Builder {
    fn at(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.root.join(path.as_ref())
    }

    fn dir(&self, path: impl AsRef<OsStr>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    fn file(&self, path: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.at(path);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Notes what this system does not let us make; any other failure is a bug of this file.
    fn attempt(&mut self, what: &str, path: &Path, result: Result<(), Errno>) {
        match result {
            Ok(()) => {}
            Err(
                error @ (Errno::PERM
                | Errno::ACCESS
                | Errno::NOTSUP
                | Errno::NOSPC
                | Errno::INVAL
                | Errno::FBIG
                | Errno::OVERFLOW),
            ) => {
                self.left_out
                    .push(format!("{what} of {}: {error}", path.display()));
            }
            Err(error) => panic!("{what} of {}: {error}", path.display()),
        }
    }

    fn names(&mut self) {
        self.dir("names");
        let mut names: Vec<Vec<u8>> = [
            "a",
            "a.b",
            "a-b",
            "a b",
            "a!",
            "a0",
            "a\u{7f}",
            "a\u{e9}",
            "A",
            "Z",
            " ",
            " leading",
            "trailing ",
            "trailing.",
            "...",
            "..a",
            ".hidden",
            "-rf",
            "--help",
            "*",
            "?",
            "[a-z]",
            "$HOME",
            "`id`",
            "'",
            "\"",
            "\\",
            "\\n",
            "\\056",
            "a\\",
            "#",
            "%41",
            "%",
            "=",
            ":",
            "C:",
            "a=b",
            "line\nbreak",
            "\n",
            "trailing\n",
            "tab\t",
            "\r",
            "\u{1b}[2Jbell\u{7}",
            "\u{1}",
            "e\u{301}",
            "\u{e9}",
            "\u{e4}\u{f6}\u{fc}\u{df}",
            "\u{4e2d}\u{6587}",
            "\u{1f980}",
            "\u{200b}",
            "\u{202e}gnp",
            "\u{feff}bom",
            "GNUSparseFile.0",
            "PaxHeaders.0",
            "@LongLink",
            "CON",
            "nul.txt",
        ]
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
        // Not UTF-8: Latin-1, cut off, overlong, a surrogate; and every byte that a name can hold.
        names.extend(
            [
                &b"caf\xe9"[..],
                b"\xff",
                b"\x80\x81",
                b"cut\xe2\x82",
                b"\xc0\xaf",
                b"\xed\xa0\x80",
                b"new\nline\xfe",
            ]
            .map(<[u8]>::to_vec),
        );
        names.push((1..=255).filter(|byte| *byte != b'/').collect());
        // The longest names: ASCII, UTF-8 of two and three bytes, not UTF-8, line breaks. 99 to
        // 101: ends of a ustar field.
        names.extend([
            vec![b'n'; 255],
            [&b"x"[..], "\u{e9}".repeat(127).as_bytes()].concat(),
            "\u{20ac}".repeat(85).into_bytes(),
        ]);
        names.extend([vec![0xff; 255], vec![b'\n'; 255]]);
        // In `names/`, below `./`: 92 more bytes fill the field.
        names.extend([91, 92, 93, 154, 155, 156].map(|length| vec![b'u'; length]));
        names.extend(
            [91, 92, 93, 154, 155, 156]
                .map(|length| [&vec![b'v'; length - 1][..], b"\xe9"].concat()),
        );
        for name in &names {
            let name = OsStr::from_bytes(name);
            self.file(Path::new("names").join(name), name.as_bytes());
        }
        // Names that sort around the slash, as files and as directories.
        for name in ["a", "a.b", "a-b", "a/b", "a/b/c", "a b", "a0", "a\u{1}"] {
            self.dir(Path::new("names/slash").join(name));
            self.file(
                Path::new("names/slash").join(name).join("file"),
                name.as_bytes(),
            );
        }
        for name in ["b", "b.b", "b-b", "b/b", "b b", "b0", "b\u{1}"] {
            let path = Path::new("names/slash").join(name);
            if name == "b" {
                self.dir(&path);
            } else {
                self.file(&path, name.as_bytes());
            }
        }
        // The same in directories whose names are not UTF-8, or are long, so that paths are split
        // in many places.
        for name in [
            &b"d\xe9\n"[..],
            &[b'd'; 155],
            &[b'd'; 154],
            &[b'd'; 255],
            "\u{e9}".repeat(60).as_bytes(),
        ] {
            let directory = self.dir(Path::new("names").join(OsStr::from_bytes(
                &[b"dir ", &name[..name.len().min(251)]].concat(),
            )));
            for name in [
                vec![b'f'; 99],
                vec![b'f'; 100],
                vec![b'f'; 101],
                b"\xe9t\xe9".to_vec(),
                "\u{e9}".into(),
            ] {
                fs::write(directory.join(OsString::from_vec(name.clone())), name).expect("a file");
            }
        }
    }

    fn deep(&mut self) {
        let mut path = self.dir("deep");
        for depth in 0..14u8 {
            path.push(OsString::from_vec(vec![b'a' + depth; 255]));
            fs::create_dir(&path).expect("a deep directory");
            fs::write(path.join("f"), [depth]).expect("a deep file");
        }
        let last = path.join("l".repeat(255));
        assert!(
            last.as_os_str().len() <= 4095,
            "{} is too long a path to build in",
            self.root.display()
        );
        assert_eq!(
            last.strip_prefix(&self.root)
                .expect("below")
                .as_os_str()
                .len(),
            LONGEST_PATH
        );
        fs::write(&last, "deep").expect("the deepest file");
        // Many levels instead of long names.
        let narrow = (0..500).map(|_| "d").collect::<Vec<_>>().join("/");
        fs::write(
            self.dir(Path::new("deep/narrow").join(narrow))
                .join("bottom"),
            "bottom",
        )
        .expect("a file");
        std::os::unix::fs::symlink("deep", last.with_file_name("link")).expect("a deep link");
    }

    fn sizes(&mut self) {
        self.dir("sizes");
        for size in [
            0,
            1,
            511,
            512,
            513,
            4095,
            4096,
            4097,
            10_239,
            10_240,
            65_536,
            1 << 20,
            (3 << 20) + 7,
        ] {
            self.file(format!("sizes/random-{size}"), &noise(size as u64, size));
            let line = format!("{size} bytes of text, again and again. ");
            self.file(
                format!("sizes/text-{size}"),
                &line.bytes().cycle().take(size).collect::<Vec<_>>(),
            );
        }
        self.file("sizes/zeros", &[0; 200_000]);
        self.dir("sizes/empty directory");
    }

    fn sparse(&mut self) {
        self.dir("sparse");
        const PAGE: u64 = 4096;
        let page = noise(1, 4096);
        let cases: [(&str, u64, &[u64]); 7] = [
            ("hole at start", 64 * PAGE, &[63]),
            ("hole in middle", 64 * PAGE, &[0, 1, 63]),
            ("hole at end", 64 * PAGE, &[0]),
            (
                "holes everywhere",
                512 * PAGE,
                &[1, 3, 5, 7, 20, 21, 22, 100, 300, 301],
            ),
            ("all hole", 64 * PAGE, &[]),
            ("all hole, end inside a page", 5000, &[]),
            ("end inside a page", 10 * PAGE + 77, &[2, 10]),
        ];
        for (name, size, pages) in cases {
            self.sparse_file(
                format!("sparse/{name}"),
                size,
                pages.iter().map(|number| number * PAGE),
                &page,
            );
        }
        self.sparse_file(
            "sparse/data at the very end",
            10 * PAGE + 3,
            [10 * PAGE],
            b"end",
        );
        // More runs than fit in one block of a map.
        self.sparse_file(
            "sparse/1000 runs",
            2001 * PAGE,
            (0..1000).map(|run| run * 2 * PAGE),
            b"x",
        );
        // The map needs the whole name in a record of its own.
        let long = [&b"sparse/caf\xe9 "[..], &[b's'; 200]].concat();
        self.sparse_file(OsStr::from_bytes(&long), 64 * PAGE, [PAGE], &page);
        self.sparse_file("sparse/\u{e9}", 64 * PAGE, [PAGE], &page);
    }

    fn giant(&mut self) {
        self.dir("giant");
        self.sparse_file(
            "giant/9 GiB",
            9 << 30,
            [0, 5 << 30, (9 << 30) - 4096],
            &noise(2, 4096),
        );
        self.sparse_file(
            "giant/1 TiB",
            1 << 40,
            [1 << 20, 700 << 30, (1 << 40) - 4096],
            &noise(3, 4096),
        );
        self.sparse_file("giant/8 GiB of hole", 8 << 30, [], &[]);
    }

    fn sparse_file(
        &mut self,
        path: impl AsRef<OsStr>,
        size: u64,
        at: impl IntoIterator<Item = u64>,
        data: &[u8],
    ) {
        let path = self.at(path);
        let file = File::create(&path).expect("a file");
        let made = rustix::fs::ftruncate(&file, size);
        if made.is_ok() {
            for offset in at {
                let length = usize::try_from(size - offset)
                    .unwrap_or(usize::MAX)
                    .min(data.len());
                file.write_all_at(&data[..length], offset)
                    .expect("data between holes");
            }
        }
        self.attempt("size", &path, made);
    }

    fn links(&mut self) {
        use std::os::unix::fs::symlink;
        let links = self.dir("links");
        self.dir("links/one");
        self.dir("links/two");
        let targets: [&[u8]; 12] = [
            b"one",
            b"dangling",
            b"/absolute/nowhere",
            b"../../../../..",
            b"self",
            b"caf\xe9 \xff",
            "\u{e9}\u{4e2d}".as_bytes(),
            b"line\nbreak",
            &[b't'; 100],
            &[b't'; 101],
            &[b'\xe9'; 101],
            &[b't'; 4095],
        ];
        for (number, target) in targets.iter().enumerate() {
            symlink(
                OsStr::from_bytes(target),
                links.join(format!("symbolic {number:02}")),
            )
            .expect("a symbolic link");
        }
        symlink("self", links.join("self")).expect("a symbolic link");

        // Names of one file: in one directory, before and after it in any order, with long and odd
        // names.
        let file = self.file("links/one/file", b"one file with many names");
        let long = OsString::from_vec([&b"caf\xe9 "[..], &[b'h'; 240]].concat());
        for other in [
            "links/one/again",
            "links/two/file",
            "links/another",
            "names/slash/another",
            "zzz last",
        ] {
            fs::hard_link(&file, self.at(other)).expect("a hard link");
        }
        fs::hard_link(&file, links.join("two").join(long)).expect("a hard link");
        // Pairs, so that groups are not mixed up.
        for number in 0..5 {
            let file = self.file(format!("links/one/pair {number}"), &[number]);
            fs::hard_link(&file, self.at(format!("links/two/pair {number}"))).expect("a hard link");
        }
        let empty = self.file("links/one/empty", b"");
        fs::hard_link(&empty, self.at("links/two/empty")).expect("a hard link");
        self.sparse_file("links/one/sparse", 1 << 20, [1 << 19], b"data");
        fs::hard_link(self.at("links/one/sparse"), self.at("links/two/sparse"))
            .expect("a hard link");
        symlink("target of both", links.join("one/symbolic")).expect("a symbolic link");
        fs::hard_link(self.at("links/one/symbolic"), self.at("links/two/symbolic"))
            .expect("a hard link of a symbolic link");
    }

    fn special(&mut self) {
        self.dir("special");
        let nodes = [
            ("null", FileType::CharacterDevice, 1, 3),
            (
                "character, large numbers",
                FileType::CharacterDevice,
                4095,
                1_048_575,
            ),
            ("character, 0:0 whiteout", FileType::CharacterDevice, 0, 0),
            ("block", FileType::BlockDevice, 7, 0),
            ("block, large minor", FileType::BlockDevice, 259, 1_048_574),
            ("fifo", FileType::Fifo, 0, 0),
            ("socket", FileType::Socket, 0, 0),
        ];
        for (name, kind, major, minor) in nodes {
            let path = self.at(Path::new("special").join(name));
            let made = rustix::fs::mknodat(
                CWD,
                &path,
                kind,
                Mode::from_raw_mode(0o640),
                rustix::fs::makedev(major, minor),
            );
            if made.is_ok() && kind != FileType::Socket {
                fs::hard_link(&path, self.at(format!("special/{name}, linked")))
                    .expect("a hard link of a device");
            }
            self.attempt("node", &path, made);
        }
    }

    fn xattr(&mut self, path: &Path, name: impl AsRef<OsStr>, value: &[u8]) {
        let name = name.as_ref();
        let made = rustix::fs::lsetxattr(path, name, value, XattrFlags::empty());
        self.attempt(&format!("xattr {}", name.display()), path, made);
    }

    fn xattrs(&mut self) {
        self.dir("xattrs");
        let path = self.file("xattrs/text", b"");
        self.xattr(&path, "user.comment", b"plain text");
        self.xattr(&path, "user.other", b"and another");
        self.xattr(&path, "trusted.overlay.opaque", b"y");
        let path = self.file("xattrs/binary", b"content too");
        self.xattr(&path, "user.binary", &(0..=255).collect::<Vec<_>>());
        self.xattr(&path, "user.line", b"1\n27 path=../../etc/passwd\n\n");
        self.xattr(&path, "user.zero", b"\0");
        let path = self.file("xattrs/empty value", b"");
        self.xattr(&path, "user.empty", b"");
        let path = self.file("xattrs/odd names", b"");
        for name in [
            &b"user.a=b"[..],
            b"user.100%",
            b"user.%3D",
            b"user.caf\xe9",
            b"user.line\nbreak",
            "user.\u{e9}".as_bytes(),
            b"user. ",
        ] {
            self.xattr(&path, OsStr::from_bytes(name), name);
        }
        self.xattr(&path, format!("user.{}", "n".repeat(250)), b"longest name");
        // ext4 keeps attributes in the inode and one block: about 4,000 bytes for all of a file.
        let path = self.file("xattrs/large", b"");
        self.xattr(&path, "user.large", &noise(4, 3900));
        let path = self.file("xattrs/many", b"");
        for number in 0..40 {
            self.xattr(
                &path,
                format!("user.number.{number}"),
                number.to_string().as_bytes(),
            );
        }
        let path = self.dir("xattrs/directory");
        self.xattr(&path, "user.on.directory", b"yes");
        self.xattr(&path, "trusted.on.directory", b"yes");
        let path = self.at("xattrs/link");
        std::os::unix::fs::symlink("nowhere", &path).expect("a symbolic link");
        self.xattr(&path, "trusted.on.link", b"yes");
        let path = self.file("xattrs/linked", b"linked");
        self.xattr(&path, "user.of", b"both names");
        fs::hard_link(&path, self.at("xattrs/linked too")).expect("a hard link");
        // What `setcap cap_net_bind_service=ep` writes: revision 2, effective; permitted and
        // inheritable sets.
        let path = self.file("xattrs/capability", b"\x7fELF");
        self.xattr(
            &path,
            "security.capability",
            &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        self.sparse_file("xattrs/sparse", 1 << 20, [1 << 18], b"data");
        let path = self.at("xattrs/sparse");
        self.xattr(&path, "user.sparse", b"yes");
    }

    fn acls(&mut self) {
        const NONE: u32 = u32::MAX;
        let access = acl(&[
            (1, 6, NONE),
            (2, 7, 0),
            (2, 5, 12_345),
            (2, 4, 4_000_000_000),
            (4, 4, NONE),
            (8, 0, 54_321),
            (16, 7, NONE),
            (32, 0, NONE),
        ]);
        let default = acl(&[
            (1, 7, NONE),
            (2, 6, 1000),
            (4, 5, NONE),
            (16, 6, NONE),
            (32, 1, NONE),
        ]);
        self.dir("xattrs");
        let path = self.file("xattrs/acl", b"with an ACL");
        self.xattr(&path, "system.posix_acl_access", &access);
        self.xattr(&path, "user.beside", b"an ACL");
        for (name, lists) in [
            ("access", &[("access", &access)][..]),
            ("default", &[("default", &default)]),
            ("both", &[("access", &access), ("default", &default)]),
        ] {
            let path = self.dir(format!("xattrs/acl directory, {name}"));
            for (which, list) in lists {
                self.xattr(&path, format!("system.posix_acl_{which}"), list);
            }
            fs::write(path.join("inherits"), "").expect("a file");
            fs::create_dir(path.join("directory that inherits")).expect("a directory");
        }
    }

    fn modes(&mut self) {
        self.dir("modes");
        for mode in [
            0o0000, 0o0001, 0o0200, 0o0400, 0o0444, 0o0644, 0o0777, 0o1644, 0o2644, 0o2755, 0o4755,
            0o6755, 0o7777,
        ] {
            let path = self.file(format!("modes/{mode:04o}"), b"mode");
            self.set_mode(&path, mode);
        }
        for mode in [0o0000, 0o0555, 0o0700, 0o1777, 0o2755, 0o3775, 0o7777] {
            let path = self.dir(format!("modes/dir {mode:04o}"));
            fs::write(path.join("file"), "inside").expect("a file");
            fs::create_dir(path.join("directory")).expect("a directory");
            fs::write(path.join("directory/file"), "deeper").expect("a file");
            self.modes.push((path, mode));
        }
    }

    fn set_mode(&mut self, path: &Path, mode: u32) {
        let made = rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty());
        self.attempt("mode", path, made);
    }

    fn owners(&mut self) {
        self.dir("owners");
        let owners = [
            (0, 0),
            (1, 2),
            (65_534, 65_534),
            (12_345, 54_321),
            (2_097_151, 2_097_151),
            (2_097_152, 2_097_152),
            (4_294_967_294, 4_294_967_294),
            (1000, 0),
        ];
        for (uid, gid) in owners {
            let file = self.file(format!("owners/{uid}-{gid}"), b"");
            let dir = self.dir(format!("owners/dir {uid}-{gid}"));
            let link = self.at(format!("owners/link {uid}-{gid}"));
            std::os::unix::fs::symlink("x", &link).expect("a symbolic link");
            for path in [file, dir, link] {
                let (user, group) = (
                    rustix::fs::Uid::from_raw(uid),
                    rustix::fs::Gid::from_raw(gid),
                );
                let made = rustix::fs::chownat(
                    CWD,
                    &path,
                    Some(user),
                    Some(group),
                    AtFlags::SYMLINK_NOFOLLOW,
                );
                self.attempt("owner", &path, made);
            }
        }
        // A change of owner clears setuid: in this order the bits stay.
        let path = self.file("owners/setuid of another", b"");
        let made = rustix::fs::chownat(
            CWD,
            &path,
            Some(rustix::fs::Uid::from_raw(1)),
            None,
            AtFlags::empty(),
        );
        self.attempt("owner", &path, made);
        self.set_mode(&path, 0o4755);
    }

    fn crowd(&mut self) {
        self.dir("crowd");
        for number in 0..5000 {
            self.file(format!("crowd/{number}"), format!("{number}").as_bytes());
        }
    }

    fn times(&mut self) {
        self.dir("times");
        let times: [(i64, u32); 14] = [
            (0, 0),
            (0, 1),
            (-1, 0),
            (-1, 500_000_000),
            (-1, 999_999_999),
            (-86_400 * 365 * 30, 123_456_789),
            (-(1 << 31), 0),
            (1_700_000_000, 0),
            (1_700_000_000, 999_999_999),
            (1_700_000_000, 100_000_000),
            ((1 << 31) - 1, 999_999_999),
            (1 << 31, 1),
            ((1 << 33) - 1, 7),
            ((1 << 33) + 5, 123_456_789),
        ];
        for (seconds, nanoseconds) in times {
            let name = format!("{seconds}.{nanoseconds:09}");
            let file = self.file(format!("times/{name}"), b"");
            self.set_time(&file, seconds, nanoseconds);
            let link = self.at(format!("times/link {name}"));
            std::os::unix::fs::symlink("x", &link).expect("a symbolic link");
            self.set_time(&link, seconds, nanoseconds);
            let dir = self.dir(format!("times/dir {name}"));
            fs::write(dir.join("file"), "inside").expect("a file");
            self.times.push((dir, seconds, nanoseconds));
        }
        self.times
            .push((self.at("times"), 1_234_567_890, 987_654_321));
        self.times
            .push((self.at("modes/dir 0555"), 1_234_567_891, 1));
        self.times.push((self.root.clone(), 1_234_567_892, 2));
    }

    fn set_time(&mut self, path: &Path, seconds: i64, nanoseconds: u32) {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: i64::from(nanoseconds),
        };
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 1_700_000_000,
                tv_nsec: 0,
            },
            last_modification: time,
        };
        let made = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
        self.attempt("time", path, made);
    }

    fn finish(mut self) -> Vec<String> {
        for (path, seconds, nanoseconds) in std::mem::take(&mut self.times) {
            self.set_time(&path, seconds, nanoseconds);
        }
        for (path, mode) in std::mem::take(&mut self.modes) {
            self.set_mode(&path, mode);
        }
        self.left_out
    }
}

/// The kernel's form of an ACL: version 2, then tag, permissions and id of each entry.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(
            tag.to_le_bytes()
                .into_iter()
                .chain(permissions.to_le_bytes())
                .chain(id.to_le_bytes()),
        );
    }
    value
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(step)
        .flatten()
        .take(length)
        .collect()
}
