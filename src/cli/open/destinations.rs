//! The stores that a backup goes to: one, or several that become copies of each other.

use crate::catalog::known::Purpose;
use crate::catalog::{Access, AccessError};
use crate::cli::open::place::StorePlace;
use crate::cli::open::session::Session;
use crate::cli::show::failure::chain;
use crate::format::identity::Cipher;
use crate::format::keys::KdfCost;
use crate::model::{Cancel, Passphrase};
use crate::platform::{Clock, pause};
use crate::store::location::IfMissing;
use crate::store::mirror::{Mirror, OnFailure, WaitLimits};
use crate::store::{Discard, Store};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What a run does when one of several stores fails or is slow.
#[derive(Clone, Copy)]
pub(in crate::cli) struct MirrorPolicy {
    pub(in crate::cli) on_failure: OnFailure,
    pub(in crate::cli) patience: WaitLimits,
    /// Whether a place without a store becomes one.
    pub(in crate::cli) if_missing: IfMissing,
}

/// The stores of a run, open.
pub(in crate::cli) struct Destinations {
    access: Access,
    /// With several stores: the mirror that makes them one, and each store by itself.
    several: Option<(Arc<Mirror>, Vec<Access>)>,
    /// Stores that could not be opened.
    absent: Vec<StoreOutcome>,
}

/// How long after a call of another process ended its effect may become visible, in a store without
/// an atomic "put if absent".
const UNTIL_SEEN: Duration = Duration::from_secs(2);

/// Whether a store got the point in time.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct StoreOutcome {
    pub(in crate::cli) store: String,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) failure: Option<String>,
}

impl Destinations {
    /// Opens a store that keeps nothing, encrypted as the real one would be.
    pub(in crate::cli) fn rehearsal(session: &Session) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = Arc::new(Discard);
        let passphrase = session.given_passphrase()?;
        let access = Access::create(
            store,
            passphrase.as_deref(),
            KdfCost::default(),
            session.clock.now(),
            "",
        )?;
        Ok(Self::one(access))
    }

    /// Opens the stores in these places, and makes those that do not exist yet.
    pub(in crate::cli) fn open(
        places: &[StorePlace],
        policy: MirrorPolicy,
        session: &Session,
    ) -> anyhow::Result<Self> {
        match places {
            [place] => {
                let store = place.open(policy.if_missing)?;
                let access = match policy.if_missing {
                    IfMissing::Create => open_or_create(store, session)?,
                    IfMissing::Refuse => session.unlock(store, Purpose::Writing)?,
                };
                Ok(Self::one(access))
            }
            places => Self::open_several(places, policy, session),
        }
    }

    fn one(access: Access) -> Self {
        Self {
            access,
            several: None,
            absent: Vec::new(),
        }
    }

    fn open_several(
        places: &[StorePlace],
        policy: MirrorPolicy,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let mut absent = Vec::new();
        let mut stores = Vec::new();
        for place in places {
            match place.open(policy.if_missing) {
                Ok(store) => stores.push(store),
                Err(error) => absent.push(policy.miss(place.location.to_string(), error)?),
            }
        }
        let first = first_of(&stores, &absent)?;
        let first = match policy.if_missing {
            IfMissing::Create => open_or_create(first, session)?,
            IfMissing::Refuse => session.unlock(first, Purpose::Writing)?,
        };
        let mut copies = Vec::new();
        for store in stores {
            let location = store.location();
            match session.copy_at(&first, store, policy.if_missing) {
                Ok(copy) => copies.push(copy),
                // Two stores that were made apart can never hold the same: a mistake of the user,
                // whatever the policy is.
                Err(error) if is_other_store(&error) => return Err(error),
                Err(error) => absent.push(policy.miss(location, error)?),
            }
        }
        let mirror = Arc::new(Mirror::new(
            copies.iter().map(Access::store).collect(),
            policy.on_failure,
            policy.patience,
        ));
        let access = first
            .unwatched()
            .through(Arc::clone(&mirror) as Arc<dyn Store>);
        Ok(Self {
            access,
            several: Some((mirror, copies)),
            absent,
        })
    }

    /// Returns all stores as one.
    pub(in crate::cli) fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the outcome of each store.
    pub(in crate::cli) fn outcomes(&self) -> Vec<StoreOutcome> {
        let Some((mirror, _)) = &self.several else {
            return vec![StoreOutcome {
                store: self.access.store().location(),
                failure: None,
            }];
        };
        let taking_part = mirror.outcomes().into_iter().map(|outcome| StoreOutcome {
            store: outcome.location,
            failure: outcome.failure.map(|failure| chain(failure.as_ref())),
        });
        taking_part.chain(self.absent.iter().cloned()).collect()
    }

    /// Returns the stores that got everything, each by itself.
    pub(in crate::cli) fn complete(&self) -> Vec<Access> {
        match &self.several {
            None => vec![self.access.clone()],
            Some((mirror, copies)) => {
                let outcomes = mirror.outcomes();
                copies
                    .iter()
                    .zip(outcomes)
                    .filter(|(_, outcome)| outcome.failure.is_none())
                    .map(|(copy, _)| copy.clone())
                    .collect()
            }
        }
    }
}

impl MirrorPolicy {
    /// Records that a store takes no part; an error if the run is to be aborted.
    fn miss(self, store: String, error: anyhow::Error) -> anyhow::Result<StoreOutcome> {
        match self.on_failure {
            OnFailure::Abort => Err(error),
            OnFailure::Continue => Ok(StoreOutcome {
                store,
                failure: Some(chain(error.as_ref())),
            }),
        }
    }
}

/// Chooses the place that the others become copies of: one that is a store already, else any.
///
/// # Errors
///
/// When no place could be opened. When none is a store, unless all places could be opened: one that
/// could not may hold a store, and a new one would not be a copy of that.
fn first_of(stores: &[Arc<dyn Store>], absent: &[StoreOutcome]) -> anyhow::Result<Arc<dyn Store>> {
    let Some(any) = stores.first() else {
        anyhow::bail!("none of the stores could be opened: {}", in_words(absent))
    };
    let (mut existing, mut doubtful) = (None, absent.to_vec());
    for store in stores {
        match Access::is_encrypted(store.as_ref()) {
            Ok(_) => existing = existing.or(Some(store)),
            Err(AccessError::NoStore(_)) => {}
            Err(error) => doubtful.push(StoreOutcome {
                store: store.location(),
                failure: Some(chain(&error)),
            }),
        }
    }
    if existing.is_none() && !doubtful.is_empty() {
        anyhow::bail!(
            "freezer makes a new store only when all places can be opened, as they are to hold \
             the same: {}",
            in_words(&doubtful)
        );
    }
    Ok(Arc::clone(existing.unwrap_or(any)))
}

fn in_words(outcomes: &[StoreOutcome]) -> String {
    let words = |outcome: &StoreOutcome| {
        format!(
            "{}: {}",
            outcome.store,
            outcome.failure.as_deref().unwrap_or_default()
        )
    };
    outcomes.iter().map(words).collect::<Vec<_>>().join("; ")
}

fn open_or_create(store: Arc<dyn Store>, session: &Session) -> anyhow::Result<Access> {
    match Access::is_encrypted(store.as_ref()) {
        Err(AccessError::NoStore(_)) => {
            make_store(store, session.given_passphrase()?.as_deref(), session)
        }
        Err(error) => Err(error.into()),
        Ok(_) => session.unlock(store, Purpose::Writing),
    }
}

/// Makes a store in an empty place; refuses where this machine knows a store that is gone.
pub(in crate::cli) fn make_store(
    store: Arc<dyn Store>,
    passphrase: Option<&Passphrase>,
    session: &Session,
) -> anyhow::Result<Access> {
    session.expect_new_place(&store.location())?;
    let access = create(store, passphrase, session)?;
    session.watched(access, Purpose::Writing)
}

fn is_other_store(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(AccessError::OtherStore { .. }))
}

/// Makes a store, encrypted if there is a passphrase, and tells of it.
fn create(
    store: Arc<dyn Store>,
    passphrase: Option<&Passphrase>,
    session: &Session,
) -> anyhow::Result<Access> {
    let wait = || pause(UNTIL_SEEN, &Cancel::new());
    let made = Access::create_among_others(
        Arc::clone(&store),
        passphrase,
        KdfCost::default(),
        session.clock.now(),
        &wait,
    );
    let access = match made {
        // Another node began at the same moment and was faster.
        Err(AccessError::Exists(_)) => return session.unlock(store, Purpose::Writing),
        made => made?,
    };
    let kind = match access.cipher() {
        Cipher::None => {
            "a store that is not encrypted (--encrypt-pass-file FILE makes one that is)"
        }
        Cipher::Aes256Cfb => "an encrypted store",
    };
    // Told to the quiet, too: where a store was expected, this shows that it was not there.
    session
        .output
        .announce(format_args!("made {kind}: {}", store.location()));
    Ok(access)
}
