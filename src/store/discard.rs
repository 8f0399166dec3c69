//! A store that keeps nothing: for rehearsals.

use super::{Error, Kind, ObjectInfo, ObjectName, Rope, Store, Verb};

/// Takes every object and keeps none: it always looks empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Store for Discard {
    fn put(&self, _: &ObjectName, _: &Rope) -> Result<(), Error> {
        Ok(())
    }

    fn get(&self, name: &ObjectName, _: u64) -> Result<Vec<u8>, Error> {
        Err(Error::new(Kind::Missing, Verb::Get, name))
    }

    fn get_range(&self, name: &ObjectName, _: u64, _: usize) -> Result<Vec<u8>, Error> {
        Err(Error::new(Kind::Missing, Verb::Get, name))
    }

    fn list(&self, _: &str, _: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        Ok(())
    }

    fn delete(&self, _: &ObjectName) -> Result<(), Error> {
        Ok(())
    }

    fn location(&self) -> String {
        "nowhere".to_owned()
    }
}
