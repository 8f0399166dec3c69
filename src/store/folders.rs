//! Objects that are files in folders of another machine: their listing, and names of temporary
//! files.

use super::name::legal_component;
use super::{Error, ObjectInfo, ObjectName, check_prefix};
use std::fmt::Write;

/// The folder of temporary files. No object can have this name.
pub(super) const TEMPORARY: &str = "#tmp";

/// Returns a unique name below [`TEMPORARY`]; `None` when the system has no randomness.
pub(super) fn temporary() -> Option<String> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).ok()?;
    Some(
        random
            .iter()
            .fold(format!("{TEMPORARY}/"), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a String takes all that is written");
                text
            }),
    )
}

/// A file or folder in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FolderRow {
    /// The name there. That of a folder ends with a slash, so that names sort as the whole names of
    /// the objects below them do.
    name: String,
    length: u64,
}

impl FolderRow {
    /// Makes the row of a file; `None` when no object may have that name.
    pub(super) fn object(name: String, length: u64) -> Option<Self> {
        legal_component(&name).then_some(Self { name, length })
    }

    /// Makes the row of a folder; `None` when no object may be in a folder of that name.
    pub(super) fn folder(mut name: String) -> Option<Self> {
        legal_component(&name).then(|| {
            name.push('/');
            Self { name, length: 0 }
        })
    }
}

/// Lists objects by the contract of [`Store::list`](super::Store::list). `entries` returns the
/// contents of a folder, in any order. It gets the name of the folder with a slash at the end, or
/// an empty text for the topmost one.
pub(super) fn list(
    prefix: &str,
    mut entries: impl FnMut(&str) -> Result<Vec<FolderRow>, Error>,
    found: &mut dyn FnMut(ObjectInfo) -> bool,
) -> Result<(), Error> {
    check_prefix(prefix)?;
    let mut in_order = |below: &str| -> Result<std::vec::IntoIter<FolderRow>, Error> {
        let mut entries = entries(below)?;
        entries.sort_unstable();
        Ok(entries.into_iter())
    };
    // The folders that are open, the innermost last, each with its entries still to be shown.
    let mut open = vec![(prefix.to_owned(), in_order(prefix)?)];
    while let Some((below, rest)) = open.last_mut() {
        let Some(entry) = rest.next() else {
            open.pop();
            continue;
        };
        let name = format!("{below}{}", entry.name);
        if name.ends_with('/') {
            let entries = in_order(&name)?;
            open.push((name, entries));
        } else if let Some(name) = ObjectName::new(name)
            && !found(ObjectInfo {
                name,
                length: entry.length,
            })
        {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FolderRow, list, temporary};
    use crate::store::{Error, ErrorKind, ObjectName, Operation};

    #[test]
    fn folders_are_listed_in_the_order_of_whole_names_and_only_as_far_as_is_wanted() {
        let entries = |below: &str| -> Result<Vec<FolderRow>, Error> {
            let names: &[&str] = match below {
                "" => &["b", "a/", "a-b", "#tmp/", "a.b"],
                "a/" => &["z", "c/", "c-d"],
                "a/c/" => &["x"],
                _ => return Err(Error::of_store(ErrorKind::Missing, Operation::List)),
            };
            let entry = |name: &&str| match name.strip_suffix('/') {
                Some(folder) => FolderRow::folder(folder.to_owned()),
                None => FolderRow::object((*name).to_owned(), 7),
            };
            Ok(names.iter().filter_map(entry).collect())
        };
        let listed = |prefix: &str, most: usize| {
            let mut names = Vec::new();
            let outcome = list(prefix, entries, &mut |object| {
                assert_eq!(object.length, 7);
                names.push(object.name.to_string());
                names.len() < most
            });
            outcome.map(|()| names)
        };
        assert_eq!(
            listed("", 99).expect("listed"),
            ["a-b", "a.b", "a/c-d", "a/c/x", "a/z", "b"]
        );
        assert_eq!(listed("a/", 2).expect("listed"), ["a/c-d", "a/c/x"]);
        assert_eq!(
            listed("x/", 9).expect_err("what listing it says").kind(),
            ErrorKind::Missing
        );
        assert_eq!(
            listed("a", 9).expect_err("no whole component").kind(),
            ErrorKind::Failed
        );
    }

    #[test]
    fn what_is_not_whole_has_a_name_that_no_object_has() {
        let (one, other) = (
            temporary().expect("randomness"),
            temporary().expect("randomness"),
        );
        assert!(one != other && ObjectName::new(one).is_none());
    }
}
