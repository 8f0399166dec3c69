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
    /// The sources whose file systems did not answer.
    pub(super) unanswered: Vec<(PathBuf, NoAnswer)>,
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
    /// them. Of several, some may be missing, or on a file system that does not answer, but not all.
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
        let tree = SourceTree {
            devices: root.device.into_iter().collect(),
            root,
            only,
            missing: Vec::new(),
        };
        Self {
            tree,
            paths,
            unanswered: Vec::new(),
        }
    }

    fn several(paths: &[PathBuf], caller: &PatientCaller) -> Result<Self, SourceError> {
        let Found {
            resolved,
            devices,
            missing,
            mut unanswered,
        } = Found::of(paths, caller)?;
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
            && missing.iter().all(|(path, _)| path.starts_with(only_one))
        {
            let mut one = Self::open(std::slice::from_ref(only_one), caller)?;
            one.tree.devices.extend(devices);
            one.tree.missing = missing_below(missing, only_one)?;
            return Ok(one);
        }
        // What did not answer is still listed: it is not gone.
        for (path, _) in &mut unanswered {
            *path = absolute(path);
            kept.push(path.clone());
        }
        let root = open_root(Path::new("/"))?;
        let mut sources = Self::of(root, ways_to(&kept)?, kept);
        sources.unanswered = unanswered;
        sources.tree.devices = devices;
        sources.tree.missing = missing_below(missing, Path::new("/"))?;
        Ok(sources)
    }
}

/// Several sources, after a look at each.
struct Found {
    /// Those that are there, sorted: absolute paths without symbolic links.
    resolved: Vec<PathBuf>,
    /// The devices that those lie on, also below another one: what the user named is not left out.
    devices: HashSet<u64>,
    /// The absolute paths of those that are not there.
    missing: Vec<(PathBuf, io::Error)>,
    unanswered: Vec<(PathBuf, NoAnswer)>,
}

impl Found {
    /// Looks at each source. Fails where none is there.
    fn of(paths: &[PathBuf], caller: &PatientCaller) -> Result<Self, SourceError> {
        let mut found = Self {
            resolved: Vec::new(),
            devices: HashSet::new(),
            missing: Vec::new(),
            unanswered: Vec::new(),
        };
        for path in paths {
            let asked = path.clone();
            let look = move || {
                let path = resolve(&asked)?;
                let device = device(&path);
                Ok((path, device))
            };
            match answered(path, caller.call(look)) {
                Ok((path, device)) => {
                    found.resolved.push(path);
                    found.devices.extend(device);
                }
                Err(SourceError::NoAnswer { path, source }) => {
                    found.unanswered.push((path, source));
                }
                Err(SourceError::Open { path, source }) => {
                    found.missing.push((absolute(&path), source));
                }
                Err(error) => return Err(error),
            }
        }
        if found.resolved.is_empty() {
            if let Some((path, source)) = found.unanswered.pop() {
                return Err(SourceError::NoAnswer { path, source });
            }
            if let Some((path, source)) = found.missing.pop() {
                return Err(SourceError::Open { path, source });
            }
        }
        found.resolved.sort();
        Ok(found)
    }
}

/// Returns sources that are not there, with their paths in the tree below `root`.
fn missing_below(
    missing: Vec<(PathBuf, io::Error)>,
    root: &Path,
) -> Result<Vec<MissingSource>, SourceError> {
    let below = missing.into_iter().map(|(path, error)| {
        let names = names(path.strip_prefix(root).unwrap_or(&path))?;
        let path = names
            .iter()
            .fold(TreePath::root(), |path, name| path.join(name));
        Ok(MissingSource { path, error })
    });
    below.collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns the device that a source lies on.
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
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
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
