//! `freezer check`.

use crate::catalog::known::{Purpose, Witness};
use crate::catalog::{Access, AccessError, Catalog, IdentityCopy};
use crate::cli::commands::local::contents::check_contents;
use crate::cli::commands::local::damage;
use crate::cli::commands::local::remarks::{tell_locks, tell_remark};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::backups::{all, levels_in_order, levels_of};
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, chain};
use crate::cli::show::output::OutputForm;
use crate::config::{ByteSize, show_bytes};
use crate::model::{BackupName, BackupRef, Cancel, LevelId};
use crate::platform::Clock;
use crate::upkeep::{self, Checked, Damage, Depth, Portion, Remark, Verdict};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeSet;
use std::str::FromStr;

/// Verify that backups are complete, and show which files any damage touches
///
/// Reads the manifest, the index, the frame table and the sizes of all segments of each point in
/// time, and changes nothing. Data that points in time share is read once. Names all damage and
/// each file that cannot be read as a whole, with the points in time that have it. freezer repair
/// mends what can be mended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer check
  freezer check docs --read-data
  freezer check --read-data-subset 5%
  freezer check docs --read-data-subset 3/7
  freezer check docs@latest --read-data --json

Exit codes: 0 no damage; 1 there is damage, there is no point in time, or the check failed; 2 wrong
usage; 130 interrupted. The leftovers of runs that were cut off are mentioned and are not damage.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; with @DATE only that point in time [default: all backups]
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: Option<BackupRef>,

    /// Also read all data and authenticate every byte of it, then every file, and compare it with
    /// its hash
    #[arg(long)]
    read_data: bool,

    /// Also read a part of the data: randomly chosen segments of that many percent (5%) or bytes
    /// (10GiB), or the N-th of T parts (N/T) that together are all data
    #[arg(long, value_name = "PART", conflicts_with = "read_data")]
    read_data_subset: Option<Subset>,
}

/// A part of the data, as the user writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subset(Portion);

/// A text that is no part.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no part of the data: write a share (5%), a fraction (1/7) or a size (10GiB)")]
struct SubsetError(String);

impl FromStr for Subset {
    type Err = SubsetError;

    fn from_str(text: &str) -> Result<Self, SubsetError> {
        let portion = if let Some(percent) = text.strip_suffix('%') {
            millionths(percent).map(|millionths| Portion::Share { millionths })
        } else if let Some((part, of)) = text.split_once('/') {
            let numbers = part.parse().ok().zip(of.parse().ok());
            numbers
                .filter(|(part, of)| (1..=*of).contains(part))
                .map(|(part, of)| Portion::Part { part, of })
        } else {
            text.parse::<ByteSize>()
                .ok()
                .filter(|size| size.0 > 0)
                .map(|size| Portion::Bytes(size.0))
        };
        portion
            .map(Self)
            .ok_or_else(|| SubsetError(text.to_owned()))
    }
}

/// Parses percent with up to four decimals, above 0 and up to 100, to millionths.
fn millionths(percent: &str) -> Option<u32> {
    let (whole, rest) = percent.split_once('.').unwrap_or((percent, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(rest) || rest.len() > 4 || whole.len() > 3 {
        return None;
    }
    let number: u32 = format!("{whole}{rest:0<4}").parse().ok()?;
    (1..=1_000_000).contains(&number).then_some(number)
}

/// Events of `--json` that a check alone has.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum CheckEvent {
    /// A key that no passphrase opens any more.
    DamagedKey { error: String },
    /// One of the two copies of the document that makes the place a store.
    DamagedIdentity { object: String, is_missing: bool },
    /// The last event.
    Result {
        points_in_time: u64,
        entries: u64,
        frames: u64,
        damages: u64,
        files_touched: u64,
        read_data: bool,
        stored_bytes: u64,
        read_bytes: u64,
    },
}

/// The levels of one backup that are to be checked.
struct LevelsToCheck {
    backup: BackupName,
    levels: Vec<LevelId>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let access = session.access_for(Purpose::Checking)?;
    let parts = parts(arguments, session, &access)?;
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    let depth = match arguments.read_data_subset {
        Some(Subset(portion)) => Depth::Data(portion),
        None if arguments.read_data => Depth::Data(Portion::All),
        None => Depth::Structure,
    };
    let mut verdict = Verdict::default();
    if arguments.backup.is_none() {
        check_identity(&access, &mut verdict, session)?;
        check_keys(&access, &mut verdict, session)?;
    }
    let is_one_point = |wanted: &BackupRef| wanted.at().is_some();
    for part in &parts {
        let mut checked = check_part(&access, part, depth, session, &cancel)?;
        if depth == Depth::Data(Portion::All) {
            let LevelsToCheck { backup, levels } = part;
            let differ = check_contents(&access, backup, levels, session, &cancel)?;
            checked.damages += differ;
            checked.files_touched += differ;
        }
        verdict.add(part.levels.len(), &checked);
        if !arguments.backup.as_ref().is_some_and(is_one_point) {
            look_beside(&access, &part.backup, &mut verdict, session)?;
        }
    }
    tell(&verdict, depth, session)?;
    verdict.sound()?;
    expect_known(&access, session)?;
    verdict.any()?;
    Ok(Completion::Done)
}

/// Looks at what a backup has beside its points in time. Data without a manifest is damage.
fn look_beside(
    access: &Access,
    backup: &BackupName,
    verdict: &mut Verdict,
    session: &mut Session,
) -> anyhow::Result<()> {
    let remarks = upkeep::remarks(access, backup, session.clock.now())?;
    for remark in &remarks {
        if let Remark::NoManifest { level, bytes } = remark {
            verdict.add_damage();
            let damage = Damage::NoManifest { bytes: *bytes };
            damage::tell(session, backup, std::slice::from_ref(level), &damage)?;
        } else {
            tell_remark(session, backup, remark)?;
        }
    }
    tell_locks(session, backup, &remarks);
    Ok(())
}

/// Fails if the store differs from what this machine remembers of it.
fn expect_known(access: &Access, session: &Session) -> anyhow::Result<()> {
    let mut surprises = access.witness().map(Witness::surprises).unwrap_or_default();
    let Some(last) = surprises.pop() else {
        return Ok(());
    };
    for surprise in surprises {
        session.output.warn(format_args!("{surprise}"));
    }
    Err(last.into())
}

/// Looks whether both copies of the store's identity are there. One of them has opened it.
fn check_identity(
    access: &Access,
    verdict: &mut Verdict,
    session: &mut Session,
) -> anyhow::Result<()> {
    for IdentityCopy { object, is_missing } in access.wrong_identity_copies()? {
        verdict.add_damage();
        if session.output.form == OutputForm::Json {
            session.output.json(&CheckEvent::DamagedIdentity {
                object: object.to_string(),
                is_missing,
            })?;
            continue;
        }
        let what = if is_missing {
            "is missing"
        } else {
            "is damaged"
        };
        session.output.line(format_args!(
            "{object} {what}; freezer repair BACKUP puts it back"
        ))?;
    }
    Ok(())
}

/// Looks whether a key of the store is damaged: the store was opened, so another one is not.
fn check_keys(access: &Access, verdict: &mut Verdict, session: &mut Session) -> anyhow::Result<()> {
    let error = match access.keys() {
        Ok(_) => return Ok(()),
        Err(error @ AccessError::Store(_)) => return Err(error.into()),
        Err(error) => chain(&error),
    };
    verdict.add_damage();
    match session.output.form {
        OutputForm::Json => session.output.json(&CheckEvent::DamagedKey { error })?,
        OutputForm::Text => session
            .output
            .line(format_args!("one of the keys: {error}"))?,
    }
    Ok(())
}

fn check_part(
    access: &Access,
    part: &LevelsToCheck,
    depth: Depth,
    session: &mut Session,
    cancel: &Cancel,
) -> anyhow::Result<Checked> {
    let LevelsToCheck { backup, levels } = part;
    let progress = session.progress();
    let mut printed = Ok(());
    let mut tell = |points: &[LevelId], damage: Damage| {
        if printed.is_ok() {
            printed = damage::tell(session, backup, points, &damage);
        }
    };
    let checked = upkeep::check(access, backup, levels, depth, &mut tell, &progress, cancel)?;
    drop(progress);
    printed?;
    Ok(checked)
}

/// Tells what was checked, and that there is no damage if so.
fn tell(verdict: &Verdict, depth: Depth, session: &mut Session) -> anyhow::Result<()> {
    let checked = &verdict.checked;
    if session.output.form == OutputForm::Json {
        session.output.json(&CheckEvent::Result {
            points_in_time: verdict.points_in_time,
            entries: checked.entries,
            frames: checked.frames,
            damages: checked.damages,
            files_touched: checked.files_touched,
            read_data: depth == Depth::Data(Portion::All),
            stored_bytes: checked.stored_bytes,
            read_bytes: checked.read_bytes,
        })?;
    }
    session.output.flush()?;
    if verdict.sound().is_ok() && verdict.any().is_ok() {
        let how = match depth {
            Depth::Structure => "all is there (--read-data reads the data too)".to_owned(),
            Depth::Data(Portion::All) => "all data could be read".to_owned(),
            Depth::Data(_) => {
                let [read, all] = [checked.read_bytes, checked.stored_bytes]
                    .map(|bytes| show_bytes(bytes).to_string());
                format!("all is there, and {read} of {all} of data could be read")
            }
        };
        let summary = verdict.summary();
        session.output.note(format_args!("{summary}: {how}"));
    }
    Ok(())
}

/// Returns the points in time that are meant, backup by backup.
fn parts(
    arguments: &Arguments,
    session: &Session,
    access: &Access,
) -> anyhow::Result<Vec<LevelsToCheck>> {
    match &arguments.backup {
        Some(wanted) => {
            let (backup, levels) = levels_of(access, wanted, session)?;
            Ok(vec![LevelsToCheck { backup, levels }])
        }
        None => {
            let with_levels = |backup| {
                let levels = levels_in_order(access, &backup, session)?;
                Ok(LevelsToCheck { backup, levels })
            };
            let backups = all(&Catalog::new(access.store()))?;
            if let Some(witness) = access.witness() {
                witness.compare_backups(&backups)?;
            }
            // Data without any manifest is looked at too.
            let without_manifests = Catalog::new(access.store()).leftovers(None)?.into_iter();
            let without_manifests: BTreeSet<BackupName> =
                without_manifests.map(|of| of.backup).collect();
            let others = without_manifests.into_iter();
            let others = others.filter(|backup| !backups.contains(backup));
            let others = others.map(|backup| LevelsToCheck {
                backup,
                levels: Vec::new(),
            });
            let others: Vec<LevelsToCheck> = others.collect();
            let parts: Result<Vec<LevelsToCheck>, anyhow::Error> =
                backups.into_iter().map(with_levels).collect();
            Ok(parts?.into_iter().chain(others).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Subset;
    use crate::upkeep::Portion;

    #[test]
    fn a_part_is_a_share_a_fraction_or_a_size() {
        let of = |text: &str| text.parse::<Subset>().map(|subset| subset.0).ok();
        assert_eq!(of("5%"), Some(Portion::Share { millionths: 50_000 }));
        assert_eq!(of("2.5%"), Some(Portion::Share { millionths: 25_000 }));
        assert_eq!(of("0.0001%"), Some(Portion::Share { millionths: 1 }));
        assert_eq!(
            of("100%"),
            Some(Portion::Share {
                millionths: 1_000_000
            })
        );
        assert_eq!(of("1/7"), Some(Portion::Part { part: 1, of: 7 }));
        assert_eq!(of("7/7"), Some(Portion::Part { part: 7, of: 7 }));
        assert_eq!(of("10M"), Some(Portion::Bytes(10 << 20)));
        for text in [
            "", "%", "0%", "101%", "-5%", "5.12345%", "1.%", "0/7", "8/7", "1/0", "1/", "a/b", "0",
            "x",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
