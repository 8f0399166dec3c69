//! From the paths a person gave to the one tree that is walked.

use super::walk::{Directory, Opened};
use crate::model::{Advice, Name, TreePath};
use crate::platform::DirHandle;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// What is backed up, opened.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) root: Arc<Directory>,
    /// See [`WalkOptions::only`](super::walk::WalkOptions).
    pub(super) only: HashMap<TreePath, BTreeSet<Name>>,
    /// The sources as absolute paths, links resolved.
    pub(super) paths: Vec<PathBuf>,
}

/// Why a source cannot be backed up.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No path was given.
    #[error("nothing to back up was named")]
    None,
    /// It is not there, or may not be looked at.
    #[error("could not open {}", .path.display())]
    Open {
        /// The path as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is the root directory or lies in it under a name that no tree can hold.
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
    /// Opens what `paths` name. One directory is the root of the tree itself; one file is a tree of
    /// that file; several sources keep their absolute paths, below `/`, with the directories that
    /// lead to them.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        match paths {
            [] => Err(SourceError::None),
            [path] if path.is_dir() => {
                let root = open_root(path)?;
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Ok(Self {
                    root,
                    only: HashMap::new(),
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
                Ok(Self {
                    root: open_root(parent)?,
                    only,
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
        // What lies below another source is walked with it. Path's order puts a directory right
        // before what is in it.
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
        Ok(Self {
            root: open_root(Path::new("/"))?,
            only,
            paths: kept,
        })
    }
}

fn open_root(path: &Path) -> Result<Arc<Directory>, SourceError> {
    let handle = DirHandle::open(path).map_err(|source| SourceError::Open {
        path: path.to_owned(),
        source,
    })?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(Arc::new(Directory {
        path: TreePath::root(),
        on_disk: absolute.as_os_str().as_encoded_bytes().to_vec(),
        opened: Opened::Open(handle),
        previous: None,
    }))
}

/// The absolute path with the links on the way resolved; what the path itself names is not
/// followed, unless it is a link to a directory.
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
