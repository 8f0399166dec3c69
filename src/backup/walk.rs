//! Lists a tree, directory by directory, in the order of the index: the names of a directory sorted
//! by their bytes, then each of its subdirectories.
//!
//! Listing is cheap and runs ahead. Reading metadata and small files takes the time, so several
//! readers work on the steps that come out of here.

use super::base::Base;
use super::compare::Previous;
use super::earlier_names::EarlierNames;
use super::handover::{StepSender, WalkEnded};
use super::left_out::{BorderGuard, Borders, LeftOut};
use super::source_calls::{SourceCaller, SourceCalls, is_told};
use super::step::{DirectoryAccess, WalkStep, WalkedDirectory, WalkedName};
use super::unread::Unread;
use crate::format::tar::{DumpDir, DumpDirCode};
use crate::model::{CACHE_SIGNATURE, Cancel, Excludes, Kind, Name, Progress, TreePath, Trouble};
use crate::platform::{DirHandle, ListedName, Sort, Stat};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

/// Names in a step: enough that handing it over costs little beside reading it, and few enough that
/// the small files read ahead take little memory.
const NAMES_PER_STEP: usize = 64;

/// The rules of a walk.
pub(super) struct WalkOptions<'run> {
    pub(super) excludes: Arc<Excludes>,
    /// The directories that are kept without their content.
    pub(super) borders: Borders<'run>,
    /// Takes the directories that were kept so.
    pub(super) left_out: &'run Mutex<Vec<LeftOut>>,
    /// Directories in which only these names are walked: those that lead to several sources, or to
    /// a source that is a file.
    pub(super) only: HashMap<TreePath, BTreeSet<Name>>,
    /// The point in time that the level is compared with.
    pub(super) base: Option<&'run Base>,
    /// Makes the calls to the file systems.
    pub(super) source: SourceCaller,
    pub(super) progress: &'run dyn Progress,
    pub(super) cancel: &'run Cancel,
}

/// A walk under way.
struct TreeWalk<'run> {
    options: &'run WalkOptions<'run>,
    steps: &'run StepSender,
    guard: BorderGuard<'run>,
    /// Directories that are still to be walked, the next one last. Memory holds the siblings along
    /// one path, not all directories.
    waiting: Vec<WaitingDirectory>,
}

enum WaitingDirectory {
    /// The root.
    Open(Arc<WalkedDirectory>),
    Named {
        parent: Arc<WalkedDirectory>,
        name: Name,
        previous: Option<Box<Previous>>,
    },
}

/// Walks the tree below `root` and sends its steps.
///
/// # Errors
///
/// [`WalkEnded`] when the run is cancelled or the archive takes no more steps.
pub(super) fn walk(
    root: Arc<WalkedDirectory>,
    options: &WalkOptions<'_>,
    steps: &StepSender,
) -> Result<(), WalkEnded> {
    let mut walk = TreeWalk {
        options,
        steps,
        guard: BorderGuard::new(&options.borders, options.left_out),
        waiting: vec![WaitingDirectory::Open(root)],
    };
    while let Some(next) = walk.waiting.pop() {
        if options.cancel.is_requested() {
            return Err(WalkEnded);
        }
        let directory = match next {
            WaitingDirectory::Open(directory) => Some(directory),
            WaitingDirectory::Named {
                parent,
                name,
                previous,
            } => walk
                .open(&parent, name, previous.map(|previous| *previous))
                .map(Arc::new),
        };
        if let Some(directory) = directory {
            let before = walk.waiting.len();
            walk.send(&directory)?;
            walk.waiting[before..].reverse();
        }
    }
    Ok(())
}

impl TreeWalk<'_> {
    /// Sends the steps of a directory, and puts its subdirectories on the list.
    fn send(&mut self, directory: &Arc<WalkedDirectory>) -> Result<(), WalkEnded> {
        let names = self.list(directory);
        let is_listed = names.is_some();
        let mut all_names = names.as_deref().map(dump_dir);
        let base = self.options.base.zip(directory.previous.as_ref());
        let mut earlier = base.map(|(base, previous)| EarlierNames::of(base, previous));
        let mut names = names.unwrap_or_default().into_iter();
        let mut is_first = true;
        loop {
            let mut step = Vec::with_capacity(names.len().min(NAMES_PER_STEP));
            for listed in names.by_ref().take(NAMES_PER_STEP) {
                let previous = earlier
                    .as_mut()
                    .and_then(|earlier| earlier.find(listed.name.as_bytes()));
                self.enter_later(directory, &listed, previous.as_ref());
                step.push(WalkedName { listed, previous });
            }
            if step.is_empty() && !is_first {
                break;
            }
            self.steps.send(WalkStep {
                directory: Arc::clone(directory),
                is_first,
                all_names: all_names.take(),
                names: step,
                has_lost: false,
            })?;
            is_first = false;
        }
        // Where the names are unknown, nothing is known to be gone.
        if let Some(earlier) = earlier.filter(|_| is_listed)
            && earlier.finish()
        {
            self.steps.send(WalkStep {
                directory: Arc::clone(directory),
                is_first,
                all_names: None,
                names: Vec::new(),
                has_lost: true,
            })?;
        }
        Ok(())
    }

    /// Puts a name on the list if it is a directory.
    fn enter_later(
        &mut self,
        parent: &Arc<WalkedDirectory>,
        listed: &ListedName,
        previous: Option<&Previous>,
    ) {
        if listed.sort == Some(Sort::Kept(Kind::Directory)) {
            let previous = previous.filter(|previous| previous.is_directory());
            self.waiting.push(WaitingDirectory::Named {
                parent: Arc::clone(parent),
                name: listed.name.clone(),
                previous: previous.cloned().map(Box::new),
            });
        }
    }

    /// Returns the names of a directory that are backed up, sorted, each with its type. `None` if
    /// the directory cannot be listed.
    fn list(&self, directory: &Arc<WalkedDirectory>) -> Option<Vec<ListedName>> {
        directory.access.handle()?;
        let only = self.options.only.get(&directory.path);
        let only: Option<Vec<_>> = only.map(|names| names.iter().map(without_type).collect());
        let excludes = Arc::clone(&self.options.excludes);
        let calls = Arc::clone(self.options.source.calls());
        let of = Arc::clone(directory);
        let listed = self.ask(directory, None, move |handle| {
            let mut names = match only {
                Some(names) => names,
                None => handle.list()?,
            };
            leave_out(&excludes, &calls, &of, handle, &mut names);
            Ok(names)
        });
        let mut names: Vec<ListedName> = match listed {
            Ok(names) => names,
            Err(error) => {
                self.trouble(&directory.path, Unread::List(error));
                return None;
            }
        };
        for listed in &mut names {
            if listed.sort.is_none() {
                // Some file systems do not tell the type with the name. If the file has vanished,
                // the reader finds that out.
                let name = listed.name.clone();
                let stat = self.ask(directory, Some(&listed.name), move |handle| {
                    handle.stat_child(&name)
                });
                listed.sort = stat.ok().map(|stat| stat.sort);
            }
        }
        names.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        // A name may come twice if it is renamed during the listing.
        names.dedup_by(|left, right| left.name == right.name);
        Some(names)
    }

    /// Opens a subdirectory. If that fails, the trouble is reported here: its entry is in the index
    /// already.
    fn open(
        &mut self,
        parent: &Arc<WalkedDirectory>,
        name: Name,
        previous: Option<Previous>,
    ) -> Option<WalkedDirectory> {
        let path = parent.path.join(&name);
        let on_disk = join_on_disk(parent, &name);
        parent.access.handle()?;
        let of_name = name.clone();
        let opened = self.ask(parent, Some(&name), move |handle| {
            let child = handle.open_child(&of_name)?;
            let stat = child.stat().ok();
            Ok((child, stat))
        });
        let (access, stat) = match opened {
            Ok((child, stat)) => {
                let enters = self.guard.enters(parent, &child, stat.as_ref(), &path);
                (enters.then_some(child), stat)
            }
            Err(error) => {
                self.trouble(&path, Unread::List(error));
                (None, None)
            }
        };
        let previous = match (&access, self.options.base) {
            (Some(_), Some(base)) => base.before(previous, stat.as_ref()),
            _ => previous,
        };
        let access = match access {
            Some(child) => DirectoryAccess::Open(child),
            None => DirectoryAccess::ByName {
                parent: Arc::clone(parent),
                name,
            },
        };
        let device = stat.map(|stat| stat.device).or(parent.device);
        Some(WalkedDirectory {
            path,
            on_disk,
            access,
            device,
            previous,
        })
    }

    /// Asks an open directory, about itself or about one name in it.
    fn ask<T: Send + 'static>(
        &self,
        directory: &Arc<WalkedDirectory>,
        name: Option<&Name>,
        question: impl FnOnce(&DirHandle) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = match name {
            Some(name) => directory.path.join(name),
            None => directory.path.clone(),
        };
        let asked = Arc::clone(directory);
        self.options.source.ask(&path, directory.device, move || {
            let handle = asked.access.handle().ok_or(io::ErrorKind::NotFound)?;
            question(handle)
        })
    }

    fn trouble(&self, path: &TreePath, error: Unread) {
        if self.options.cancel.is_requested() {
            // The run has not come so far; that is no trouble of the directory.
            return;
        }
        if let Unread::List(error) = &error
            && is_told(error)
        {
            return;
        }
        self.options
            .progress
            .trouble(Trouble::new(path.clone(), error));
    }
}

/// Takes the names out that the user does not want.
fn leave_out(
    excludes: &Excludes,
    calls: &SourceCalls,
    directory: &WalkedDirectory,
    handle: &DirHandle,
    names: &mut Vec<ListedName>,
) {
    if names.iter().any(|listed| is_tag(excludes, handle, listed)) {
        tracing::info!(directory = %directory.path, "left out, but for the file that says so");
        names.retain(|listed| excludes.is_tag(listed.name.as_bytes()));
        return;
    }
    if !excludes.has_no_patterns() {
        names.retain(|listed| {
            !excludes.matches(&directory.path.join(&listed.name), || {
                join_on_disk(directory, &listed.name)
            })
        });
    }
    if let Some(limit) = excludes.larger_than {
        names.retain(|listed| {
            let path = directory.path.join(&listed.name);
            let may_be_file = matches!(listed.sort, None | Some(Sort::Kept(Kind::File)))
                && calls.check(&path, directory.device).is_ok();
            let stat = may_be_file.then(|| handle.stat_child(&listed.name).ok());
            stat.flatten()
                .is_none_or(|stat| stat.sort != Sort::Kept(Kind::File) || stat.size <= limit)
        });
    }
}

/// Returns whether a file says that the content of its directory is to be left out.
fn is_tag(excludes: &Excludes, folder: &DirHandle, listed: &ListedName) -> bool {
    let name = listed.name.as_bytes();
    excludes.is_tag(name)
        && (excludes.if_present.iter().any(|tag| tag == name)
            || has_cache_signature(folder, listed))
}

fn has_cache_signature(folder: &DirHandle, listed: &ListedName) -> bool {
    let mut begin = [0; CACHE_SIGNATURE.len()];
    let is_file = |stat: Stat| stat.sort == Sort::Kept(Kind::File);
    folder.open_file(&listed.name).is_ok_and(|file| {
        file.stat().is_ok_and(is_file)
            && file.read_at(&mut begin, 0).is_ok()
            && begin == CACHE_SIGNATURE
    })
}

/// Returns the names for the member of the directory. Which files will have a member is not known
/// yet.
fn dump_dir(names: &[ListedName]) -> DumpDir {
    let mut all = DumpDir::new();
    for listed in names {
        match listed.sort {
            Some(Sort::Kept(Kind::Directory)) => {
                all.push(DumpDirCode::Directory, listed.name.as_bytes())
            }
            Some(Sort::Kept(_)) | None => all.push(DumpDirCode::Here, listed.name.as_bytes()),
            Some(Sort::Socket | Sort::Unknown) => {}
        }
    }
    all
}

fn without_type(name: &Name) -> ListedName {
    ListedName {
        name: name.clone(),
        sort: None,
    }
}

fn join_on_disk(directory: &WalkedDirectory, name: &Name) -> Vec<u8> {
    let mut path = directory.on_disk.clone();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}
