//! Reads levels back through views, whole or as far as damage lets it.

use freezer::catalog::{Access, AccessError};
use freezer::format::manifest::Manifest;
use freezer::fs::view::{View, ViewParts};
use freezer::fs::{FileReader, ReadError, ReadOptions};
use freezer::model::{BackupName, Content, Entry, LevelId, NodeId};
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Why a level could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its manifest.
    #[error(transparent)]
    Manifest(AccessError),
    /// What its manifest says.
    #[error(transparent)]
    View(ReadError),
}

/// A reader whose cache holds a few frames.
pub fn reader() -> Arc<FileReader> {
    let options = ReadOptions {
        cache_bytes: 16 << 20,
        index_cache_bytes: 8 << 20,
        fetch_threads: NonZeroUsize::MIN,
        patience: Duration::from_secs(60),
    };
    Arc::new(FileReader::new(&options).expect("threads can be started"))
}

/// Opens a level.
pub fn open(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
    reader: &Arc<FileReader>,
) -> Result<View, OpenError> {
    let manifest = access
        .manifest(backup, level)
        .map_err(OpenError::Manifest)?;
    View::open(parts(access, backup, manifest), reader).map_err(OpenError::View)
}

/// What a manifest that was read before shows, with nothing in the caches.
#[track_caller]
pub fn of_manifest(access: &Access, backup: &BackupName, manifest: Manifest) -> View {
    View::open(parts(access, backup, manifest), &reader()).expect("its roots are sound")
}

fn parts(access: &Access, backup: &BackupName, manifest: Manifest) -> ViewParts {
    ViewParts {
        manifest,
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        backup: backup.clone(),
    }
}

/// Everything a level holds: the entries in the order of the index, each with its content.
pub type Whole = Vec<(Entry, Vec<u8>)>;

/// Reads all of a level, which must be sound.
#[track_caller]
pub fn whole(access: &Access, backup: &BackupName, level: &LevelId) -> Whole {
    of_view(&open(access, backup, level, &reader()).expect("a sound level opens"))
}

/// Reads all of a point in time that is open, and must be sound.
#[track_caller]
pub fn of_view(view: &View) -> Whole {
    view.all()
        .map(|entry| {
            let (_, entry) = entry.expect("a sound index reads");
            let content = content(view, &entry).expect("a sound stream reads");
            (entry, content)
        })
        .collect()
}

/// The bytes of a regular file; none of anything else.
pub fn content(view: &View, entry: &Entry) -> Result<Vec<u8>, ReadError> {
    let Content::File { size, .. } = &entry.content else {
        return Ok(Vec::new());
    };
    let mut bytes = vec![0xaa; usize::try_from(*size).expect("small in tests")];
    let read = view.content(entry)?.read(0, &mut bytes)?;
    assert_eq!(
        read,
        bytes.len(),
        "{}: the end of the file is missing",
        entry.path
    );
    Ok(bytes)
}

/// How much of a damaged level could still be read. None of it was wrong: see [`examine`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// Entries that were found by number, by path, by name and in their directory's listing.
    pub entries: usize,
    /// Files that have data, and whose content was read.
    pub files: usize,
    /// What the first error said.
    pub first_error: Option<String>,
}

impl Readable {
    /// All of it.
    pub fn all_of(sound: &Whole) -> Self {
        let files = sound
            .iter()
            .filter(|(_, content)| !content.is_empty())
            .count();
        Self {
            entries: sound.len(),
            files,
            first_error: None,
        }
    }

    fn refused(&mut self, error: &dyn std::error::Error) {
        if self.first_error.is_none() {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                write!(text, ": {error}").expect("a String takes all");
                cause = error.source();
            }
            self.first_error = Some(text);
        }
    }
}

/// Reads a damaged level in every way there is, and compares each answer with what the level held
/// when it was sound.
///
/// An error is an answer that damage may give. Panics with `what` at any other that is not the
/// right one: other bytes, other metadata, "no such entry", a listing that ends early without an
/// error.
#[track_caller]
pub fn examine(view: &View, sound: &Whole, what: &str) -> Readable {
    let mut readable = Readable::default();
    let paths: std::collections::HashMap<_, _> = sound
        .iter()
        .zip(0..)
        .map(|((entry, _), node)| (&entry.path, NodeId(node)))
        .collect();
    for ((entry, bytes), number) in sound.iter().zip(0..) {
        let (node, path) = (NodeId(number), &entry.path);
        let mut answers = 0;
        match view.entry(node) {
            Ok(found) => {
                assert!(
                    &found == entry,
                    "{what}: {path} by number is another: {found:?}"
                );
                answers += 1;
            }
            Err(error) => readable.refused(&error),
        }
        match view.lookup(path) {
            Ok(found) => {
                assert!(found.is_some(), "{what}: {path} is said not to exist");
                assert!(
                    found == Some((node, entry.clone())),
                    "{what}: {path} by path is another"
                );
                answers += 1;
            }
            Err(error) => readable.refused(&error),
        }
        answers += match path.parent() {
            None => 1,
            Some(parent) => {
                let name = freezer::model::Name::new(path.file_name()).expect("a legal name");
                match view.child(paths[&parent], &name) {
                    Ok(found) => {
                        assert_eq!(
                            found.map(|child| child.node),
                            Some(node),
                            "{what}: {path} by name is another"
                        );
                        1
                    }
                    Err(error) => {
                        readable.refused(&error);
                        0
                    }
                }
            }
        };
        answers += i32::from(listing(view, sound, node, what, &mut readable));
        readable.entries += usize::from(answers == 4);
        if bytes.is_empty() {
            continue;
        }
        match content(view, entry) {
            Ok(read) => {
                assert!(&read == bytes, "{what}: {path} has other bytes");
                readable.files += 1;
            }
            Err(error) => readable.refused(&error),
        }
    }
    for (found, (entry, _)) in view.all().zip(sound) {
        match found {
            Ok((_, found)) => assert!(
                &found == entry,
                "{what}: {} in order is another",
                entry.path
            ),
            Err(error) => {
                readable.refused(&error);
                break;
            }
        }
    }
    if readable.first_error.is_none() {
        assert_eq!(
            view.all().count(),
            sound.len(),
            "{what}: the walk ends early"
        );
    }
    readable
}

/// Whether a directory's listing is whole; true of what is no directory.
fn listing(view: &View, sound: &Whole, node: NodeId, what: &str, readable: &mut Readable) -> bool {
    let position = usize::try_from(node.0).expect("small");
    let directory = &sound[position].0;
    if directory.content != Content::Directory {
        return true;
    }
    let mut expected = sound
        .iter()
        .filter(|(entry, _)| entry.path.parent().as_ref() == Some(&directory.path));
    for child in view.children(node) {
        match child {
            Ok((_, found)) => {
                let next = expected.next().map(|(entry, _)| entry);
                assert!(
                    next == Some(&found),
                    "{what}: {} lists {} where it should not",
                    directory.path,
                    found.path
                );
            }
            Err(error) => {
                readable.refused(&error);
                return false;
            }
        }
    }
    assert_eq!(
        expected.count(),
        0,
        "{what}: the listing of {} ends early, and says nothing",
        directory.path
    );
    true
}
