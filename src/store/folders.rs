//! Objects that are files in folders of another machine: their listing, and names of temporary
//! files.

use super::folder_rows::{FirstRows, FolderBatch, FolderRow, NoStoreFolder};
use super::{Error, ErrorKind, ObjectInfo, ObjectName, Operation, check_prefix};
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

/// How much memory the listed names of all open folders take together, in bytes. A folder with more
/// is read several times: ten million names ten times.
const MOST_BYTES: usize = 128 << 20;

/// The least that one folder may take.
const LEAST_BYTES: usize = 256 << 10;

/// How deep folders are looked into. Names of the layout have at most seven components.
pub(super) const DEEPEST: usize = 32;

/// How many folders without any object may follow each other. WebDAV leaves some behind.
const MOST_EMPTY: u32 = 100_000;

/// A folder whose contents are being shown.
struct ListedFolder {
    /// Its name with a slash at the end, or nothing for the topmost one.
    below: String,
    batch: FolderBatch,
}

/// Takes the next row of a folder; `None` for what is not of a store.
pub(super) type TakeRow<'run> = dyn FnMut(Option<FolderRow>) -> Result<(), Error> + 'run;

/// Hands the contents of a folder over, in any order. It gets the name of the folder with a slash
/// at the end, or an empty text for the topmost one.
pub(super) type RowsOfFolder<'store> =
    dyn FnMut(&str, &mut TakeRow<'_>) -> Result<(), Error> + 'store;

/// Lists objects by the contract of [`Store::list`](super::Store::list).
///
/// Memory is bounded, whatever the server lists and in whatever order. A folder with more names
/// than there is room for is read again when the first ones were shown.
pub(super) fn list(
    prefix: &str,
    entries: &mut RowsOfFolder<'_>,
    found: &mut dyn FnMut(ObjectInfo) -> bool,
) -> Result<(), Error> {
    list_within(MOST_BYTES, prefix, entries, found)
}

fn list_within(
    most_bytes: usize,
    prefix: &str,
    entries: &mut RowsOfFolder<'_>,
    found: &mut dyn FnMut(ObjectInfo) -> bool,
) -> Result<(), Error> {
    check_prefix(prefix)?;
    let first = read(prefix, None, most_bytes / 2, entries)?;
    // The folders that are open, the innermost last.
    let mut open = vec![ListedFolder {
        below: prefix.to_owned(),
        batch: first,
    }];
    let mut empty = 0;
    while let Some(ListedFolder { below, batch }) = open.last_mut() {
        let Some(row) = batch.rows.next() else {
            match batch.more_after.take() {
                Some(after) => *batch = read(below, Some(after), batch.bytes, entries)?,
                None => drop(open.pop()),
            }
            continue;
        };
        let name = format!("{below}{}", row.name());
        if let Some(folder) = name.strip_suffix('/') {
            // Deeper, or longer, than any object's name is: not ours.
            if open.len() >= DEEPEST || ObjectName::new(folder).is_none() {
                continue;
            }
            empty += 1;
            if empty > MOST_EMPTY {
                let why = "the server lists folder upon folder, and no object in any of them";
                return Err(Error::of_store(ErrorKind::Failed, Operation::List).because(why));
            }
            let held: usize = open.iter().map(|folder| folder.batch.bytes).sum();
            let room = (most_bytes.saturating_sub(held) / 2).max(LEAST_BYTES.min(most_bytes));
            let batch = read(&name, None, room, entries)?;
            open.push(ListedFolder { below: name, batch });
        } else if let Some(name) = ObjectName::new(name) {
            empty = 0;
            if !found(ObjectInfo {
                name,
                length: row.length(),
            }) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Reads the contents of a folder and keeps the first ones.
fn read(
    below: &str,
    after: Option<Box<str>>,
    room: usize,
    entries: &mut RowsOfFolder<'_>,
) -> Result<FolderBatch, Error> {
    let failed = |why: NoStoreFolder| {
        let folder = if below.is_empty() {
            "the topmost one"
        } else {
            below
        };
        Error::of_store(ErrorKind::Failed, Operation::List).because(format!("{why}: {folder}"))
    };
    let mut rows = FirstRows::new(after, room);
    entries(below, &mut |row| rows.take(row).map_err(failed))?;
    Ok(rows.finish())
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, FolderRow, MOST_EMPTY, list, list_within, temporary};
    use crate::store::{Error, ErrorKind, ObjectName, Operation};

    type Take<'run> = dyn FnMut(Option<FolderRow>) -> Result<(), Error> + 'run;

    fn row(name: &str) -> Option<FolderRow> {
        match name.strip_suffix('/') {
            Some(folder) => FolderRow::folder(folder),
            None => FolderRow::object(name, 7),
        }
    }

    fn contents(below: &str, take: &mut Take<'_>) -> Result<(), Error> {
        let names: &[&str] = match below {
            "" => &["b", "a/", "a-b", "#tmp/", "a.b"],
            "a/" => &["z", "c/", "c-d"],
            "a/c/" => &["x"],
            _ => return Err(Error::of_store(ErrorKind::Missing, Operation::List)),
        };
        names.iter().try_for_each(|name| take(row(name)))
    }

    #[test]
    fn folders_are_listed_in_the_order_of_whole_names_and_only_as_far_as_is_wanted() {
        let listed = |prefix: &str, most: usize| {
            let mut names = Vec::new();
            let outcome = list(prefix, &mut contents, &mut |object| {
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

    /// Any order that is not the right one.
    fn shuffled(count: u32) -> impl Iterator<Item = String> {
        (0..count).map(move |number| {
            let number = u64::from(number) * 7_919 % u64::from(count);
            format!("{number:08}{}", if number % 50 == 0 { "/" } else { "" })
        })
    }

    #[test]
    fn a_folder_with_more_names_than_there_is_room_for_is_listed_whole_and_in_order() {
        const COUNT: u32 = 50_000;
        let mut passes = 0;
        let mut entries = |below: &str, take: &mut Take<'_>| {
            if below.is_empty() {
                passes += 1;
                shuffled(COUNT).try_for_each(|name| take(row(&name)))
            } else {
                take(row("in"))
            }
        };
        let mut names: Vec<String> = Vec::new();
        list_within(600_000, "", &mut entries, &mut |object| {
            names.push(object.name.to_string());
            true
        })
        .expect("listed");
        let expected: Vec<String> = (0..COUNT)
            .map(|number| format!("{number:08}{}", if number % 50 == 0 { "/in" } else { "" }))
            .collect();
        assert!(names == expected, "{} names", names.len());
        assert!((5..20).contains(&passes), "{passes} passes");
    }

    #[test]
    fn a_name_that_is_listed_twice_is_shown_once() {
        let mut twice = |_: &str, take: &mut Take<'_>| {
            ["b", "a", "b"].iter().try_for_each(|name| take(row(name)))
        };
        let mut names = Vec::new();
        list("d/", &mut twice, &mut |object| {
            names.push(object.name.to_string());
            true
        })
        .expect("listed");
        assert_eq!(names, ["d/a", "d/b"]);
    }

    #[test]
    fn folders_in_folders_without_end_are_left_when_no_object_can_be_so_deep() {
        let mut asked = 0;
        let mut nested = |_: &str, take: &mut Take<'_>| {
            asked += 1;
            take(row("d/"))
        };
        list("", &mut nested, &mut |_| panic!("no object")).expect("nothing");
        assert_eq!(asked, DEEPEST);
        let mut asked = 0;
        let mut branching = |_: &str, take: &mut Take<'_>| {
            asked += 1;
            ["a/", "b/"].iter().try_for_each(|name| take(row(name)))
        };
        let error = list("", &mut branching, &mut |_| panic!("no object")).expect_err("no end");
        assert_eq!((error.kind(), asked), (ErrorKind::Failed, MOST_EMPTY + 1));
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
