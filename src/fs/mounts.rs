//! The system's table of mounts: which of them are ours.
//!
//! Layout: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What our mounts have behind `fuse.` as their kind.
pub(super) const SUBTYPE: &str = "freezer";

/// Whether what is mounted on a path was mounted by this program, alive or not.
pub(super) fn is_ours(mount_point: &Path) -> io::Result<bool> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    let mount_point = in_full(mount_point)?;
    // What was mounted last stands last, and hides the rest.
    let kind = table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .rfind(|(place, _)| *place == mount_point);
    Ok(kind.is_some_and(|(_, kind)| kind == format!("fuse.{SUBTYPE}").as_bytes()))
}

/// The path without symbolic links, and without asking the file system that is mounted there: it
/// may be dead.
fn in_full(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !path.is_symlink() => {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            Ok(parent.canonicalize()?.join(name))
        }
        _ => path.canonicalize(),
    }
}

/// A line of the table: where, and what kind. Before the kind stand a varying number of fields and
/// a lone `-`.
fn parse(line: &[u8]) -> Option<(PathBuf, &[u8])> {
    let mut fields = line.split(|byte| *byte == b' ');
    let place = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((PathBuf::from(OsString::from_vec(unescaped(place))), kind))
}

/// Space, tab, newline and backslash stand as a backslash and three octal digits.
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
    use super::{in_full, is_ours, parse};
    use std::path::Path;

    #[test]
    fn a_line_of_the_table_is_read_with_its_escapes() {
        let line = b"36 35 98:0 /mnt1 /mnt\\040a\\134b rw,noatime master:1 shared:2 - fuse.freezer freezer:docs ro,user_id=0";
        let (place, kind) = parse(line).expect("a line");
        assert_eq!(
            (place.as_path(), kind),
            (Path::new("/mnt a\\b"), &b"fuse.freezer"[..])
        );
        assert!(parse(b"").is_none());
        assert!(parse(b"1 2 3 4 5 6 7").is_none());
    }

    #[test]
    fn what_others_mounted_is_not_ours() {
        assert!(!is_ours(Path::new("/proc")).expect("read"));
        assert!(!is_ours(Path::new("/")).expect("read"));
    }

    #[test]
    fn a_path_is_found_as_the_table_has_it() {
        let room = tempfile::tempdir().expect("made");
        let whole = room.path().canonicalize().expect("there");
        std::fs::create_dir(room.path().join("m")).expect("made");
        std::os::unix::fs::symlink("m", room.path().join("link")).expect("linked");
        assert_eq!(
            in_full(&room.path().join("m/")).expect("there"),
            whole.join("m")
        );
        assert_eq!(
            in_full(&room.path().join("link")).expect("there"),
            whole.join("m")
        );
        assert_eq!(in_full(&room.path().join("m/..")).expect("there"), whole);
    }
}
