//! Turns the paths that a user names into one tree to walk.

use super::source_calls::SourceCalls;
use super::step::{DirectoryAccess, WalkedDirectory};
use crate::model::{Advice, Cancel, Name, TreePath};
use crate::platform::calls::{CallKind, NOWHERE, during};
use crate::platform::{DirHandle, NoAnswer, PatientCaller};
use std::collections::{BTreeSet, HashMap, HashSet};
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
    /// Sources whose file systems do not answer, while others do. They are walked like the others:
    /// what does not answer is not gone.
    pub(super) unanswered: Vec<SilentSource>,
}

/// A source whose file system does not answer.
#[derive(Debug)]
pub(super) struct SilentSource {
    pub(super) path: TreePath,
    pub(super) error: NoAnswer,
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
    /// them. Of several, some may be missing or not answer, but not all.
    pub(super) fn open(paths: &[PathBuf], caller: &PatientCaller) -> Result<Self, SourceError> {
        match paths {
            [] => Err(SourceError::None),
            [path] => Self::alone_by(path, caller),
            several => Self::several(several, caller),
        }
    }

    fn alone_by(path: &Path, caller: &PatientCaller) -> Result<Self, SourceError> {
        let asked = path.to_owned();
        answered(path, caller.call(move || Self::alone(&asked)))
    }

    fn alone(path: &Path) -> Result<Self, SourceError> {
        if is_dir(path) {
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

    fn several(paths: &[PathBuf], caller: &PatientCaller) -> Result<Self, SourceError> {
        let Looked {
            resolved,
            devices,
            missing,
            silent,
        } = Looked::at(paths, caller)?;
        let mut kept = without_those_below(resolved);
        if let [only_one] = &kept[..] {
            let is_below = |path: &PathBuf| absolute(path).starts_with(only_one);
            if missing.iter().all(|(path, _)| is_below(path))
                && silent.iter().all(|(path, _)| is_below(path))
            {
                let mut one = Self::alone_by(only_one, caller)?;
                one.tree.devices = devices;
                one.tree.missing = missing_below(missing, only_one)?;
                one.tree.unanswered = silent_below(silent, only_one)?;
                return Ok(one);
            }
        }
        for (path, _) in &silent {
            let path = absolute(path);
            // One below another source is listed there.
            if !kept.iter().any(|above| path.starts_with(above)) {
                kept.push(path);
            }
        }
        let root = Path::new("/");
        let tree = SourceTree {
            root: open_root(root)?,
            only: ways_to(&kept)?,
            devices,
            missing: missing_below(missing, root)?,
            unanswered: silent_below(silent, root)?,
        };
        Ok(Self { tree, paths: kept })
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
            unanswered: Vec::new(),
        };
        Ok(Self { tree, paths })
    }
}

/// What a look at several sources shows.
#[derive(Default)]
struct Looked {
    /// Absolute paths without symbolic links.
    resolved: Vec<PathBuf>,
    /// Devices that hold them: also those of sources below others, which the user named too.
    devices: HashSet<u64>,
    missing: Vec<(PathBuf, io::Error)>,
    silent: Vec<(PathBuf, NoAnswer)>,
}

impl Looked {
    /// Fails if none of them is there.
    fn at(paths: &[PathBuf], caller: &PatientCaller) -> Result<Self, SourceError> {
        let mut looked = Self::default();
        for path in paths {
            let asked = path.clone();
            let look = move || {
                let resolved = resolve(&asked)?;
                let device = device(&resolved);
                Ok((resolved, device))
            };
            match answered(path, caller.call(look)) {
                Ok((path, device)) => {
                    looked.resolved.push(path);
                    looked.devices.extend(device);
                }
                Err(SourceError::Open { path, source }) => looked.missing.push((path, source)),
                Err(SourceError::NoAnswer { path, source }) => looked.silent.push((path, source)),
                Err(other) => return Err(other),
            }
        }
        if !looked.resolved.is_empty() {
            return Ok(looked);
        }
        if let Some((path, source)) = looked.silent.pop() {
            return Err(SourceError::NoAnswer { path, source });
        }
        match looked.missing.pop() {
            Some((path, source)) => Err(SourceError::Open { path, source }),
            None => Ok(looked),
        }
    }
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

/// Returns paths in order, without those below another one: they are walked with that.
fn without_those_below(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    // Paths sort so that a directory comes right before its content.
    paths.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.last().is_some_and(|above| path.starts_with(above)) {
            kept.push(path);
        }
    }
    kept
}

/// Returns the names that lead from `/` to paths.
fn ways_to(paths: &[PathBuf]) -> Result<HashMap<TreePath, BTreeSet<Name>>, SourceError> {
    let mut only: HashMap<TreePath, BTreeSet<Name>> = HashMap::new();
    for path in paths {
        let mut parent = TreePath::root();
        for name in names(path)? {
            let below = parent.join(&name);
            only.entry(parent).or_default().insert(name);
            parent = below;
        }
    }
    Ok(only)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns where a path lies in the tree below `root`.
fn place_below(path: &Path, root: &Path) -> Result<TreePath, SourceError> {
    let path = absolute(path);
    tree_path(path.strip_prefix(root).unwrap_or(&path))
}

fn missing_below(
    missing: Vec<(PathBuf, io::Error)>,
    root: &Path,
) -> Result<Vec<MissingSource>, SourceError> {
    let below = missing.into_iter().map(|(path, error)| {
        let path = place_below(&path, root)?;
        Ok(MissingSource { path, error })
    });
    below.collect()
}

fn silent_below(
    silent: Vec<(PathBuf, NoAnswer)>,
    root: &Path,
) -> Result<Vec<SilentSource>, SourceError> {
    let below = silent.into_iter().map(|(path, error)| {
        let path = place_below(&path, root)?;
        Ok(SilentSource { path, error })
    });
    below.collect()
}

/// Returns the device that holds a source.
fn device(path: &Path) -> Option<u64> {
    let folder = if is_dir(path) { path } else { path.parent()? };
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

fn is_dir(path: &Path) -> bool {
    during(CallKind::Stat, NOWHERE, || path.is_dir())
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
    if is_dir(path) {
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
