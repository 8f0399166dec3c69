//! A store that keeps nothing: for rehearsals.

use super::{Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store};

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
        _: Selection<'_>,
        _: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Missing, Operation::Get, name))
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
