//! A store below which names are hidden.

use super::book::{BackupPath, NameBook, UnknownBackup};
use crate::catalog::listing::HeldNames;
use crate::catalog::names;
use crate::model::LevelId;
use crate::store::{
    CreateOnce, Error, HeldUntil, Join, LeanOn, ObjectInfo, ObjectName, Powers, PutUnlessThere,
    Rope, Selection, Store,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Wraps an encrypted store whose objects have hidden names.
pub struct HiddenStore {
    inner: Arc<dyn Store>,
    book: Arc<NameBook>,
}

/// What a prefix of names says of the backup.
enum PrefixScope<'text> {
    /// Nothing: it is no prefix of objects of backups.
    Elsewhere,
    /// All backups, or those of a host, in a folder that begins like this.
    Several {
        folder: &'text str,
        host: Option<&'text str>,
    },
    /// One backup.
    One {
        folder: &'text str,
        path: BackupPath,
        /// What follows the slash behind the name.
        rest: &'text str,
    },
}

impl<'text> PrefixScope<'text> {
    fn read(prefix: &'text str) -> Self {
        let Some((folder, rest)) = split_folder(prefix) else {
            return Self::Elsewhere;
        };
        let mut parts = rest.splitn(3, '/');
        let part = |part: Option<&'text str>| part.filter(|part| !part.is_empty());
        match (part(parts.next()), part(parts.next()), parts.next()) {
            (Some(host), Some(name), Some(rest)) => Self::One {
                folder,
                path: BackupPath {
                    host: host.to_owned(),
                    name: name.to_owned(),
                },
                rest,
            },
            (host, ..) => Self::Several { folder, host },
        }
    }
}

/// Splits a name or prefix behind the folder that it begins with, if that is one of backups.
fn split_folder(text: &str) -> Option<(&str, &str)> {
    let (folder, rest) = text.split_at(text.find('/')? + 1);
    names::OF_BACKUPS
        .contains(&folder)
        .then_some((folder, rest))
}

impl HiddenStore {
    /// Hides the names of the objects that are stored through it.
    pub fn new(inner: Arc<dyn Store>, book: Arc<NameBook>) -> Self {
        Self { inner, book }
    }

    fn hidden(&self, name: &ObjectName) -> ObjectName {
        match PrefixScope::read(name.as_str()) {
            PrefixScope::One { folder, path, rest } => {
                let BackupPath { host, name: backup } = self.book.hide(&path);
                ObjectName::new(format!("{folder}{host}/{backup}/{rest}"))
                    .unwrap_or_else(|| name.clone())
            }
            PrefixScope::Elsewhere | PrefixScope::Several { .. } => name.clone(),
        }
    }

    fn hidden_prefix(&self, prefix: &str) -> String {
        match PrefixScope::read(prefix) {
            PrefixScope::One { folder, path, rest } => {
                let BackupPath { host, name } = self.book.hide(&path);
                format!("{folder}{host}/{name}/{rest}")
            }
            PrefixScope::Several {
                folder,
                host: Some(host),
            } => format!("{folder}{}/", self.book.hide_host(host)),
            PrefixScope::Elsewhere | PrefixScope::Several { .. } => prefix.to_owned(),
        }
    }

    /// Lists the objects of one backup below a prefix that leads into it.
    fn list_one(
        &self,
        prefix: &str,
        found: &mut dyn FnMut(ObjectInfo) -> bool,
    ) -> Result<(), Error> {
        let hidden = self.hidden_prefix(prefix);
        self.inner.list(&hidden, &mut |object| {
            found(renamed(object, &hidden, prefix))
        })
    }

    /// Lists the objects of several backups in the order of the shown names.
    ///
    /// Memory holds the objects of all of them, which are few but for data. That is listed twice:
    /// to find the backups, and then each of them.
    fn list_several(
        &self,
        folder: &str,
        prefix: &str,
        found: &mut dyn FnMut(ObjectInfo) -> bool,
    ) -> Result<(), Error> {
        let mut strangers = Vec::new();
        let mut backups: BTreeMap<BackupPath, Vec<ObjectInfo>> = BTreeMap::new();
        let mut held = HeldNames::default();
        let hidden_prefix = self.hidden_prefix(prefix);
        self.inner.list(&hidden_prefix, &mut |object| {
            let is_held = match PrefixScope::read(object.name.as_str()) {
                PrefixScope::One { path, .. } => {
                    let is_new = !backups.contains_key(&path);
                    let objects = backups.entry(path).or_default();
                    if folder != names::DATA {
                        objects.push(object);
                    }
                    is_new || folder != names::DATA
                }
                PrefixScope::Elsewhere | PrefixScope::Several { .. } => {
                    strangers.push(object);
                    true
                }
            };
            !is_held || held.has_room(backups.len())
        })?;
        held.check()?;
        self.find_out(folder, &backups)?;
        let mut goes_on = strangers.into_iter().all(&mut *found);
        let shown: BTreeMap<BackupPath, Vec<ObjectInfo>> = backups
            .into_iter()
            .map(|(hidden, objects)| (self.book.shown(&hidden), objects))
            .collect();
        for (BackupPath { host, name }, objects) in shown {
            if !goes_on {
                break;
            }
            let own_prefix = format!("{folder}{host}/{name}/");
            if folder == names::DATA {
                self.list_one(&own_prefix, &mut |object| {
                    goes_on = found(object);
                    goes_on
                })?;
            } else {
                let hidden = self.hidden_prefix(&own_prefix);
                let mut objects = objects.into_iter();
                goes_on = objects.all(|object| found(renamed(object, &hidden, &own_prefix)));
            }
        }
        Ok(())
    }

    /// Finds out the names of the backups that the book does not know. `backups` is what a listing
    /// of `folder` has shown.
    fn find_out(
        &self,
        folder: &str,
        backups: &BTreeMap<BackupPath, Vec<ObjectInfo>>,
    ) -> Result<(), Error> {
        let mut unknown = Vec::new();
        for (hidden, objects) in backups {
            if self.book.knows(hidden) {
                continue;
            }
            let prefix = format!("{}{}/{}/", names::MANIFESTS, hidden.host, hidden.name);
            let mut levels: Vec<LevelId> = Vec::new();
            let mut note = |object: &ObjectInfo| {
                let level = object.name.as_str().strip_prefix(prefix.as_str());
                levels.extend(level.and_then(|level| level.parse().ok()));
            };
            if folder == names::MANIFESTS {
                objects.iter().for_each(note);
            } else {
                let mut held = HeldNames::default();
                self.inner.list(&prefix, &mut |object| {
                    note(&object);
                    held.has_room(1)
                })?;
                held.check()?;
            }
            levels.reverse();
            if !levels.is_empty() {
                unknown.push(UnknownBackup {
                    hidden: hidden.clone(),
                    levels,
                });
            }
        }
        self.book.find_out(self.inner.as_ref(), &unknown);
        Ok(())
    }

    /// Lists everything, with the objects of backups under their shown names.
    fn list_all(&self, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        let (mut others, mut held) = (Vec::new(), HeldNames::default());
        self.inner.list("", &mut |object| {
            if split_folder(object.name.as_str()).is_some() {
                return true;
            }
            others.push(object);
            held.has_room(0)
        })?;
        held.check()?;
        let mut others = others.into_iter().peekable();
        let mut goes_on = true;
        for folder in names::OF_BACKUPS {
            while goes_on
                && let Some(object) = others.next_if(|object| object.name.as_str() < *folder)
            {
                goes_on = found(object);
            }
            if goes_on {
                self.list_several(folder, folder, &mut |object| {
                    goes_on = found(object);
                    goes_on
                })?;
            }
        }
        while goes_on && let Some(object) = others.next() {
            goes_on = found(object);
        }
        Ok(())
    }
}

/// Returns an object with another prefix of its name.
fn renamed(object: ObjectInfo, from: &str, to: &str) -> ObjectInfo {
    let rest = object.name.as_str().strip_prefix(from);
    let name = rest.and_then(|rest| ObjectName::new(format!("{to}{rest}")));
    ObjectInfo {
        name: name.unwrap_or(object.name),
        length: object.length,
    }
}

impl Store for HiddenStore {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.inner.put(&self.hidden(name), body)
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        self.inner.read(&self.hidden(name), wanted, take)
    }

    /// Lists in the order of the shown names.
    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        if prefix.is_empty() {
            return self.list_all(found);
        }
        match PrefixScope::read(prefix) {
            PrefixScope::Elsewhere => self.inner.list(prefix, found),
            PrefixScope::Several { folder, .. } => self.list_several(folder, prefix, found),
            PrefixScope::One { .. } => self.list_one(prefix, found),
        }
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.inner.delete(&self.hidden(name))
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn powers(&self) -> Powers<'_> {
        let Powers {
            create_once,
            put_unless_there,
            held_until,
            join,
            lean_on,
        } = self.inner.powers();
        Powers {
            create_once: create_once.map(|create_once| -> CreateOnce<'_> {
                Box::new(move |name, body| create_once(&self.hidden(name), body))
            }),
            put_unless_there: put_unless_there.map(|put| -> PutUnlessThere<'_> {
                Box::new(move |name, body| put(&self.hidden(name), body))
            }),
            held_until: held_until.map(|held_until| -> HeldUntil<'_> {
                Box::new(move |name| held_until(&self.hidden(name)))
            }),
            join: join.map(|join| -> Join<'_> {
                Box::new(move |name, prefix, count| {
                    join(&self.hidden(name), &self.hidden_prefix(prefix), count)
                })
            }),
            lean_on: lean_on
                .map(|lean_on| -> LeanOn<'_> { Box::new(move |name| lean_on(&self.hidden(name))) }),
        }
    }
}
