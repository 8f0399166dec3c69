//! Checks that each point in time was made after the manifest that is stored of its parent.

use super::checker::Checker;
use super::damage::Damage;
use super::survey::Survey;
use crate::catalog::AccessError;
use crate::format::manifest;
use crate::model::LevelId;
use crate::upkeep::error::CheckError;
use std::collections::BTreeMap;

/// Compares the digests that manifests name with those that the manifests have.
///
/// A parent that is gone is no damage: retention removes points in time from within a chain. Where
/// one point is checked alone, its parent is read for this; otherwise all that exist were read.
pub(super) fn check_parents(checker: &mut Checker<'_>, survey: &Survey) -> Result<(), CheckError> {
    let digests: BTreeMap<&LevelId, &str> = survey
        .points
        .iter()
        .map(|point| (&point.level, point.digest.as_str()))
        .collect();
    for point in &survey.points {
        let Some(parent) = &point.parent else {
            continue;
        };
        let is_other = match digests.get(&parent.id) {
            Some(digest) => **digest != *parent.digest,
            None if survey.points.len() > 1 => false,
            None => match checker
                .access()
                .manifest_bytes(checker.backup(), &parent.id)
            {
                Ok(stored) => manifest::digest(&stored) != parent.digest,
                Err(source) if source.is_outage() => {
                    return Err(unread(parent.id.clone(), source));
                }
                Err(_) => false,
            },
        };
        if is_other {
            let damage = Damage::Parent {
                parent: parent.id.clone(),
            };
            checker.tell_of(std::slice::from_ref(&point.level), damage);
        }
    }
    Ok(())
}

fn unread(level: LevelId, source: AccessError) -> CheckError {
    CheckError::Manifest { level, source }
}
