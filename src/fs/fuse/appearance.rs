//! How the kernel sees an entry: owners, permissions, and attributes in the kernel's words.

use crate::fs::forest::ForestEntry;
use crate::fs::view::EntryAttributes;
use crate::model::{Device, Kind, Time};
use fuser::{FileAttr, FileType, INodeNo};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a forest is shown.
#[derive(Clone, Copy, Debug)]
pub struct Appearance {
    /// The user that owns everything, in place of the owners that were backed up.
    pub uid: Option<u32>,
    /// The group that everything belongs to, in place of the groups that were backed up.
    pub gid: Option<u32>,
    /// Whether the kernel checks permissions, ACLs among them.
    pub permissions: Permissions,
    /// How long a request may wait before it is answered with an error.
    pub patience: Duration,
}

impl Default for Appearance {
    /// Shows entries as they were backed up, with permissions checked, and waits two minutes.
    fn default() -> Self {
        Self {
            uid: None,
            gid: None,
            permissions: Permissions::Checked,
            patience: Duration::from_secs(120),
        }
    }
}

/// Whether the kernel checks permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// It does, as for any file system.
    Checked,
    /// It does not: every user that can enter the mount may read everything in it.
    Ignored,
}

impl Appearance {
    /// Returns the attributes of an entry as the kernel takes them.
    pub(super) fn attributes(&self, entry: &ForestEntry<'_>) -> FileAttr {
        let EntryAttributes {
            kind,
            mode,
            uid,
            gid,
            mtime,
            ctime,
            links,
            blocks,
            size,
            numbers,
            ..
        } = entry.attributes;
        let mtime = system_time(mtime);
        let (shown_uid, shown_gid) = (self.uid.unwrap_or(uid), self.gid.unwrap_or(gid));
        FileAttr {
            ino: INodeNo(entry.inode),
            size,
            blocks,
            // A backup keeps no access times. After a copy of the file both times are the mtime.
            atime: mtime,
            mtime,
            ctime: system_time(ctime),
            crtime: UNIX_EPOCH,
            kind: file_type(kind),
            perm: permissions(mode, acts_as(uid, shown_uid), acts_as(gid, shown_gid)),
            nlink: links.max(1),
            uid: shown_uid,
            gid: shown_gid,
            rdev: numbers.map_or(0, encode_device),
            blksize: 4096,
            flags: 0,
        }
    }
}

/// Whether a program may act as its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActsAs {
    /// It may: the owner is that of the backup.
    Owner,
    /// It may not: another one is shown, or none that there can be. A copy as root would otherwise
    /// make a program of that one.
    Nobody,
}

fn acts_as(owner: u32, shown: u32) -> ActsAs {
    if shown == owner && owner != u32::MAX {
        ActsAs::Owner
    } else {
        ActsAs::Nobody
    }
}

/// Returns the permission bits, with setuid and setgid for owners that a program may act as.
fn permissions(mode: u32, user: ActsAs, group: ActsAs) -> u16 {
    let without = |bit, acts_as| if acts_as == ActsAs::Owner { 0 } else { bit };
    let mode = mode & 0o7777 & !without(0o4000, user) & !without(0o2000, group);
    u16::try_from(mode).unwrap_or_default()
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::CharDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::Fifo => FileType::NamedPipe,
    }
}

/// Encodes a device number in 32 bits as the kernel does (`new_encode_dev` in
/// `include/linux/kdev_t.h`): 12 bits of major, 20 of minor. The kernel has no device with more.
fn encode_device(Device { major, minor }: Device) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// Converts a time, exactly from the first second that a `timespec` can hold to the last.
fn system_time(time: Time) -> SystemTime {
    let seconds = Duration::from_secs(time.seconds().unsigned_abs());
    let whole = if time.seconds() < 0 {
        UNIX_EPOCH.checked_sub(seconds)
    } else {
        UNIX_EPOCH.checked_add(seconds)
    };
    whole
        .and_then(|whole| whole.checked_add(Duration::from_nanos(u64::from(time.nanoseconds()))))
        .unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::{acts_as, encode_device, permissions, system_time};
    use crate::model::{Device, Time};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_program_is_shown_to_act_only_as_the_owner_that_it_had() {
        let shown = |owner, shown| permissions(0o6755, acts_as(owner, shown), acts_as(7, 7));
        assert_eq!(shown(1000, 1000), 0o6755);
        assert_eq!(shown(1000, 0), 0o2755, "--uid 0");
        assert_eq!(shown(u32::MAX, u32::MAX), 0o2755, "no user has that number");
        assert_eq!(permissions(0o6755, acts_as(7, 7), acts_as(7, 8)), 0o4755);
        assert_eq!(permissions(0o1777, acts_as(7, 8), acts_as(7, 8)), 0o1777);
    }

    #[test]
    fn times_long_ago_and_far_ahead_are_exact() {
        let half = Duration::from_millis(500);
        assert_eq!(system_time(Time::new(-1, 500_000_000)), UNIX_EPOCH - half);
        assert_eq!(
            system_time(Time::new(5_000_000_000, 1)),
            UNIX_EPOCH + Duration::new(5_000_000_000, 1)
        );
        for seconds in [i64::MIN, i64::MIN + 1, i64::MAX - 1] {
            let time = system_time(Time::new(seconds, 7));
            let distance = time.duration_since(UNIX_EPOCH).map_or_else(
                |before| -i128::try_from(before.duration().as_nanos()).expect("fits"),
                |after| i128::try_from(after.as_nanos()).expect("fits"),
            );
            assert_eq!(distance, i128::from(seconds) * 1_000_000_000 + 7);
        }
    }

    #[test]
    fn device_numbers_are_encoded_as_the_kernel_does() {
        assert_eq!(encode_device(Device { major: 8, minor: 1 }), 0x0801);
        assert_eq!(
            encode_device(Device {
                major: 0xfff,
                minor: 0xf_ffff
            }),
            0xffff_ffff
        );
        assert_eq!(
            encode_device(Device {
                major: 259,
                minor: 0x12345
            }),
            0x1231_0345
        );
    }
}
