//! The backups of a store, as `freezer list` shows them.
//!
//! Of a store without encryption, the names of objects tell them: one listing. The names in an
//! encrypted store prove nothing, as anybody who can write there can add some; so every manifest is
//! opened, and counts only if it is authentic.

use crate::catalog::known::Witness;
use crate::catalog::{Access, AccessError, Backup, Catalog, outlines};
use crate::cli::open::session::{ListedStore, Session};
use crate::cli::show::failure::{Completion, chain};
use crate::cli::show::output::{Column, OutputForm};
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::format::manifest::Outline;
use crate::model::order::is_ahead;
use crate::model::{BackupName, LevelId};
use crate::platform::Clock;
use jiff::Timestamp;
use serde::Serialize;

/// A backup as it is shown.
struct ShownBackup {
    name: BackupName,
    levels: u64,
    newest: NewestLevel,
    /// Number of points in time more than a day in the future; `newest` is none of them.
    ahead: u64,
    /// Number of objects under its name that could not be authenticated.
    unauthenticated: u64,
}

/// The point in time that is shown as the newest.
struct NewestLevel {
    level: LevelId,
    date: Timestamp,
}

/// A name under which nothing could be authenticated.
struct UnprovenName {
    name: BackupName,
    objects: u64,
    /// Why the last of them could not.
    error: String,
}

/// What a store has.
#[derive(Default)]
struct Found {
    backups: Vec<ShownBackup>,
    unproven: Vec<UnprovenName>,
}

/// An element of `--json` for a backup.
#[derive(Serialize)]
struct BackupDocument<'backup> {
    backup: String,
    host: &'backup str,
    name: &'backup str,
    levels: u64,
    newest: Timestamp,
    newest_level_id: &'backup str,
    #[serde(skip_serializing_if = "is_zero")]
    ahead: u64,
    #[serde(skip_serializing_if = "is_zero")]
    unauthenticated: u64,
}

/// An element of `--json` for a name that is not that of a backup, as far as can be proven.
#[derive(Serialize)]
struct UnprovenDocument<'name> {
    unauthenticated_name: String,
    unauthenticated: u64,
    error: &'name str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Lists the backups of a store.
pub(super) fn run(session: &mut Session) -> anyhow::Result<Completion> {
    let now = session.clock.now();
    let found = match session.to_be_listed()? {
        ListedStore::Encrypted(access) => authenticated(&access, now)?,
        ListedStore::Plain(catalog, witness) => by_names(&catalog, witness.as_ref(), now)?,
    };
    if session.output.form == OutputForm::Json {
        tell_programs(&found, session)?;
    } else {
        tell_people(&found, session)?;
    }
    session.output.flush()?;
    warn(&found, session);
    let is_whole = |backup: &ShownBackup| backup.unauthenticated == 0;
    Ok(Completion::of(
        found.unproven.is_empty() && found.backups.iter().all(is_whole),
    ))
}

/// Returns what the names of objects say.
fn by_names(catalog: &Catalog, witness: Option<&Witness>, now: Timestamp) -> anyhow::Result<Found> {
    let mut found = Found::default();
    catalog.backups(&mut |backup| {
        found.backups.push(ShownBackup::of_names(backup, now));
        true
    })?;
    compare(&found, witness)?;
    Ok(found)
}

/// Returns what the manifests say that open.
fn authenticated(access: &Access, now: Timestamp) -> anyhow::Result<Found> {
    let mut names = Vec::new();
    let catalog = Catalog::new(access.store());
    catalog.backups(&mut |backup| {
        names.push(backup.name);
        true
    })?;
    let mut found = Found::default();
    for name in names {
        let mut objects = 0;
        let mut error = None;
        let mut opened: Vec<Outline> = Vec::new();
        for (_, outline) in outlines(access, &name, catalog.levels(&name)?) {
            match outline {
                Ok(outline) => opened.push(outline),
                Err(gone) if gone.is_missing() => {}
                Err(outage) if outage.is_outage() => return Err(outage.into()),
                Err(AccessError::Surprise(surprise)) => return Err(surprise.into()),
                Err(other) => {
                    objects += 1;
                    error = Some(chain(&other));
                }
            }
        }
        match (
            ShownBackup::of_manifests(&name, &opened, objects, now),
            error,
        ) {
            (Some(backup), _) => found.backups.push(backup),
            (None, Some(error)) => found.unproven.push(UnprovenName {
                name,
                objects,
                error,
            }),
            // All of it went since it was listed.
            (None, None) => {}
        }
    }
    compare(&found, access.witness())?;
    Ok(found)
}

/// Compares the backups with what this machine remembers.
fn compare(found: &Found, witness: Option<&Witness>) -> anyhow::Result<()> {
    let names: Vec<BackupName> = found
        .backups
        .iter()
        .map(|backup| backup.name.clone())
        .collect();
    if let Some(witness) = witness {
        witness.compare_backups(&names)?;
    }
    Ok(())
}

impl ShownBackup {
    fn of_names(backup: Backup, now: Timestamp) -> Self {
        let (newest, ahead) = backup.newest_of(now);
        let level = newest.unwrap_or(&backup.newest).clone();
        Self {
            newest: NewestLevel {
                date: level.started(),
                level,
            },
            levels: backup.levels,
            ahead,
            unauthenticated: 0,
            name: backup.name,
        }
    }

    /// Shows a backup by its manifests; `None` where there are none.
    fn of_manifests(
        name: &BackupName,
        opened: &[Outline],
        unauthenticated: u64,
        now: Timestamp,
    ) -> Option<Self> {
        let is_ahead = |outline: &&Outline| is_ahead(outline.date(), now);
        let newest = |of: &mut dyn Iterator<Item = &Outline>| {
            of.max_by_key(|outline| outline.serial)
                .map(|outline| NewestLevel {
                    level: outline.id.clone(),
                    date: outline.date(),
                })
        };
        let right = newest(&mut opened.iter().filter(|outline| !is_ahead(outline)));
        Some(Self {
            name: name.clone(),
            levels: opened.len() as u64,
            newest: right.or_else(|| newest(&mut opened.iter()))?,
            ahead: opened.iter().filter(is_ahead).count() as u64,
            unauthenticated,
        })
    }
}

fn tell_programs(found: &Found, session: &mut Session) -> anyhow::Result<()> {
    let backups = found.backups.iter().map(|backup| {
        serde_json::to_value(BackupDocument {
            backup: backup.name.to_string(),
            host: backup.name.host(),
            name: backup.name.name(),
            levels: backup.levels,
            newest: backup.newest.date,
            newest_level_id: backup.newest.level.as_str(),
            ahead: backup.ahead,
            unauthenticated: backup.unauthenticated,
        })
    });
    let unproven = found.unproven.iter().map(|unproven| {
        serde_json::to_value(UnprovenDocument {
            unauthenticated_name: unproven.name.to_string(),
            unauthenticated: unproven.objects,
            error: &unproven.error,
        })
    });
    let documents = backups.chain(unproven).collect::<Result<Vec<_>, _>>()?;
    Ok(session.output.json(&documents)?)
}

fn tell_people(found: &Found, session: &mut Session) -> anyhow::Result<()> {
    if found.backups.is_empty() {
        let empty = "there are no backups in this store yet";
        let nothing = "nothing in this store could be authenticated";
        session.output.note(if found.unproven.is_empty() {
            empty
        } else {
            nothing
        });
        return Ok(());
    }
    let row = |backup: &ShownBackup| {
        [
            backup.name.to_string(),
            backup.levels.to_string(),
            when::show(backup.newest.date, &session.zone),
        ]
    };
    let rows: Vec<_> = found.backups.iter().map(row).collect();
    let columns = [
        Column::text("BACKUP"),
        Column::number("POINTS IN TIME"),
        Column::text("NEWEST"),
    ];
    Ok(session.output.table(columns, &rows)?)
}

/// Tells what could not be authenticated, and dates that cannot be right.
fn warn(found: &Found, session: &Session) {
    for unproven in &found.unproven {
        let UnprovenName {
            name,
            objects,
            error,
        } = unproven;
        let objects = several(*objects, "object", "objects");
        session.output.warn(format_args!(
            "{objects} under the name {:?} could not be authenticated, and the name neither: \
             {error}",
            name.to_string()
        ));
    }
    for backup in &found.backups {
        let name = &backup.name;
        if backup.unauthenticated > 0 {
            let objects = several(backup.unauthenticated, "object", "objects");
            session.output.warn(format_args!(
                "{name}: {objects} could not be authenticated and count for nothing; freezer list \
                 {name} shows them"
            ));
        }
        if backup.ahead > 0 && session.output.form != OutputForm::Json {
            let points = several(backup.ahead, "name", "names");
            session.output.warn(format_args!(
                "{name}: {points} of points in time more than a day in the future; freezer list \
                 {name} shows them"
            ));
        }
    }
}
