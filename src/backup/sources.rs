//! Turns the paths that a user names into one tree to walk.

use super::source_calls::SourceCalls;
use super::step::{DirectoryAccess, WalkedDirectory};
use crate::model::{Advice, Cancel, Name, TreePath};
use crate::platform::calls::{CallKind, NOWHERE, during};
use crate::platform::{DirHandle, NoAnswer, PatientCaller};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The sources of a backup, opened.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) tree: SourceTree,
    /// The sources as absolute paths without symbolic links.
    pub(super) paths: Vec<PathBuf>,
    /// The sources whose file systems did not answer.
    pub(super) unanswered: Vec<(PathBuf, NoAnswer)>,
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
    /// Its file system did not answer.
    #[error("could not open {}", .path.display())]
    NoAnswer {
        /// The path as the user gave it.
        path: PathBuf,
        /// The call, and how long it lasted.
        source: NoAnswer,
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
            Self::NoAnswer { .. } => Some(
                "see whether its server runs (findmnt -T PATH names it), or unmount it: umount -f",
            ),
            Self::Unfit(_) => Some("back it up alone"),
        }
    }
}

impl Sources {
    /// Opens the sources. A single directory is the root of the tree. A single file is alone in its
    /// tree. Several sources keep their absolute paths below `/`, with the directories that lead to
    /// them. One of several whose file system does not answer is left out.
    pub(super) fn open(paths: &[PathBuf], caller: &PatientCaller) -> Result<Self, SourceError> {
        match paths {
            [] => Err(SourceError::None),
            [path] => {
                let path = path.clone();
                answered(&path.clone(), caller.call(move || Self::single(&path)))
            }
            several => Self::several(several, caller),
        }
    }

    fn single(path: &Path) -> Result<Self, SourceError> {
        if during(CallKind::Stat, NOWHERE, || path.is_dir()) {
            let root = open_root(path)?;
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            return Ok(Self::of(root, HashMap::new(), vec![path]));
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
        let root = open_root(parent)?;
        Ok(Self::of(root, only, vec![path]))
    }

    fn of(
        root: Arc<WalkedDirectory>,
        only: HashMap<TreePath, BTreeSet<Name>>,
        paths: Vec<PathBuf>,
    ) -> Self {
        Self {
            tree: SourceTree { root, only },
            paths,
            unanswered: Vec::new(),
        }
    }

    fn several(paths: &[PathBuf], caller: &PatientCaller) -> Result<Self, SourceError> {
        let (mut resolved, mut unanswered) = (Vec::new(), Vec::new());
        for path in paths {
            let asked = path.clone();
            match answered(path, caller.call(move || resolve(&asked))) {
                Ok(path) => resolved.push(path),
                Err(SourceError::NoAnswer { path, source }) => unanswered.push((path, source)),
                Err(error) => return Err(error),
            }
        }
        resolved.sort();
        // A source below another one is walked with that. Paths sort so that a directory comes
        // right before its content.
        let mut kept: Vec<PathBuf> = Vec::new();
        for path in resolved {
            if !kept.last().is_some_and(|above| path.starts_with(above)) {
                kept.push(path);
            }
        }
        if let [only_one] = &kept[..]
            && unanswered.is_empty()
        {
            return Self::open(std::slice::from_ref(only_one), caller);
        }
        if kept.is_empty()
            && let Some((path, source)) = unanswered.pop()
        {
            return Err(SourceError::NoAnswer { path, source });
        }
        // What did not answer is still listed: it is not gone.
        for (path, _) in &mut unanswered {
            *path = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
            kept.push(path.clone());
        }
        let root = open_root(Path::new("/"))?;
        Ok(Self {
            unanswered,
            ..Self::of(root, ways_to(&kept)?, kept)
        })
    }
}

/// Returns the names that lead from `/` to paths.
fn ways_to(paths: &[PathBuf]) -> Result<HashMap<TreePath, BTreeSet<Name>>, SourceError> {
    let mut only: HashMap<TreePath, BTreeSet<Name>> = HashMap::new();
    for path in paths {
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
    Ok(only)
}

impl SourceTree {
    /// Starts the calls to the file systems of the tree. `patience` bounds one call.
    pub(super) fn calls(&self, patience: Option<Duration>, cancel: &Cancel) -> SourceCalls {
        let root = self.root.access.handle();
        // Symbolic links on the way to the root are not in the table of mounts.
        let on_disk = root.and_then(|root| std::fs::read_link(root.path()).ok());
        let on_disk = on_disk.map_or_else(
            || self.root.on_disk.clone(),
            |path| path.as_os_str().as_encoded_bytes().to_vec(),
        );
        SourceCalls::new(patience, cancel, &on_disk)
    }
}

/// Returns the answer about a path, or the error that there is none.
fn answered<T>(
    path: &Path,
    answer: Result<Result<T, SourceError>, NoAnswer>,
) -> Result<T, SourceError> {
    answer.unwrap_or_else(|source| {
        Err(SourceError::NoAnswer {
            path: path.to_owned(),
            source,
        })
    })
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
        device: handle.stat().ok().map(|stat| stat.device),
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
    during(CallKind::Stat, NOWHERE, || path.symlink_metadata()).map_err(failed)?;
    if during(CallKind::Stat, NOWHERE, || path.is_dir()) {
        return during(CallKind::Stat, NOWHERE, || path.canonicalize()).map_err(failed);
    }
    let absolute = std::path::absolute(path).map_err(failed)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = during(CallKind::Stat, NOWHERE, || parent.canonicalize());
            Ok(parent.map_err(failed)?.join(name))
        }
        _ => Ok(absolute),
    }
}
