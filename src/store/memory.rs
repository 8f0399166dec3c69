//! A store in memory, for tests and examples. It ends with the process.

use super::{Calls, Created, Error, Kind, ObjectInfo, ObjectName, Rope, Store, Verb, legal_prefix};
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
}

impl Store for Memory {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.calls.count(Verb::Put);
        self.objects().insert(name.clone(), Arc::new(body.concat()));
        Ok(())
    }

    fn put_new(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        self.calls.count(Verb::Put);
        match self.objects().entry(name.clone()) {
            Entry::Occupied(_) => Ok(Created::WasThere),
            Entry::Vacant(place) => {
                place.insert(Arc::new(body.concat()));
                Ok(Created::New)
            }
        }
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        let object = self.object(name)?;
        if object.len() as u64 > limit {
            return Err(Error::new(Kind::TooLarge, Verb::Get, name));
        }
        Ok(object.to_vec())
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let object = self.object(name)?;
        let short = || Error::new(Kind::Short, Verb::Get, name);
        let start = usize::try_from(offset).map_err(|_| short())?;
        let end = start.checked_add(length).ok_or_else(short)?;
        object.get(start..end).map(<[u8]>::to_vec).ok_or_else(short)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.calls.count(Verb::List);
        if !legal_prefix(prefix) {
            return Err(Error::of_store(Kind::Failed, Verb::List)
                .because(format!("{prefix:?} is not a prefix of whole components")));
        }
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
}
