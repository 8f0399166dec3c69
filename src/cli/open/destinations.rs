//! The stores that a backup goes to: one, or several that become copies of each other.

use crate::catalog::known::Purpose;
use crate::catalog::{Access, AccessError};
use crate::cli::open::place::StorePlace;
use crate::cli::open::session::Session;
use crate::cli::open::vetting::vet;
use crate::cli::show::failure::chain;
use crate::format::identity::Cipher;
use crate::format::keys::KdfCost;
use crate::model::{BackupName, Cancel, Interrupted, LevelId, Passphrase};
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

    /// Opens the stores in these places for a run of a backup, and makes those that do not exist
    /// yet. Of several, one that cannot be opened, or that is not what this machine remembers or
    /// what the others are, takes no part.
    pub(in crate::cli) fn open(
        places: &[StorePlace],
        policy: MirrorPolicy,
        backup: &BackupName,
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
            places => Self::open_several(places, policy, backup, session),
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
        backup: &BackupName,
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
        let first = first_of(&mut stores, &mut absent, policy, session)?;
        let mut copies = Vec::new();
        for store in stores {
            let location = store.location();
            match session.copy_at(&first, store, policy.if_missing) {
                Ok(copy) => copies.push(copy),
                Err(error) => absent.push(policy.miss(location, error)?),
            }
        }
        let mut usable = Vec::new();
        for copy in vet(copies, backup, session) {
            match copy.usable() {
                Ok(copy) => usable.push(copy),
                Err((location, error)) => absent.push(policy.miss(location, error)?),
            }
        }
        if usable.is_empty() {
            anyhow::bail!("none of the stores can be used: {}", in_words(&absent));
        }
        let mirror = Arc::new(Mirror::new(
            usable.iter().map(Access::store).collect(),
            policy.on_failure,
            policy.patience,
        ));
        let access = first
            .unwatched()
            .through(Arc::clone(&mirror) as Arc<dyn Store>);
        Ok(Self {
            access,
            several: Some((mirror, usable)),
            absent,
        })
    }

    /// Reads the manifest of a level that was made back from each of several stores, so that this
    /// machine remembers it of each. A store that does not show it did not get it.
    pub(in crate::cli) fn confirm(&mut self, backup: &BackupName, level: &LevelId) {
        if self.several.is_none() {
            return;
        }
        for copy in self.complete() {
            if let Err(error) = copy.outline(backup, level) {
                let store = copy.store().location();
                self.absent.push(StoreOutcome {
                    store,
                    failure: Some(chain(&error)),
                });
            }
        }
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
        taking_part
            .filter(|outcome| !self.is_absent(&outcome.store))
            .chain(self.absent.iter().cloned())
            .collect()
    }

    fn is_absent(&self, location: &str) -> bool {
        self.absent.iter().any(|absent| absent.store == location)
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
                    .filter(|(_, outcome)| !self.is_absent(&outcome.location))
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

/// Opens the store that the others are copies of: one that is a store already and that this machine
/// knows, else one that is a store, else any. Stores that cannot be opened become absent.
///
/// # Errors
///
/// When no place could be opened. When none is a store, unless all places could be opened: one that
/// could not may hold a store, and a new one would not be a copy of that.
fn first_of(
    stores: &mut Vec<Arc<dyn Store>>,
    absent: &mut Vec<StoreOutcome>,
    policy: MirrorPolicy,
    session: &Session,
) -> anyhow::Result<Access> {
    let Some(any) = stores.first().cloned() else {
        anyhow::bail!("none of the stores could be opened: {}", in_words(absent))
    };
    let (mut existing, mut doubtful) = (Vec::new(), absent.clone());
    for store in stores.iter() {
        match Access::identity_at(store.as_ref()) {
            Ok(identity) => {
                let is_known = session.knows(&store.location(), &identity);
                existing.push((!is_known, Arc::clone(store)));
            }
            Err(AccessError::NoStore(_)) => {}
            Err(error) => doubtful.push(StoreOutcome {
                store: store.location(),
                failure: Some(chain(&error)),
            }),
        }
    }
    if existing.is_empty() && !doubtful.is_empty() {
        anyhow::bail!(
            "freezer makes a new store only when all places can be opened, as they are to hold \
             the same: {}",
            in_words(&doubtful)
        );
    }
    if existing.is_empty() {
        return match policy.if_missing {
            IfMissing::Create => open_or_create(any, session),
            IfMissing::Refuse => Err(AccessError::NoStore(any.location()).into()),
        };
    }
    existing.sort_by_key(|(is_unknown, _)| *is_unknown);
    let mut failed = None;
    for (_, store) in existing {
        let location = store.location();
        let error = match session.unlock(store, Purpose::Writing) {
            Ok(access) => return Ok(access),
            Err(error) => error,
        };
        if is_about_the_user(&error) {
            return Err(error);
        }
        stores.retain(|other| other.location() != location);
        absent.push(StoreOutcome {
            store: location.clone(),
            failure: Some(chain(error.as_ref())),
        });
        if policy.on_failure == OnFailure::Abort {
            return Err(error);
        }
        failed = failed.or(Some(error));
    }
    Err(failed.unwrap_or_else(|| anyhow::anyhow!("none of the stores could be opened")))
}

/// Returns whether an error says nothing about the store: there is no passphrase to open any with,
/// or the user does not want to go on.
fn is_about_the_user(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>()
        || matches!(error.downcast_ref(), Some(AccessError::PassphraseNeeded(_)))
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
    if access.cipher() == Cipher::None {
        session.note_plain_http();
    }
    Ok(access)
}
