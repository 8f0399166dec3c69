//! A store that keeps nothing: for rehearsals.

use super::{Error, Kind, ObjectInfo, ObjectName, Powers, Rope, Store, Verb, Wanted};

/// Takes every object and keeps none: it always looks empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Store for Discard {
    fn put(&self, _: &ObjectName, _: &Rope) -> Result<(), Error> {
        Ok(())
    }

    fn read(
        &self,
        name: &ObjectName,
        _: Wanted<'_>,
        _: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
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

    fn powers(&self) -> Powers<'_> {
        Powers::none()
    }
}
