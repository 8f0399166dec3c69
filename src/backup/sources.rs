//! Turns the paths that a user names into one tree to walk.

use super::step::{DirectoryAccess, WalkedDirectory};
use crate::model::{Advice, Name, TreePath};
use crate::platform::DirHandle;
use std::collections::{BTreeSet, HashMap, HashSet};
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
    /// Devices that hold a source.
    pub(super) devices: HashSet<u64>,
    /// Sources that are not there, while others are.
    pub(super) missing: Vec<MissingSource>,
}

/// A source that is not there.
#[derive(Debug)]
pub(super) struct MissingSource {
    pub(super) path: TreePath,
    pub(super) error: io::Error,
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
    /// them. Of several, some may be missing, but not all.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        match paths {
            [] => Err(SourceError::None),
            [path] => Self::alone(path),
            several => Self::several(several),
        }
    }

    fn alone(path: &Path) -> Result<Self, SourceError> {
        if path.is_dir() {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            return Self::below(open_root(path)?, HashMap::new(), vec![absolute]);
        }
        let path = resolve(path)?;
        let (Some(parent), Some(name)) = (
            path.parent(),
            path.file_name()
                .and_then(|name| Name::new(name.as_encoded_bytes())),
        ) else {
            return Err(SourceError::Unfit(path));
        };
        let only = HashMap::from([(TreePath::root(), BTreeSet::from([name]))]);
        Self::below(open_root(parent)?, only, vec![path])
    }

    fn several(paths: &[PathBuf]) -> Result<Self, SourceError> {
        let (mut resolved, mut missing) = (Vec::new(), Vec::new());
        for path in paths {
            match resolve(path) {
                Ok(path) => resolved.push(path),
                Err(SourceError::Open { path, source }) => missing.push((path, source)),
                Err(other) => return Err(other),
            }
        }
        if resolved.is_empty()
            && let Some((path, source)) = missing.pop()
        {
            return Err(SourceError::Open { path, source });
        }
        // Also those of sources below others: what the user named is not left out.
        let devices: HashSet<u64> = resolved.iter().filter_map(|path| device(path)).collect();
        resolved.sort();
        // A source below another one is walked with that. Paths sort so that a directory comes
        // right before its content.
        let mut kept: Vec<PathBuf> = Vec::new();
        for path in resolved {
            if !kept.last().is_some_and(|above| path.starts_with(above)) {
                kept.push(path);
            }
        }
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let is_one = missing
            .iter()
            .all(|(path, _)| absolute(path).starts_with(&kept[0]));
        if let [only_one] = &kept[..]
            && is_one
        {
            let mut one = Self::alone(only_one)?;
            one.tree.devices = devices;
            for (path, error) in missing {
                let below = absolute(&path);
                let below = below.strip_prefix(only_one).unwrap_or(&below).to_owned();
                one.tree.missing.push(MissingSource {
                    path: tree_path(&below)?,
                    error,
                });
            }
            return Ok(one);
        }
        let mut only: HashMap<TreePath, BTreeSet<Name>> = HashMap::new();
        for path in &kept {
            let mut parent = TreePath::root();
            for name in names(path)? {
                let below = parent.join(&name);
                only.entry(parent).or_default().insert(name);
                parent = below;
            }
        }
        let mut sources = Self::below(open_root(Path::new("/"))?, only, kept)?;
        sources.tree.devices = devices;
        for (path, error) in missing {
            sources.tree.missing.push(MissingSource {
                path: tree_path(&absolute(&path))?,
                error,
            });
        }
        Ok(sources)
    }

    /// The sources `paths` in the tree below `root`.
    fn below(
        root: Arc<WalkedDirectory>,
        only: HashMap<TreePath, BTreeSet<Name>>,
        paths: Vec<PathBuf>,
    ) -> Result<Self, SourceError> {
        let devices = paths.iter().filter_map(|path| device(path)).collect();
        let tree = SourceTree {
            root,
            only,
            devices,
            missing: Vec::new(),
        };
        Ok(Self { tree, paths })
    }
}

/// Returns the device that holds a source.
fn device(path: &Path) -> Option<u64> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    Some(DirHandle::open(folder).ok()?.stat().ok()?.device)
}

/// Returns the names on the way to a path.
fn names(path: &Path) -> Result<Vec<Name>, SourceError> {
    let normal = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(Name::new(name.as_encoded_bytes())),
        _ => None,
    });
    let names: Option<Vec<Name>> = normal.collect();
    names.ok_or_else(|| SourceError::Unfit(path.to_owned()))
}

fn tree_path(path: &Path) -> Result<TreePath, SourceError> {
    let names = names(path)?;
    Ok(names
        .iter()
        .fold(TreePath::root(), |path, name| path.join(name)))
}

fn open_root(path: &Path) -> Result<Arc<WalkedDirectory>, SourceError> {
    let handle = DirHandle::open(path).map_err(|source| SourceError::Open {
        path: path.to_owned(),
        source,
    })?;
    let real = path.canonicalize();
    let absolute = real.unwrap_or_else(|_| path.to_owned());
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
