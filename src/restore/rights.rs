//! Rights that an entry must not get: those that belong to an owner which cannot be given, and all
//! of them where the backup is not trusted.

use crate::model::{Content, Metadata, Owner};

/// The mode bit of a program that acts as its owner.
pub(super) const SETUID: u32 = 0o4000;
/// The mode bit of a program that acts as its group.
pub(super) const SETGID: u32 = 0o2000;

/// The bits of the group, which mean more than the group where an entry has an access list.
const OF_GROUP: u32 = 0o070;
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";
/// The only attributes that give no rights.
const HARMLESS: &[u8] = b"user.";

/// Why an entry does not get a right that its owner would have through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Withheld {
    /// chown(2) takes the number for "leave the owner as it is".
    #[error("no user has the number {}", u32::MAX)]
    NoSuchUser,
    /// So too for groups.
    #[error("no group has the number {}", u32::MAX)]
    NoSuchGroup,
    /// A user of the source, who was not root there, has a name that is root's here.
    #[error(
        "its user was number {0} in the backup, and the name is root's here: it does not run as \
         its owner"
    )]
    BecameRoot(u32),
    /// So too for groups.
    #[error(
        "its group was number {0} in the backup, and the name is that of group 0 here: it does \
         not run as its group"
    )]
    BecameRootGroup(u32),
    /// The system said that it set the owner, and did not.
    #[error("the file system did not keep its owner: it does not run as that")]
    OwnerNotKept,
}

/// The user and group that an entry gets, and the bits of its mode that must not come with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SafeOwner {
    /// `None` leaves the user as it is.
    pub uid: Option<u32>,
    /// `None` leaves the group as it is.
    pub gid: Option<u32>,
    /// Bits of the mode that the entry must not have.
    pub without: u32,
    /// What to tell.
    pub reasons: Vec<Withheld>,
}

impl SafeOwner {
    /// Judges the numbers `uid` and `gid` that were found here for an owner in a backup.
    pub(super) fn judge(owner: &Owner, uid: u32, gid: u32) -> Self {
        let mut safe = Self {
            uid: Some(uid),
            gid: Some(gid),
            ..Self::default()
        };
        let mut withhold = |bit, reason| {
            safe.without |= bit;
            safe.reasons.push(reason);
        };
        if uid == u32::MAX {
            withhold(SETUID, Withheld::NoSuchUser);
        } else if uid == 0 && owner.uid != 0 {
            withhold(SETUID, Withheld::BecameRoot(owner.uid));
        }
        if gid == u32::MAX {
            withhold(SETGID, Withheld::NoSuchGroup);
        } else if gid == 0 && owner.gid != 0 {
            withhold(SETGID, Withheld::BecameRootGroup(owner.gid));
        }
        safe.uid = safe.uid.filter(|uid| *uid != u32::MAX);
        safe.gid = safe.gid.filter(|gid| *gid != u32::MAX);
        safe
    }

    /// Returns what to tell of an entry with this mode: a right that it does not have is not
    /// missed, but a number that nobody has is.
    pub(super) fn told(self, mode: u32) -> Vec<Withheld> {
        let is_missed = |reason: &Withheld| match reason {
            Withheld::NoSuchUser | Withheld::NoSuchGroup | Withheld::OwnerNotKept => true,
            Withheld::BecameRoot(_) => mode & SETUID != 0,
            Withheld::BecameRootGroup(_) => mode & SETGID != 0,
        };
        self.reasons.into_iter().filter(is_missed).collect()
    }
}

/// Returns whether an entry is a device, which gives whoever may open it a part of the machine.
pub(super) fn is_device(content: &Content) -> bool {
    matches!(content, Content::CharDevice(_) | Content::BlockDevice(_))
}

/// Takes everything from `metadata` that gives rights, but for the plain permission bits: setuid
/// and setgid, and all attributes that are not a user's own, file capabilities and access lists
/// among them. The owner is up to the caller. Returns whether there was any of it.
///
/// The group bits of an entry with an access list bound all of the list, and may be more than its
/// group has. They go with the list.
pub(super) fn take_rights(metadata: &mut Metadata) -> bool {
    let (mode, attributes) = (metadata.mode, metadata.xattrs.len());
    metadata.mode &= !(SETUID | SETGID);
    if metadata
        .xattrs
        .iter()
        .any(|xattr| *xattr.name == *ACCESS_LIST)
    {
        metadata.mode &= !OF_GROUP;
    }
    metadata
        .xattrs
        .retain(|xattr| xattr.name.starts_with(HARMLESS));
    metadata.mode != mode || metadata.xattrs.len() != attributes
}

#[cfg(test)]
mod tests {
    use super::{SETGID, SETUID, SafeOwner, Withheld, take_rights};
    use crate::model::{Metadata, Owner, Xattr};

    fn judged(owner: u32, found: u32) -> (SafeOwner, u32) {
        let owner = Owner {
            uid: owner,
            gid: owner,
            ..Owner::default()
        };
        let safe = SafeOwner::judge(&owner, found, found);
        let without = safe.without;
        (safe, without)
    }

    #[test]
    fn a_number_that_nobody_has_is_never_set_and_takes_the_right_to_act_as_it() {
        let (safe, without) = judged(u32::MAX, u32::MAX);
        assert_eq!((safe.uid, safe.gid, without), (None, None, SETUID | SETGID));
        assert_eq!(
            safe.told(0o644),
            [Withheld::NoSuchUser, Withheld::NoSuchGroup]
        );
        // A name can lead to the number too.
        assert_eq!(judged(1000, u32::MAX).1, SETUID | SETGID);
    }

    #[test]
    fn a_name_that_is_roots_here_and_was_not_there_gives_no_rights() {
        let (safe, without) = judged(1000, 0);
        assert_eq!((safe.uid, without), (Some(0), SETUID | SETGID));
        assert_eq!(safe.clone().told(0o755), []);
        assert_eq!(safe.told(0o4755), [Withheld::BecameRoot(1000)]);
        assert_eq!(judged(0, 0).1, 0);
        assert_eq!(judged(0, 1000).1, 0);
        assert_eq!(judged(1000, 2000).1, 0);
    }

    #[test]
    fn without_trust_only_plain_permissions_and_a_users_own_attributes_stay() {
        let metadata = |mode, names: &[&str]| Metadata {
            mode,
            xattrs: names
                .iter()
                .map(|name| Xattr {
                    name: name.as_bytes().into(),
                    value: (*b"1").into(),
                })
                .collect(),
            ..Metadata::default()
        };
        for (mode, names, left) in [
            (0o7755, &["user.x"][..], (0o1755, 1)),
            (0o755, &["security.capability", "user.x"], (0o755, 1)),
            (0o755, &["trusted.overlay.opaque"], (0o755, 0)),
            (0o775, &["system.posix_acl_access"], (0o705, 0)),
            (0o775, &["system.posix_acl_default"], (0o775, 0)),
            (0o644, &["unknown.kind"], (0o644, 0)),
        ] {
            let mut metadata = metadata(mode, names);
            assert!(take_rights(&mut metadata), "{mode:o} {names:?}");
            assert_eq!((metadata.mode, metadata.xattrs.len()), left, "{names:?}");
        }
        assert!(!take_rights(&mut metadata(0o1777, &["user.x"])));
    }
}
