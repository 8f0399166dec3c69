//! A store in memory, for tests and examples. It ends with the process.

use super::selection::{cut, length_of};
use super::{
    Calls, Created, Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection,
    Store, check_prefix,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

/// Keeps objects in memory and counts the calls.
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// Every object; ordered by name as a listing is. Never held during a call to others.
    objects: Mutex<BTreeMap<ObjectName, Arc<Vec<u8>>>>,
    calls: Calls,
}

impl MemoryStore {
    /// Returns the counts of calls.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Arc<Vec<u8>>>> {
        self.objects
            .lock()
            .expect("nothing panics while it is held")
    }

    fn object(&self, name: &ObjectName) -> Result<Arc<Vec<u8>>, Error> {
        self.calls.count(Operation::Get);
        self.objects()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::Missing, Operation::Get, name))
    }

    fn create_once(&self, name: &ObjectName, body: &Rope) -> Created {
        self.calls.count(Operation::Put);
        match self.objects().entry(name.clone()) {
            Entry::Occupied(_) => Created::WasThere,
            Entry::Vacant(place) => {
                place.insert(Arc::new(body.concat()));
                Created::New
            }
        }
    }
}

impl Store for MemoryStore {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.calls.count(Operation::Put);
        self.objects().insert(name.clone(), Arc::new(body.concat()));
        Ok(())
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let object = self.object(name)?;
        match wanted {
            Selection::Whole { limit } if object.len() as u64 > limit => {
                return Err(Error::new(ErrorKind::TooLarge, Operation::Get, name));
            }
            Selection::Whole { .. } => drop(take(object.to_vec())),
            Selection::Pieces { offset, lengths } => {
                let length = length_of(name, offset, lengths)?;
                let bytes = usize::try_from(offset)
                    .ok()
                    .and_then(|start| object.get(start..start.checked_add(length)?))
                    .ok_or_else(|| Error::new(ErrorKind::Short, Operation::Get, name))?;
                cut(bytes.to_vec(), lengths, take);
            }
        }
        Ok(())
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.calls.count(Operation::List);
        check_prefix(prefix)?;
        let mut after: Option<ObjectName> = None;
        loop {
            let info = {
                let objects = self.objects();
                let from = after.as_ref().map_or(Bound::Included(prefix), |name| {
                    Bound::Excluded(name.as_str())
                });
                let next = objects.range::<str, _>((from, Bound::Unbounded)).next();
                next.map(|(name, body)| ObjectInfo {
                    name: name.clone(),
                    length: body.len() as u64,
                })
            };
            let Some(info) = info.filter(|info| info.name.as_str().starts_with(prefix)) else {
                return Ok(());
            };
            after = Some(info.name.clone());
            if !found(info) {
                return Ok(());
            }
        }
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.calls.count(Operation::Delete);
        self.objects().remove(name);
        Ok(())
    }

    fn location(&self) -> String {
        "memory:".to_owned()
    }

    fn powers(&self) -> Powers<'_> {
        Powers {
            create_once: Some(Box::new(|name, body| Ok(self.create_once(name, body)))),
            ..Powers::none()
        }
    }
}
