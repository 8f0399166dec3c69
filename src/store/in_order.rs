//! A wrapper that believes no listing.

use super::error::about;
use super::{Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store};

/// A store in front of another whose listings are checked: names below the prefix only, and each
/// after the one before, as [`Store::list`] promises.
///
/// Every kind of store in a network is opened through it. A server that lists out of order would
/// otherwise make a caller pass names over without a word.
pub struct InOrder<S>(S);

impl<S: Store> InOrder<S> {
    /// Checks the listings of a store.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }
}

/// A name that does not belong where a listing shows it.
#[derive(Debug, thiserror::Error)]
enum WrongName {
    #[error("the server lists {0}, which is not below {1}")]
    Elsewhere(ObjectName, String),
    #[error("the server lists {0} twice")]
    Twice(ObjectName),
    #[error("the server does not list in order: {0} comes after {1}")]
    OutOfOrder(ObjectName, ObjectName),
}

impl<S: Store> Store for InOrder<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.0.put(name, body)
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        self.0.read(name, wanted, take)
    }

    /// # Errors
    ///
    /// [`ErrorKind::Failed`] for a name that does not belong where it is listed. The names before
    /// it have been shown then.
    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        let mut last: Option<ObjectName> = None;
        let mut wrong = None;
        self.0.list(prefix, &mut |object| {
            let name = object.name.clone();
            wrong = match &last {
                _ if !name.as_str().starts_with(prefix) => {
                    Some(WrongName::Elsewhere(name, prefix.to_owned()))
                }
                Some(last) if *last == name => Some(WrongName::Twice(name)),
                Some(last) if *last > name => Some(WrongName::OutOfOrder(name, last.clone())),
                _ => {
                    last = Some(name);
                    return found(object);
                }
            };
            false
        })?;
        wrong.map_or(Ok(()), |wrong| {
            Err(about(ErrorKind::Failed, Operation::List, None).because(wrong))
        })
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.0.delete(name)
    }

    fn location(&self) -> String {
        self.0.location()
    }

    fn powers(&self) -> Powers<'_> {
        self.0.powers()
    }
}

#[cfg(test)]
mod tests {
    use super::InOrder;
    use crate::store::{
        Discard, Error, ErrorKind, ObjectInfo, ObjectName, Powers, Rope, Selection, Store,
    };
    use std::error::Error as _;

    /// Lists these names, whatever the prefix.
    struct Says(&'static [&'static str]);

    impl Store for Says {
        fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
            Discard.put(name, body)
        }

        fn read(
            &self,
            name: &ObjectName,
            wanted: Selection<'_>,
            take: &mut dyn FnMut(Vec<u8>) -> bool,
        ) -> Result<(), Error> {
            Discard.read(name, wanted, take)
        }

        fn list(&self, _: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
            for name in self.0 {
                let name = ObjectName::new(*name).expect("legal");
                if !found(ObjectInfo { name, length: 1 }) {
                    break;
                }
            }
            Ok(())
        }

        fn delete(&self, name: &ObjectName) -> Result<(), Error> {
            Discard.delete(name)
        }

        fn location(&self) -> String {
            Discard.location()
        }

        fn powers(&self) -> Powers<'_> {
            Powers::none()
        }
    }

    #[test]
    fn a_listing_that_lies_is_found_out_and_named() {
        for (names, lie) in [
            (
                &["d/a", "d/c", "d/b"][..],
                "the server does not list in order: d/b comes after d/c",
            ),
            (&["d/a", "d/a"], "the server lists d/a twice"),
            (
                &["d/a", "e/b"],
                "the server lists e/b, which is not below d/",
            ),
        ] {
            let mut shown = 0;
            let error = InOrder::new(Says(names))
                .list("d/", &mut |_| {
                    shown += 1;
                    true
                })
                .expect_err(lie);
            assert_eq!(error.kind(), ErrorKind::Failed);
            assert_eq!(error.source().expect("why").to_string(), lie);
            assert_eq!(shown, names.len() - 1, "what came before the lie");
        }
    }

    #[test]
    fn a_listing_that_is_not_wanted_to_its_end_is_not_checked_further() {
        InOrder::new(Says(&["d/b", "d/a"]))
            .list("d/", &mut |_| false)
            .expect("one was enough");
    }
}
