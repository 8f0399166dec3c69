//! What is to be known of a restored thing, and giving it that.

use super::run::Run;
use super::{Attempt, FileError, Ownership, Source};
use crate::model::{Kind, Metadata, Time, Xattr};
use crate::platform::Attributes;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";

/// What this process can give a thing of what the backup knows of it.
#[derive(Debug)]
pub(super) struct Wanted {
    /// `None` where it cannot be given away, or is ours and wants to be.
    uid: Option<u32>,
    gid: Option<u32>,
    mode: u32,
    mtime: Time,
    xattrs: Vec<Xattr>,
}

/// What a thing that was just made has already, so that it need not be given it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Its mode, where that is certain.
    pub mode: Option<u32>,
    /// Whether its user and group are certain to be this process's.
    pub ours: bool,
    /// Whether it may have got ACLs from the directory it is in.
    pub inherits: bool,
}

impl Start {
    /// What was there before, or was made where nothing is certain.
    pub(super) const UNKNOWN: Self = Self {
        mode: None,
        ours: false,
        inherits: true,
    };
}

impl<S: Source> Run<'_, S> {
    /// What can be given of `metadata`; counts it if that is not all.
    pub(super) fn wanted(&self, metadata: &Metadata) -> Wanted {
        let (mut mode, mut xattrs) = (metadata.mode, metadata.xattrs.clone());
        let (uid, gid) = match self.options.ownership {
            Ownership::ByName => self.owners.numbers(&metadata.owner),
            Ownership::ByNumber => (metadata.owner.uid, metadata.owner.gid),
        };
        let (mut uid, mut gid) = (Some(uid), Some(gid));
        if !self.identity.is_root() {
            let all = xattrs.len();
            xattrs.retain(|xattr| {
                !xattr.name.starts_with(b"trusted.") && !xattr.name.starts_with(b"security.")
            });
            let mut left_out = xattrs.len() < all;
            // What acts as its owner must not act as somebody else.
            if uid != Some(self.identity.uid) {
                (uid, mode, left_out) = (None, mode & !SETUID, true);
            }
            if gid
                .is_some_and(|gid| gid != self.identity.gid && !self.identity.groups.contains(&gid))
            {
                (gid, mode, left_out) = (None, mode & !SETGID, true);
            }
            if left_out {
                self.counts.left_out();
            }
        }
        Wanted {
            uid,
            gid,
            mode,
            mtime: metadata.mtime,
            xattrs,
        }
    }

    /// Gives `node` what is wanted and it does not have, in the order that [`Attributes`] explains.
    /// Each thing that fails is told to `failed`, and the rest is done.
    pub(super) fn apply(
        &self,
        node: &impl Attributes,
        kind: Kind,
        wanted: &Wanted,
        start: Start,
        mut failed: impl FnMut(FileError),
    ) {
        let mut told = |attempted: Attempt, done: std::io::Result<()>| match done {
            Ok(()) => true,
            Err(source) => {
                failed(FileError::new(attempted, source));
                false
            }
        };
        let mut mode = wanted.mode;
        let uid = wanted
            .uid
            .filter(|uid| !start.ours || *uid != self.identity.uid);
        let gid = wanted
            .gid
            .filter(|gid| !start.ours || *gid != self.identity.gid);
        if (uid.is_some() || gid.is_some()) && !told(Attempt::SetOwner, node.set_owner(uid, gid)) {
            mode &= !(SETUID | SETGID);
        }
        let is_acl = |xattr: &&Xattr| *xattr.name == *ACCESS_ACL || *xattr.name == *DEFAULT_ACL;
        for xattr in wanted.xattrs.iter().filter(|xattr| !is_acl(xattr)) {
            told(Attempt::SetXattr(xattr.name.clone()), node.set_xattr(xattr));
        }
        if kind != Kind::Symlink {
            if start.mode != Some(mode) {
                told(Attempt::SetMode, node.set_mode(mode));
            }
            if start.inherits {
                for acl in [ACCESS_ACL, DEFAULT_ACL] {
                    if !wanted.xattrs.iter().any(|xattr| *xattr.name == *acl) {
                        told(Attempt::SetXattr(acl.into()), node.remove_xattr(acl));
                    }
                }
            }
        }
        for acl in wanted.xattrs.iter().filter(is_acl) {
            told(Attempt::SetXattr(acl.name.clone()), node.set_xattr(acl));
        }
        told(Attempt::SetTime, node.set_mtime(wanted.mtime));
    }
}

#[cfg(test)]
mod tests {
    use crate::model::progress::Silent;
    use crate::model::{Cancel, Metadata, Owner, Xattr};
    use crate::platform::ProcessIdentity;
    use crate::restore::run::Run;
    use crate::restore::run::tests::Nothing;
    use crate::restore::{Options, Ownership};

    /// User, group and mode.
    type Rights = (Option<u32>, Option<u32>, u32);

    /// What a user may give of the metadata of a setuid and setgid file, and how often that is not
    /// all.
    fn given(uid: u32, gid: u32, attributes: &[&str]) -> (Rights, Vec<String>, u64) {
        let options = Options {
            ownership: Ownership::ByNumber,
            ..Options::default()
        };
        let cancel = Cancel::new();
        let mut run = Run::new(&Nothing, &options, &Silent, &cancel);
        run.identity = ProcessIdentity {
            uid: 1000,
            gid: 100,
            groups: vec![100, 200],
            umask: Some(0o022),
        };
        let xattrs = attributes
            .iter()
            .map(|name| Xattr {
                name: name.as_bytes().into(),
                value: (*b"1").into(),
            })
            .collect();
        let owner = Owner {
            uid,
            gid,
            ..Owner::default()
        };
        let wanted = run.wanted(&Metadata {
            mode: 0o6755,
            owner,
            xattrs,
            ..Metadata::default()
        });
        let names = wanted
            .xattrs
            .iter()
            .map(|xattr| String::from_utf8_lossy(&xattr.name).into_owned())
            .collect();
        (
            (wanted.uid, wanted.gid, wanted.mode),
            names,
            run.finish().expect("nothing stopped it").left_out,
        )
    }

    #[test]
    fn not_as_root_nothing_acts_as_somebody_it_does_not_belong_to() {
        assert_eq!(
            given(1000, 200, &[]),
            ((Some(1000), Some(200), 0o6755), vec![], 0)
        );
        assert_eq!(given(0, 100, &[]), ((None, Some(100), 0o2755), vec![], 1));
        assert_eq!(given(1000, 0, &[]), ((Some(1000), None, 0o4755), vec![], 1));
        assert_eq!(given(0, 0, &[]), ((None, None, 0o0755), vec![], 1));
    }

    #[test]
    fn not_as_root_attributes_of_the_system_are_left_out_and_counted() {
        let names = [
            "security.capability",
            "system.posix_acl_access",
            "trusted.x",
            "user.x",
        ];
        let (_, given, left_out) = given(1000, 100, &names);
        assert_eq!(
            (given, left_out),
            (
                vec!["system.posix_acl_access".to_owned(), "user.x".to_owned()],
                1
            )
        );
    }
}
