//! Resolves user and group numbers to names, and back.

use crate::model::Owner;
use nix::unistd::{Gid, Group, Uid, User};
use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::{PoisonError, RwLock};

/// Resolves user and group numbers to names, and back. Asks the system once for each.
///
/// A number that the system does not know has no name, and stays a number. So does one whose
/// directory service fails. Many threads may use it at once.
#[derive(Debug, Default)]
pub struct Owners {
    /// Answers of the system; `None` where it knows no name. So too in the other maps.
    user_names: RwLock<HashMap<u32, Option<Box<[u8]>>>>,
    group_names: RwLock<HashMap<u32, Option<Box<[u8]>>>>,
    user_numbers: RwLock<HashMap<Box<[u8]>, Option<u32>>>,
    group_numbers: RwLock<HashMap<Box<[u8]>, Option<u32>>>,
}

impl Owners {
    /// Returns one that has asked nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the owner with these numbers, with names where the system has them.
    pub fn named(&self, uid: u32, gid: u32) -> Owner {
        let user = remembered(&self.user_names, &uid, |uid| {
            User::from_uid(Uid::from_raw(*uid))
                .ok()
                .flatten()
                .map(|user| user.name.into_bytes().into())
        });
        let group = remembered(&self.group_names, &gid, |gid| {
            Group::from_gid(Gid::from_raw(*gid))
                .ok()
                .flatten()
                .map(|group| group.name.into_bytes().into())
        });
        Owner {
            uid,
            gid,
            user: user.unwrap_or_default(),
            group: group.unwrap_or_default(),
        }
    }

    /// Returns the numbers on this system of an owner from another system: those of the same names,
    /// or the same numbers where this system does not have the names.
    pub fn numbers(&self, owner: &Owner) -> (u32, u32) {
        let user = remembered(&self.user_numbers, &owner.user, |name| {
            Some(
                User::from_name(std::str::from_utf8(name).ok()?)
                    .ok()??
                    .uid
                    .as_raw(),
            )
        });
        let group = remembered(&self.group_numbers, &owner.group, |name| {
            Some(
                Group::from_name(std::str::from_utf8(name).ok()?)
                    .ok()??
                    .gid
                    .as_raw(),
            )
        });
        (user.unwrap_or(owner.uid), group.unwrap_or(owner.gid))
    }
}

fn remembered<K: Eq + Hash + Clone, V: Clone>(
    known: &RwLock<HashMap<K, Option<V>>>,
    key: &K,
    ask: impl FnOnce(&K) -> Option<V>,
) -> Option<V> {
    if let Some(answer) = known
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(key)
    {
        return answer.clone();
    }
    let answer = ask(key);
    known
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(key.clone(), answer.clone());
    answer
}

/// Returns the name that this machine calls itself.
pub fn host_name() -> io::Result<String> {
    let name = nix::unistd::gethostname()?;
    name.into_string()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the host name is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::Owners;
    use crate::model::Owner;

    #[test]
    fn an_owner_is_found_by_name_before_number() {
        let owners = Owners::new();
        let named = owners.named(0, 0);
        assert_eq!((&*named.user, &*named.group), (&b"root"[..], &b"root"[..]));
        assert_eq!(
            owners.numbers(&Owner {
                uid: 77,
                gid: 78,
                ..named
            }),
            (0, 0)
        );
    }

    #[test]
    fn a_number_without_a_name_stays_a_number() {
        let owners = Owners::new();
        let nobody = owners.named(3_999_999_999, 3_999_999_998);
        assert_eq!((&*nobody.user, &*nobody.group), (&b""[..], &b""[..]));
        let foreign = Owner {
            user: (*b"no such user here").into(),
            group: (*b"\xff").into(),
            ..nobody
        };
        assert_eq!(owners.numbers(&foreign), (3_999_999_999, 3_999_999_998));
    }
}
