//! Looks at the copies of a store before a backup relies on them: one that is not as it should be
//! takes no part, and never stops the others.

use crate::catalog::{Access, Order, held_claims};
use crate::cli::open::session::Session;
use crate::model::{BackupName, LevelId, LevelSerial};
use crate::platform::Clock;
use anyhow::{Context, anyhow};
use std::collections::BTreeSet;

/// A copy that was looked at.
pub(in crate::cli) struct Vetted {
    pub(in crate::cli) access: Access,
    /// What the copy has of the backup; the error if it should take no part.
    state: anyhow::Result<CopyState>,
}

/// What a copy has of a backup.
struct CopyState {
    /// The newest point in time that opens.
    newest: Option<NewestPoint>,
    /// Whether the last manifest is damaged, so that a newer point may be there.
    is_doubtful: bool,
    /// The runs that have claimed the backup in this copy.
    claims: BTreeSet<LevelId>,
}

#[derive(Clone)]
struct NewestPoint {
    level: LevelId,
    serial: LevelSerial,
}

/// Looks at what each copy has of a backup: compares it with what this machine remembers of the
/// copy, and the copies with each other. Tells where one is behind the others.
pub(in crate::cli) fn vet(
    copies: Vec<Access>,
    backup: &BackupName,
    session: &Session,
) -> Vec<Vetted> {
    let look = |access: Access| Vetted {
        state: state_of(&access, backup, session),
        access,
    };
    let mut vetted: Vec<Vetted> = copies.into_iter().map(look).collect();
    refuse_some(&mut vetted, |state| {
        state
            .is_doubtful
            .then(|| anyhow!("its newest manifest of {backup} is damaged"))
    });
    let in_all: BTreeSet<LevelId> = claimed_everywhere(&vetted);
    refuse_some(&mut vetted, |state| {
        let own = state.claims.difference(&in_all).next()?;
        Some(anyhow!(
            "another run has claimed {backup} there, and in no other store: claim {own}; freezer \
             unlock shows and ends it"
        ))
    });
    tell_differences(&vetted, backup, session);
    vetted
}

impl Vetted {
    /// Returns the copy, or why it takes no part.
    pub(in crate::cli) fn usable(self) -> Result<Access, (String, anyhow::Error)> {
        match self.state {
            Ok(_) => Ok(self.access),
            Err(error) => Err((self.access.store().location(), error)),
        }
    }
}

fn state_of(access: &Access, backup: &BackupName, session: &Session) -> anyhow::Result<CopyState> {
    let now = session.clock.now();
    let order = Order::read(access, backup, now)?;
    let mut newest = None;
    let mut is_doubtful = false;
    for level in order.levels().rev() {
        match access.outline(backup, level) {
            Ok(outline) => {
                newest = Some(NewestPoint {
                    level: level.clone(),
                    serial: outline.serial,
                });
                break;
            }
            Err(error) if error.is_outage() => return Err(error.into()),
            // An object of the future that does not open is no manifest.
            Err(_) if order.is_unreadable(level) => {}
            Err(_) => is_doubtful = true,
        }
    }
    let claims = held_claims(access, backup, now)
        .context("could not list its claims")?
        .into_iter();
    Ok(CopyState {
        newest,
        is_doubtful,
        claims: claims.map(|claim| claim.level).collect(),
    })
}

/// Refuses copies for a reason, unless that would leave none: what all of them have is dealt with
/// by the run.
fn refuse_some(vetted: &mut [Vetted], reason: impl Fn(&CopyState) -> Option<anyhow::Error>) {
    let mut usable = vetted.iter().filter_map(|copy| copy.state.as_ref().ok());
    if usable.all(|state| reason(state).is_some()) {
        return;
    }
    for copy in vetted {
        if let Some(error) = copy.state.as_ref().ok().and_then(&reason) {
            copy.state = Err(error);
        }
    }
}

/// Returns the claims that every copy has.
fn claimed_everywhere(vetted: &[Vetted]) -> BTreeSet<LevelId> {
    let states = vetted.iter().filter_map(|copy| copy.state.as_ref().ok());
    let mut claims = states.map(|state| state.claims.clone());
    let first = claims.next().unwrap_or_default();
    claims.fold(first, |both, claims| &both & &claims)
}

/// Says of each copy that lacks points in time which others have.
fn tell_differences(vetted: &[Vetted], backup: &BackupName, session: &Session) {
    let states = || {
        vetted
            .iter()
            .filter_map(|copy| Some((copy, copy.state.as_ref().ok()?.newest.clone())))
    };
    let newest_of_all = states()
        .filter_map(|(copy, newest)| Some((copy, newest?)))
        .max_by_key(|(_, newest)| newest.serial);
    let Some((best, newest)) = newest_of_all else {
        return;
    };
    let best = best.access.store().location();
    for (copy, own) in states() {
        let has = match own {
            Some(own) if own.serial >= newest.serial => continue,
            Some(own) => format!("its newest point in time is {}", own.level),
            None => "it has no point in time".to_owned(),
        };
        let location = copy.access.store().location();
        session.output.warn(format_args!(
            "{location} is behind {best} with {backup}: {has}, and the other has {}",
            newest.level
        ));
    }
}
