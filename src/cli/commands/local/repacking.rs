//! Rewriting of segments: what repack and prune --repack-below do.

use crate::catalog::{Access, Patience};
use crate::cli::commands::local::removal;
use crate::cli::open::lock::{LockTerms, holding};
use crate::cli::open::session::Session;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::model::{BackupName, Cancel, Retention};
use crate::platform::Clock;
use crate::upkeep::{self, Below, Going, Grace, Pruned, Repack, Repacking};
use jiff::SignedDuration;
use serde::Serialize;

/// How a repack is done.
#[derive(Clone, Copy)]
pub(in crate::cli) struct RepackTerms {
    pub(in crate::cli) below: Below,
    pub(in crate::cli) patience: Patience,
    pub(in crate::cli) grace: SignedDuration,
}

/// What was done with one backup.
pub(in crate::cli) struct RepackResult {
    pub(in crate::cli) repacking: Repacking,
    /// What went afterwards, because nothing needed it any more.
    pub(in crate::cli) pruned: Pruned,
}

/// Parses a share in percent: `50%` or `50`.
pub(in crate::cli) fn parse_part(text: &str) -> Result<Below, String> {
    let percent: f64 = text
        .trim_end_matches('%')
        .trim()
        .parse()
        .map_err(|_| refusal())?;
    if percent > 0.0 && percent <= 100.0 {
        Ok(Below(percent / 100.0))
    } else {
        Err(refusal())
    }
}

fn refusal() -> String {
    "write a share in percent, such as 50%".to_owned()
}

/// Repacks one backup, then removes the data that nothing needs and no mount may be reading.
pub(in crate::cli) fn carry_out(
    access: &Access,
    backup: &BackupName,
    terms: RepackTerms,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<RepackResult> {
    let lock = LockTerms {
        action: "repack",
        patience: terms.patience,
    };
    let clock = &session.clock;
    let mut repack = Repack::new(terms.below);
    loop {
        // Other runs have a turn between two steps.
        let step = holding(access, backup, lock, clock, cancel, |held| {
            let grace = Grace {
                now: clock.now(),
                length: terms.grace,
            };
            repack.step(access, backup, held, grace, cancel)
        });
        if !step?? {
            break;
        }
    }
    let nothing = Going::Unprotected(Retention::default());
    let mut plan = upkeep::plan(access, backup, &nothing, clock.now(), &session.zone)?;
    let pruned = match plan.unneeded_bytes {
        0 => Pruned::default(),
        _ => removal::carry_out(
            access,
            &mut plan,
            terms.patience,
            terms.grace,
            session,
            cancel,
        )?,
    };
    Ok(RepackResult {
        repacking: repack.done(),
        pruned,
    })
}

/// Tells people what a repack did.
pub(in crate::cli) fn tell(backup: &BackupName, repacked: &Repacking, session: &Session) {
    let segments = several(repacked.segments, "segment", "segments");
    let (copied, freed) = (
        show_bytes(repacked.copied_bytes),
        show_bytes(repacked.freed_bytes),
    );
    session.output.note(format!(
        "{backup}: repacked {segments}: copied {copied}, which saves {freed}"
    ));
    if repacked.damaged_segments > 0 {
        let segments = several(
            repacked.damaged_segments,
            "segment is damaged and stays",
            "segments are damaged and stay",
        );
        session.output.warn(format_args!(
            "{backup}: {segments}; freezer check {backup} tells more"
        ));
    }
}

/// What a repack would do, or has done.
#[derive(Serialize)]
pub(in crate::cli) struct RepackingDocument {
    levels: u64,
    segments: u64,
    copied_bytes: u64,
    given_back_bytes: u64,
    damaged_segments: u64,
}

impl RepackingDocument {
    pub(in crate::cli) fn of(repacking: &Repacking) -> Self {
        Self {
            levels: repacking.levels,
            segments: repacking.segments,
            copied_bytes: repacking.copied_bytes,
            given_back_bytes: repacking.freed_bytes,
            damaged_segments: repacking.damaged_segments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_part;
    use crate::upkeep::Below;

    #[test]
    fn a_part_is_a_percentage() {
        assert_eq!(parse_part("50%"), Ok(Below(0.5)));
        assert_eq!(parse_part("100"), Ok(Below(1.0)));
        for text in ["0", "101%", "-1", "half", "", "%", "nan", "inf"] {
            assert!(parse_part(text).is_err(), "{text}");
        }
    }
}
