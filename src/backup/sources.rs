//! Turns the paths that a user names into one tree to walk.

use super::step::{DirectoryAccess, WalkedDirectory};
use crate::model::{Advice, Name, TreePath};
use crate::platform::DirHandle;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The sources of a backup, opened.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) tree: SourceTree,
    /// The sources as absolute paths without symbolic links.
    pub(super) paths: Vec<PathBuf>,
}

/// The tree to walk.
#[derive(Debug)]
pub(super) struct SourceTree {
    pub(super) root: Arc<WalkedDirectory>,
    /// Directories in which only these names are walked. All names are walked in the others.
    pub(super) only: HashMap<TreePath, BTreeSet<Name>>,
}

/// Why a source cannot be backed up.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No path was given.
    #[error("no file or directory to back up was named")]
    None,
    /// The path does not exist or cannot be read.
    #[error("could not open {}", .path.display())]
    Open {
        /// The path as the user gave it.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path has no name that a tree can hold.
    #[error("{} cannot be backed up together with other sources", .0.display())]
    Unfit(PathBuf),
}

impl Advice for SourceError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::None => Some("name what to back up: freezer backup PATH"),
            Self::Open { .. } => Some("name a file or directory that exists and that you may read"),
            Self::Unfit(_) => Some("back it up alone"),
        }
    }
}

impl Sources {
    /// Opens the sources. A single directory is the root of the tree. A single file is alone in its
    /// tree. Several sources keep their absolute paths below `/`, with the directories that lead to
    /// them.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        match paths {
            [] => Err(SourceError::None),
            [path] if path.is_dir() => {
                let root = open_root(path)?;
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let only = HashMap::new();
                Ok(Self {
                    tree: SourceTree { root, only },
                    paths: vec![path],
                })
            }
            [path] => {
                let path = resolve(path)?;
                let (Some(parent), Some(name)) = (
                    path.parent(),
                    path.file_name()
                        .and_then(|name| Name::new(name.as_encoded_bytes())),
                ) else {
                    return Err(SourceError::Unfit(path));
                };
                let only = HashMap::from([(TreePath::root(), BTreeSet::from([name]))]);
                let root = open_root(parent)?;
                Ok(Self {
                    tree: SourceTree { root, only },
                    paths: vec![path],
                })
            }
            several => Self::several(several),
        }
    }

    fn several(paths: &[PathBuf]) -> Result<Self, SourceError> {
        let mut resolved = paths
            .iter()
            .map(|path| resolve(path))
            .collect::<Result<Vec<_>, _>>()?;
        resolved.sort();
        // A source below another one is walked with that. Paths sort so that a directory comes
        // right before its content.
        let mut kept: Vec<PathBuf> = Vec::new();
        for path in resolved {
            if !kept.last().is_some_and(|above| path.starts_with(above)) {
                kept.push(path);
            }
        }
        if let [only_one] = &kept[..] {
            return Self::open(std::slice::from_ref(only_one));
        }
        let mut only: HashMap<TreePath, BTreeSet<Name>> = HashMap::new();
        for path in &kept {
            let mut parent = TreePath::root();
            for component in path.components() {
                if let Component::Normal(name) = component {
                    let name = Name::new(name.as_encoded_bytes())
                        .ok_or_else(|| SourceError::Unfit(path.clone()))?;
                    let below = parent.join(&name);
                    only.entry(parent).or_default().insert(name);
                    parent = below;
                }
            }
        }
        let root = open_root(Path::new("/"))?;
        Ok(Self {
            tree: SourceTree { root, only },
            paths: kept,
        })
    }
}

fn open_root(path: &Path) -> Result<Arc<WalkedDirectory>, SourceError> {
    let handle = DirHandle::open(path).map_err(|source| SourceError::Open {
        path: path.to_owned(),
        source,
    })?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(Arc::new(WalkedDirectory {
        path: TreePath::root(),
        on_disk: absolute.as_os_str().as_encoded_bytes().to_vec(),
        access: DirectoryAccess::Open(handle),
        previous: None,
    }))
}

/// Returns the absolute path without symbolic links on the way. The last component is followed only
/// if it is a link to a directory.
fn resolve(path: &Path) -> Result<PathBuf, SourceError> {
    let failed = |source| SourceError::Open {
        path: path.to_owned(),
        source,
    };
    path.symlink_metadata().map_err(failed)?;
    if path.is_dir() {
        return path.canonicalize().map_err(failed);
    }
    let absolute = std::path::absolute(path).map_err(failed)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.canonicalize().map_err(failed)?.join(name)),
        _ => Ok(absolute),
    }
}
