//! The last part of `freezer check --read-data`: whether files are what was stored.

use crate::catalog::Access;
use crate::cli::commands::local::damage;
use crate::cli::open::point::view_of;
use crate::cli::open::session::Session;
use crate::fs::FileReader;
use crate::fs::view::View;
use crate::model::{BackupName, Cancel, LevelId};
use crate::restore::{ContentsError, OtherFile, compare_contents};
use crate::upkeep::Damage;
use anyhow::Context;
use std::sync::Arc;

/// Compares the content of all files of these points in time, the newest first, with the hashes in
/// the index. Reads what points in time share once. Returns how many files differ.
///
/// A point in time whose tree cannot be read is passed over: that was told.
pub(super) fn check_contents(
    access: &Access,
    backup: &BackupName,
    levels: &[LevelId],
    session: &mut Session,
    cancel: &Cancel,
) -> anyhow::Result<u64> {
    let reader = FileReader::new(&session.read_options()?).context("could not start reading")?;
    let reader = Arc::new(reader);
    let mut later: Option<View> = None;
    let mut differ = 0;
    for level in levels.iter().rev() {
        let Ok(manifest) = access.manifest(backup, level) else {
            continue;
        };
        let Ok(view) = view_of(access, backup, manifest, &reader) else {
            continue;
        };
        let mut printed = Ok(());
        let mut found = |OtherFile { path, error }: OtherFile| {
            differ += 1;
            let damage = Damage::Content {
                path,
                source: error,
            };
            if printed.is_ok() {
                printed = damage::tell(session, backup, std::slice::from_ref(level), &damage);
            }
        };
        match compare_contents(&view, later.as_ref(), &mut found, cancel) {
            Err(ContentsError::Tree(error)) => {
                tracing::debug!(%level, error = &error as &dyn std::error::Error, "not compared")
            }
            done => done?,
        }
        printed?;
        later = Some(view);
    }
    Ok(differ)
}
