//! Where a backup goes: one store, or several that become copies of each other.

use crate::catalog::{Access, AccessError};
use crate::cli::open::session::{Session, StorePlace};
use crate::cli::show::failure::chain;
use crate::format::identity::Cipher;
use crate::format::keys::KdfCost;
use crate::model::Cancel;
use crate::platform::{Clock, pause};
use crate::store::location::IfMissing;
use crate::store::mirror::{Mirror, OnFailure, WaitLimits};
use crate::store::{Discard, Store};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a run when one of several stores fails.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Policy {
    pub(in crate::cli) on_failure: OnFailure,
    pub(in crate::cli) patience: WaitLimits,
}

/// The stores of a run, open.
pub(in crate::cli) struct Destinations {
    access: Access,
    /// With several stores: what makes them one, and each by itself.
    several: Option<(Arc<Mirror>, Vec<Access>)>,
    /// Those that could not be opened.
    absent: Vec<StoreOutcome>,
}

/// How long a call to a store that had begun may take to be seen by others, when a store is made
/// where nothing sees to it that only one is.
const UNTIL_SEEN: Duration = Duration::from_secs(2);

/// What became of a store.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct StoreOutcome {
    pub(in crate::cli) store: String,
    /// Why it did not get this point in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) failure: Option<String>,
}

impl Destinations {
    /// A store that keeps nothing, encrypted like the real one would be.
    pub(in crate::cli) fn rehearsal(session: &Session) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = Arc::new(Discard);
        let passphrase = session.given_passphrase()?;
        let access = Access::create(
            store,
            passphrase.as_ref(),
            KdfCost::default(),
            session.clock.now(),
            "",
        )?;
        Ok(Self {
            access,
            several: None,
            absent: Vec::new(),
        })
    }

    /// Opens them; makes those that are not there yet.
    pub(in crate::cli) fn open(
        places: &[StorePlace],
        policy: Policy,
        session: &Session,
    ) -> anyhow::Result<Self> {
        if let [place] = places {
            return Ok(Self {
                access: open_or_create(place.open(IfMissing::Create)?, session)?,
                several: None,
                absent: Vec::new(),
            });
        }
        let mut absent = Vec::new();
        let miss = |store: String, error: anyhow::Error| match policy.on_failure {
            OnFailure::Abort => Err(error),
            OnFailure::Continue => Ok(StoreOutcome {
                store,
                failure: Some(chain(error.as_ref())),
            }),
        };
        let mut stores = Vec::new();
        for place in places {
            match place.open(IfMissing::Create) {
                Ok(store) => stores.push(store),
                Err(error) => absent.push(miss(place.location.to_string(), error)?),
            }
        }
        let Some(any) = stores.first() else {
            anyhow::bail!("none of the stores could be opened: {}", told(&absent))
        };
        // Those that are a store already. Without one a new one may be made, but not while another
        // place may hold one that the new one would be no copy of.
        let (mut there, mut doubtful) = (None, Vec::new());
        for store in &stores {
            match Access::is_encrypted(store.as_ref()) {
                Ok(_) => there = there.or(Some(store)),
                Err(AccessError::NoStore(_)) => {}
                Err(error) => doubtful.push(StoreOutcome {
                    store: store.location(),
                    failure: Some(chain(&error)),
                }),
            }
        }
        if there.is_none() && !(absent.is_empty() && doubtful.is_empty()) {
            doubtful.splice(0..0, absent);
            anyhow::bail!(
                "a new store is made only when all places can be opened, as they are to hold the same: {}",
                told(&doubtful)
            );
        }
        let first = open_or_create(Arc::clone(there.unwrap_or(any)), session)?;
        let mut copies = Vec::new();
        for store in stores {
            let location = store.location();
            match first.copy_at(store, IfMissing::Create) {
                Ok(copy) => copies.push(copy),
                // Two stores that were made apart can never hold the same: no failure of one, but a
                // mistake.
                Err(error @ AccessError::OtherStore { .. }) => return Err(error.into()),
                Err(error) => absent.push(miss(location, error.into())?),
            }
        }
        let mirror = Arc::new(Mirror::new(
            copies.iter().map(Access::store).collect(),
            policy.on_failure,
            policy.patience,
        ));
        let access = first.through(Arc::clone(&mirror) as Arc<dyn Store>);
        Ok(Self {
            access,
            several: Some((mirror, copies)),
            absent,
        })
    }

    /// All of them as one.
    pub(in crate::cli) fn access(&self) -> &Access {
        &self.access
    }

    /// What became of each.
    pub(in crate::cli) fn outcomes(&self) -> Vec<StoreOutcome> {
        let Some((mirror, _)) = &self.several else {
            return vec![StoreOutcome {
                store: self.access.store().location(),
                failure: None,
            }];
        };
        let absent = self.absent.iter().map(|absent| StoreOutcome {
            store: absent.store.clone(),
            failure: absent.failure.clone(),
        });
        let taking_part = mirror.outcomes().into_iter().map(|outcome| StoreOutcome {
            store: outcome.location,
            failure: outcome.failure.map(|failure| chain(failure.as_ref())),
        });
        taking_part.chain(absent).collect()
    }

    /// Those that got everything, each by itself.
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

fn told(outcomes: &[StoreOutcome]) -> String {
    let tell = |outcome: &StoreOutcome| {
        format!(
            "{}: {}",
            outcome.store,
            outcome.failure.as_deref().unwrap_or_default()
        )
    };
    outcomes.iter().map(tell).collect::<Vec<_>>().join("; ")
}

fn open_or_create(store: Arc<dyn Store>, session: &Session) -> anyhow::Result<Access> {
    match Access::is_encrypted(store.as_ref()) {
        Err(AccessError::NoStore(_)) => {
            let passphrase = session.given_passphrase()?;
            let wait = || pause(UNTIL_SEEN, &Cancel::new());
            let made = Access::create_among_others(
                Arc::clone(&store),
                passphrase.as_ref(),
                KdfCost::default(),
                session.clock.now(),
                &wait,
            );
            let access = match made {
                // Another node began at the same moment, and was faster.
                Err(AccessError::Exists(_)) => return session.unlock(store),
                made => made?,
            };
            let kind = match access.cipher() {
                Cipher::None => {
                    "a store that is not encrypted (--encrypt-pass-file FILE makes one that is)"
                }
                Cipher::Aes256Cfb => "an encrypted store",
            };
            session
                .output
                .note(format_args!("made {kind}: {}", store.location()));
            Ok(access)
        }
        Err(error) => Err(error.into()),
        Ok(_) => session.unlock(store),
    }
}
