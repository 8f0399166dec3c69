//! Metadata of a restored entry, and how it is applied.

use super::rights::{SETGID, SETUID, SafeOwner, Withheld, take_rights};
use super::run::RestoreRun;
use super::{Attempt, EntryError, Ownership, RestoreSource, Trust};
use crate::model::{Kind, Metadata, Time, Xattr};
use crate::platform::Attributes;
use std::io;

const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";

/// The metadata in a backup that this process can give an entry.
#[derive(Debug)]
pub(super) struct TargetMetadata {
    /// `None` where this process may not set it.
    uid: Option<u32>,
    /// `None` where this process may not set it.
    gid: Option<u32>,
    mode: u32,
    mtime: Time,
    xattrs: Vec<Xattr>,
    /// What the entry does not get, to be told with its errors.
    withheld: Vec<Withheld>,
}

/// The metadata that an entry has from its making, which need not be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Its mode, where that is certain.
    pub mode: Option<u32>,
    /// Whether its user and group are surely those of this process.
    pub ours: bool,
    /// Whether it may have inherited ACLs from its directory.
    pub inherits: bool,
}

impl Start {
    /// For an entry that was there before, or was made where nothing is certain.
    pub(super) const UNKNOWN: Self = Self {
        mode: None,
        ours: false,
        inherits: true,
    };
}

impl<S: RestoreSource> RestoreRun<'_, S> {
    /// Returns what can be set of `metadata`. Counts the entry if that is not all.
    pub(super) fn wanted(&self, metadata: &Metadata) -> TargetMetadata {
        if self.options.trust == Trust::Untrusted {
            return self.wanted_without_trust(metadata);
        }
        let (mut mode, mut xattrs) = (metadata.mode, metadata.xattrs.clone());
        let (uid, gid) = match self.options.ownership {
            Ownership::ByName => self.owners.numbers(&metadata.owner),
            Ownership::ByNumber => (metadata.owner.uid, metadata.owner.gid),
        };
        let owner = SafeOwner::judge(&metadata.owner, uid, gid);
        let (mut uid, mut gid) = (owner.uid, owner.gid);
        mode &= !owner.without;
        let withheld = owner.told(metadata.mode);
        if !self.identity.is_root() {
            let all = xattrs.len();
            xattrs.retain(|xattr| {
                !xattr.name.starts_with(b"trusted.") && !xattr.name.starts_with(b"security.")
            });
            let mut left_out = xattrs.len() < all;
            // A program that acts as its owner must not act as another user.
            if uid != Some(self.identity.uid) {
                (uid, mode, left_out) = (None, mode & !SETUID, true);
            }
            if gid
                .is_none_or(|gid| gid != self.identity.gid && !self.identity.groups.contains(&gid))
            {
                (gid, mode, left_out) = (None, mode & !SETGID, true);
            }
            if left_out {
                self.counts.left_out();
            }
        }
        TargetMetadata {
            uid,
            gid,
            mode,
            mtime: metadata.mtime,
            xattrs,
            withheld,
        }
    }

    /// Returns what an entry gets of `metadata` where the backup is not trusted: nothing that gives
    /// rights. Counts the entry if there was any of it.
    fn wanted_without_trust(&self, metadata: &Metadata) -> TargetMetadata {
        let mut metadata = metadata.clone();
        if take_rights(&mut metadata) {
            self.counts.withheld();
        }
        TargetMetadata {
            uid: None,
            gid: None,
            mode: metadata.mode,
            mtime: metadata.mtime,
            xattrs: metadata.xattrs,
            withheld: Vec::new(),
        }
    }

    /// Gives `node` the wanted metadata that it does not have, in the order that [`Attributes`]
    /// explains. Hands each error to `failed`, and goes on.
    pub(super) fn apply(
        &self,
        node: &impl Attributes,
        kind: Kind,
        wanted: &TargetMetadata,
        start: Start,
        mut failed: impl FnMut(EntryError),
    ) {
        let mut told = |attempted: Attempt, done: io::Result<()>| match done {
            Ok(()) => true,
            Err(source) => {
                failed(EntryError::new(attempted, source));
                false
            }
        };
        for withheld in &wanted.withheld {
            told(Attempt::SetOwner, Err(io::Error::other(*withheld)));
        }
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
        // Some file systems say that they set an owner, and keep none.
        if mode & (SETUID | SETGID) != 0 && !told(Attempt::SetOwner, is_kept(node, wanted)) {
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

/// Fails if an entry does not have the wanted owner, as far as one was wanted.
fn is_kept(node: &impl Attributes, wanted: &TargetMetadata) -> io::Result<()> {
    let (uid, gid) = node.owner()?;
    if wanted.uid.is_none_or(|wanted| wanted == uid)
        && wanted.gid.is_none_or(|wanted| wanted == gid)
    {
        Ok(())
    } else {
        Err(io::Error::other(Withheld::OwnerNotKept))
    }
}

#[cfg(test)]
mod tests {
    use super::Start;
    use crate::model::progress::Silent;
    use crate::model::{Cancel, Kind, Metadata, Owner, Time, Xattr};
    use crate::platform::{Attributes, ProcessIdentity};
    use crate::restore::run::RestoreRun;
    use crate::restore::run::tests::NoTree;
    use crate::restore::{Options, Ownership};
    use std::cell::RefCell;
    use std::io;

    /// User, group and mode.
    type Rights = (Option<u32>, Option<u32>, u32);

    /// Returns what a user may set of the metadata of a setuid and setgid file, and how often that
    /// was not all.
    fn given(uid: u32, gid: u32, attributes: &[&str]) -> (Rights, Vec<String>, u64) {
        let options = Options {
            ownership: Ownership::ByNumber,
            ..Options::default()
        };
        let cancel = Cancel::new();
        let mut run = RestoreRun::new(&NoTree, &options, &Silent, &cancel);
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

    /// What a file system makes of a change of owner.
    #[derive(Clone, Copy)]
    enum Chown {
        Sets,
        Fails,
        Pretends,
    }

    /// An entry that writes down what is done to it.
    struct Node {
        chown: Chown,
        done: RefCell<Vec<String>>,
    }

    impl Node {
        fn note(&self, done: String) -> io::Result<()> {
            self.done.borrow_mut().push(done);
            Ok(())
        }
    }

    impl Attributes for Node {
        fn set_owner(&self, uid: Option<u32>, _: Option<u32>) -> io::Result<()> {
            self.note(format!("owner {uid:?}"))?;
            match self.chown {
                Chown::Sets | Chown::Pretends => Ok(()),
                Chown::Fails => Err(io::ErrorKind::PermissionDenied.into()),
            }
        }

        fn owner(&self) -> io::Result<(u32, u32)> {
            Ok(match self.chown {
                Chown::Sets => (1234, 1234),
                Chown::Fails | Chown::Pretends => (0, 0),
            })
        }

        fn set_mode(&self, mode: u32) -> io::Result<()> {
            self.note(format!("mode {mode:o}"))
        }

        fn set_mtime(&self, _: Time) -> io::Result<()> {
            self.note("time".to_owned())
        }

        fn set_xattr(&self, xattr: &Xattr) -> io::Result<()> {
            self.note(String::from_utf8_lossy(&xattr.name).into_owned())
        }

        fn remove_xattr(&self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_program_acts_as_its_owner_only_once_it_has_that_owner() {
        let by_number = Options {
            ownership: Ownership::ByNumber,
            ..Options::default()
        };
        let cancel = Cancel::new();
        let mut run = RestoreRun::new(&NoTree, &by_number, &Silent, &cancel);
        run.identity = ProcessIdentity {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            umask: Some(0o022),
        };
        let attribute = |name: &[u8]| Xattr {
            name: name.into(),
            value: (*b"1").into(),
        };
        let metadata = Metadata {
            mode: 0o6755,
            owner: Owner {
                uid: 1234,
                gid: 1234,
                ..Owner::default()
            },
            xattrs: vec![
                attribute(b"security.capability"),
                attribute(b"system.posix_acl_access"),
            ],
            ..Metadata::default()
        };
        for (chown, mode, errors) in [
            (Chown::Sets, "mode 6755", 0),
            (Chown::Fails, "mode 755", 1),
            (Chown::Pretends, "mode 755", 1),
        ] {
            let node = Node {
                chown,
                done: RefCell::default(),
            };
            let mut told = 0;
            let wanted = run.wanted(&metadata);
            run.apply(&node, Kind::File, &wanted, Start::UNKNOWN, |_| told += 1);
            assert_eq!(
                *node.done.borrow(),
                [
                    "owner Some(1234)",
                    "security.capability",
                    mode,
                    "system.posix_acl_access",
                    "time"
                ]
            );
            assert_eq!(told, errors, "{mode}");
        }
    }
}
