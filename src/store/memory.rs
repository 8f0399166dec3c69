//! A store in memory, for tests and examples. It ends with the process.

use super::wanted::{cut, length_of};
use super::{
    Calls, Created, Error, Kind, ObjectInfo, ObjectName, Powers, Rope, Store, Verb, Wanted,
    check_prefix,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

/// Keeps objects in memory and counts the calls.
#[derive(Debug, Default)]
pub struct Memory {
    /// Every object; ordered by name as a listing is. Never held during a call to others.
    objects: Mutex<BTreeMap<ObjectName, Arc<Vec<u8>>>>,
    calls: Calls,
}

impl Memory {
    /// How often it was called.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Arc<Vec<u8>>>> {
        self.objects
            .lock()
            .expect("nothing panics while it is held")
    }

    fn object(&self, name: &ObjectName) -> Result<Arc<Vec<u8>>, Error> {
        self.calls.count(Verb::Get);
        self.objects()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::new(Kind::Missing, Verb::Get, name))
    }

    fn create_once(&self, name: &ObjectName, body: &Rope) -> Created {
        self.calls.count(Verb::Put);
        match self.objects().entry(name.clone()) {
            Entry::Occupied(_) => Created::WasThere,
            Entry::Vacant(place) => {
                place.insert(Arc::new(body.concat()));
                Created::New
            }
        }
    }
}

impl Store for Memory {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.calls.count(Verb::Put);
        self.objects().insert(name.clone(), Arc::new(body.concat()));
        Ok(())
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Wanted<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let object = self.object(name)?;
        match wanted {
            Wanted::Whole { limit } if object.len() as u64 > limit => {
                return Err(Error::new(Kind::TooLarge, Verb::Get, name));
            }
            Wanted::Whole { .. } => drop(take(object.to_vec())),
            Wanted::Pieces { offset, lengths } => {
                let length = length_of(name, offset, lengths)?;
                let bytes = usize::try_from(offset)
                    .ok()
                    .and_then(|start| object.get(start..start.checked_add(length)?))
                    .ok_or_else(|| Error::new(Kind::Short, Verb::Get, name))?;
                cut(bytes.to_vec(), lengths, take);
            }
        }
        Ok(())
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.calls.count(Verb::List);
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
        self.calls.count(Verb::Delete);
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
