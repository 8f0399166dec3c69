//! The files that ranged reads keep open.

use crate::platform::durable::FileIdentity;
use crate::store::ObjectName;
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard};

/// How many files are kept open. A mount reads few segments at a time; a process may open 1024
/// files by default.
const CAPACITY: usize = 64;

/// Open files by object, the least recently used one given up first.
///
/// A file that another process removed or replaced stays open here, and on the disk, until its
/// object is read again or it is given up. It is not served: a caller shows the identity of the
/// file that has the name at that moment.
#[derive(Debug, Default)]
pub struct OpenFiles(Mutex<RecentFiles>);

#[derive(Debug, Default)]
struct RecentFiles {
    files: HashMap<ObjectName, OpenedFile>,
    /// Counts the uses.
    uses: u64,
}

#[derive(Debug)]
struct OpenedFile {
    file: Arc<File>,
    identity: FileIdentity,
    last_use: u64,
}

impl OpenFiles {
    /// Returns the open file of an object, if that file still has its name.
    pub fn find(&self, name: &ObjectName, identity: FileIdentity) -> Option<Arc<File>> {
        let recent = &mut *self.recent();
        recent.uses += 1;
        let opened = recent
            .files
            .get_mut(name)
            .filter(|opened| opened.identity == identity)?;
        opened.last_use = recent.uses;
        Some(Arc::clone(&opened.file))
    }

    /// Keeps a file in place of any of that object.
    pub fn keep(&self, name: &ObjectName, identity: FileIdentity, file: File) -> Arc<File> {
        let file = Arc::new(file);
        let recent = &mut *self.recent();
        recent.uses += 1;
        recent.files.insert(
            name.clone(),
            OpenedFile {
                file: Arc::clone(&file),
                identity,
                last_use: recent.uses,
            },
        );
        if recent.files.len() > CAPACITY {
            let oldest = recent
                .files
                .iter()
                .min_by_key(|(_, opened)| opened.last_use)
                .map(|(name, _)| name.clone());
            oldest.and_then(|name| recent.files.remove(&name));
        }
        file
    }

    /// Closes the file of an object as soon as no thread reads it.
    pub fn forget(&self, name: &ObjectName) {
        self.recent().files.remove(name);
    }

    fn recent(&self) -> MutexGuard<'_, RecentFiles> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, OpenFiles};
    use crate::platform::durable::FileIdentity;
    use crate::store::ObjectName;
    use std::fs::File;

    #[test]
    fn the_least_recently_used_file_is_given_up_and_a_replaced_one_is_not_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "a").expect("a file");
        let other = FileIdentity::of(&folder.path().metadata().expect("there"));
        let identity = FileIdentity::of(&path.metadata().expect("there"));
        let name = |number: usize| ObjectName::new(format!("{number}")).expect("legal");
        let files = OpenFiles::default();
        for number in 0..=CAPACITY {
            files.keep(&name(number), identity, File::open(&path).expect("there"));
            assert!(
                files.find(&name(0), identity).is_some(),
                "in use all the time"
            );
        }
        assert!(files.find(&name(1), identity).is_none(), "the oldest one");
        assert!(files.find(&name(2), identity).is_some());
        assert!(
            files.find(&name(2), other).is_none(),
            "another file has the name"
        );
    }
}
