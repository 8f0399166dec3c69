//! A store is made once, also where it cannot create an object only if there is none.

use super::objects;
use crate::support::backup::{CHEAP, passphrase};
use freezer::catalog::{Access, AccessError, names};
use freezer::store::altered::{Alteration, Altered};
use freezer::store::memory::MemoryStore;
use freezer::store::{Error, ErrorKind, ObjectName, Operation, Powers, Selection, Store, StoreExt};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A store whose answers may be out of date, as those of several machines behind one store can be,
/// and that refuses to replace an object when it is asked to.
struct Behind {
    inner: Arc<MemoryStore>,
    /// How many more reads of the identity find nothing.
    blind: AtomicU32,
    /// Whether the answer to the first attempt to store the identity is lost, so that the second
    /// attempt is refused.
    loses_an_answer: bool,
}

impl Alteration for Behind {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let is_blind = || {
            self.blind
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |looks| {
                    looks.checked_sub(1)
                })
                .is_ok()
        };
        if *name == names::identity_name() && is_blind() {
            return Err(Error::new(ErrorKind::Missing, Operation::Get, name));
        }
        self.inner.read(name, wanted, take)
    }

    fn powers(&self) -> Powers<'_> {
        Powers {
            put_unless_there: Some(Box::new(|name, body| match self.inner.get(name, 1 << 20) {
                Ok(_) => Ok(false),
                Err(_) => self.inner.put(name, body).map(|()| !self.loses_an_answer),
            })),
            ..Powers::none()
        }
    }
}

fn make(
    inner: &Arc<MemoryStore>,
    blind: u32,
    loses_an_answer: bool,
) -> Result<Access, AccessError> {
    let store = Behind {
        inner: Arc::clone(inner),
        blind: AtomicU32::new(blind),
        loses_an_answer,
    };
    Access::create_among_others(
        Arc::new(Altered(store)),
        Some(&passphrase()),
        CHEAP,
        Timestamp::UNIX_EPOCH,
        &|| (),
    )
}

#[test]
fn a_store_that_a_look_did_not_show_is_not_made_again() {
    let inner = Arc::new(MemoryStore::default());
    make(&inner, 0, false).expect("made");
    let before = objects(inner.as_ref());
    let identity = inner.get(&names::identity_name(), 1 << 20).expect("there");
    assert!(matches!(
        make(&inner, 2, false),
        Err(AccessError::Exists(_))
    ));
    assert_eq!(
        inner.get(&names::identity_name(), 1 << 20).expect("there"),
        identity,
        "it is whose it was"
    );
    assert_eq!(
        objects(inner.as_ref()),
        before,
        "the key that was made in vain is gone"
    );
}

#[test]
fn an_identity_whose_answer_was_lost_is_ones_own() {
    let inner = Arc::new(MemoryStore::default());
    make(&inner, 0, true).expect("made");
    Access::open(inner, Some(&passphrase())).expect("its key is there");
}
