//! Finds the point in time that `name@DATE` means.

use super::{Access, AccessError, Catalog, CatalogError, LevelVerb, Order, is_stray, names};
use crate::format::manifest::Manifest;
use crate::model::{BackupName, BackupRef, Choice, LevelId};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The point in time that is meant.
#[derive(Debug)]
pub struct Located {
    /// The backup.
    pub backup: BackupName,
    /// The level that shows the point in time.
    pub level: LevelId,
    /// Its manifest; the error, where the manifest was damaged.
    pub manifest: Result<Manifest, AccessError>,
    /// Objects that have the name of a better choice, and are no points in time.
    pub strays: Vec<LevelId>,
}

impl Located {
    /// Returns the backup, the level and its manifest.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Unreadable`].
    pub fn opened(self) -> Result<(BackupName, LevelId, Manifest), CatalogError> {
        match self.manifest {
            Ok(manifest) => Ok((self.backup, self.level, manifest)),
            Err(source) => Err(CatalogError::Unreadable {
                backup: self.backup,
                level: self.level,
                source: Box::new(source),
            }),
        }
    }
}

/// Finds the point in time that is meant when it is `now` in `zone`, and opens its manifest.
/// Without a DATE that is the one that was made last.
///
/// # Errors
///
/// [`CatalogError::NoSuchLevel`] and those of [`Catalog::find`]. A manifest that was damaged is no
/// error here.
pub fn locate(
    access: &Access,
    wanted: &BackupRef,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Located, CatalogError> {
    let backup = Catalog::new(access.store()).find(wanted)?;
    let order = Order::read(access, &backup, now)?;
    let choice = wanted
        .at()
        .map_or(Choice::Newest, |at| at.choice(now, zone));
    match best_of(access, &backup, &choice, &order)? {
        Some(located) => Ok(located),
        None => Err(not_there(backup, wanted, &order)),
    }
}

/// Opens the choices one after the other, the best first, until one is a point in time. Where none
/// is, returns the best.
fn best_of(
    access: &Access,
    backup: &BackupName,
    choice: &Choice,
    order: &Order,
) -> Result<Option<Located>, CatalogError> {
    let located = |level, manifest, strays| Located {
        backup: backup.clone(),
        level,
        manifest,
        strays,
    };
    let mut strays = Vec::new();
    let mut first = None;
    for level in choice.among(order.points()) {
        let manifest = match access.manifest(backup, level) {
            Err(AccessError::Store(source)) if !source.kind().is_damage() => {
                return Err(CatalogError::of_level(LevelVerb::Open, backup, level)(
                    source,
                ));
            }
            Err(error)
                if !matches!(choice, Choice::Exactly(_))
                    && is_stray(access, backup, level, &error)? =>
            {
                tracing::warn!(
                    %backup,
                    object = %names::manifest_name(backup, level),
                    "this object is no manifest of this store, and is passed over; \
                     freezer check tells more"
                );
                strays.push(level.clone());
                first.get_or_insert((level.clone(), error));
                continue;
            }
            manifest => manifest,
        };
        return Ok(Some(located(level.clone(), manifest, strays)));
    }
    Ok(first.map(|(level, error)| located(level, Err(error), Vec::new())))
}

fn not_there(backup: BackupName, wanted: &BackupRef, order: &Order) -> CatalogError {
    match order.points().iter().min_by_key(|point| point.date) {
        Some(oldest) => CatalogError::NoSuchLevel {
            backup,
            wanted: wanted.at().map(ToString::to_string).unwrap_or_default(),
            oldest: oldest.level.clone(),
        },
        // Its last level was withdrawn since the backup was found.
        None => CatalogError::UnknownBackup {
            wanted: wanted.name().to_owned(),
            near: Vec::new(),
        },
    }
}
