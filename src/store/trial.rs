//! A store in which nothing is changed: changes are kept in memory, and read back from there.

use super::memory::MemoryStore;
use super::{
    Error, ErrorKind, HeldUntil, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store,
};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Wraps a store that must not change. Holds the objects that are stored through it in memory, and
/// the names of those that are removed.
pub struct Trial<S> {
    inner: S,
    stored: MemoryStore,
    /// Guards which objects were removed and not stored again. Never held during a call to others.
    removed: Mutex<BTreeSet<ObjectName>>,
}

impl<S: Store> Trial<S> {
    /// Starts without any change.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            stored: MemoryStore::default(),
            removed: Mutex::default(),
        }
    }

    fn removed(&self) -> MutexGuard<'_, BTreeSet<ObjectName>> {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> Store for Trial<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.removed().remove(name);
        self.stored.put(name, body)
    }

    /// Reads what was stored here, else what `inner` gives, unless it was removed here.
    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        match self.stored.read(name, wanted, take) {
            Err(error) if error.kind() == ErrorKind::Missing => {}
            here => return here,
        }
        if self.removed().contains(name) {
            return Err(Error::new(ErrorKind::Missing, Operation::Get, name));
        }
        self.inner.read(name, wanted, take)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        let mut here = Vec::new();
        self.stored.list(prefix, &mut |object| {
            here.push(object);
            true
        })?;
        let mut here = here.into_iter().peekable();
        let mut goes_on = true;
        self.inner.list(prefix, &mut |object| {
            while goes_on && let Some(own) = here.next_if(|own| own.name < object.name) {
                goes_on = found(own);
            }
            if !goes_on {
                return false;
            }
            goes_on = match here.next_if(|own| own.name == object.name) {
                Some(own) => found(own),
                None => self.removed().contains(&object.name) || found(object),
            };
            goes_on
        })?;
        while goes_on && let Some(own) = here.next() {
            goes_on = found(own);
        }
        Ok(())
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.removed().insert(name.clone());
        self.stored.delete(name)
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    /// Locks count as they are, unless the object was removed here; no other power can be had
    /// without a change of the store.
    fn powers(&self) -> Powers<'_> {
        let held_until = self.inner.powers().held_until;
        Powers {
            create_once: None,
            put_unless_there: None,
            held_until: held_until.map(|held_until| -> HeldUntil<'_> {
                Box::new(move |name| {
                    let is_removed = self.removed().contains(name);
                    if is_removed {
                        Ok(None)
                    } else {
                        held_until(name)
                    }
                })
            }),
            join: None,
            lean_on: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryStore, ObjectName, Store, Trial};
    use crate::store::{ErrorKind, StoreExt};
    use std::sync::Arc;

    #[test]
    fn changes_are_seen_through_it_and_nowhere_else() {
        let name = |text: &str| ObjectName::new(text).expect("legal");
        let inner = Arc::new(MemoryStore::default());
        for (object, body) in [("a/1", "one"), ("a/3", "three"), ("a/5", "five")] {
            inner
                .put(&name(object), &vec![body.into()])
                .expect("stored");
        }
        let trial = Trial::new(inner.clone());
        let list = |store: &dyn Store| {
            let mut found = Vec::new();
            let mut each = |object: crate::store::ObjectInfo| {
                found.push((object.name.to_string(), object.length));
                true
            };
            store.list("a/", &mut each).expect("listed");
            found
        };
        let before = list(inner.as_ref());
        assert_eq!(list(&trial), before);
        trial
            .put(&name("a/2"), &vec!["two".into()])
            .expect("stored");
        trial
            .put(&name("a/3"), &vec!["drei!!".into()])
            .expect("stored");
        trial.put(&name("a/9"), &vec![Vec::new()]).expect("stored");
        trial.delete(&name("a/1")).expect("removed");
        trial.delete(&name("a/2")).expect("removed");
        trial
            .put(&name("a/4"), &vec!["four".into()])
            .expect("stored");
        let names =
            |list: Vec<(String, u64)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(list(&trial)), ["a/3", "a/4", "a/5", "a/9"]);
        assert_eq!(list(&trial)[0].1, 6);
        assert_eq!(trial.get(&name("a/3"), 10).expect("there"), b"drei!!");
        assert_eq!(trial.get_range(&name("a/5"), 1, 2).expect("there"), b"iv");
        assert_eq!(
            trial.get(&name("a/1"), 10).expect_err("removed").kind(),
            ErrorKind::Missing
        );
        assert_eq!(
            trial.get(&name("a/3"), 1).expect_err("too long").kind(),
            ErrorKind::TooLarge
        );
        trial
            .put(&name("a/1"), &vec!["again".into()])
            .expect("stored");
        assert_eq!(trial.get(&name("a/1"), 10).expect("there"), b"again");
        let mut first = Vec::new();
        let mut one = |object: crate::store::ObjectInfo| {
            first.push(object.name);
            first.len() < 2
        };
        trial.list("a/", &mut one).expect("listed");
        assert_eq!(first.len(), 2);
        assert_eq!(list(inner.as_ref()), before, "nothing was changed");
    }
}
