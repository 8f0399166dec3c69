//! Points in time, open for reading.

use crate::catalog::{Access, locate};
use crate::cli::open::backups::levels_of;
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, chain};
use crate::cli::show::when;
use crate::format::manifest::Manifest;
use crate::fs::FileReader;
use crate::fs::timeline::Timeline;
use crate::fs::view::{View, ViewParts};
use crate::model::{BackupName, BackupRef, LevelId};
use crate::platform::Clock;
use anyhow::Context;
use std::sync::Arc;

/// An open store with one cache for all its points in time.
pub(in crate::cli) struct OpenStore {
    access: Access,
    reader: Arc<FileReader>,
}

/// A point in time, open for reading.
pub(in crate::cli) struct PointView {
    pub(in crate::cli) backup: BackupName,
    pub(in crate::cli) level: LevelId,
    pub(in crate::cli) view: View,
}

impl OpenStore {
    /// Opens the session's store for reading.
    pub(in crate::cli) fn open(session: &Session) -> anyhow::Result<Self> {
        let access = session.access_for_reading()?;
        let reader =
            FileReader::new(&session.read_options()?).context("could not start reading")?;
        Ok(Self {
            access,
            reader: Arc::new(reader),
        })
    }

    /// Opens the point in time that `wanted` names.
    pub(in crate::cli) fn point(
        &self,
        wanted: &BackupRef,
        session: &Session,
    ) -> anyhow::Result<PointView> {
        let located = locate(&self.access, wanted, session.clock.now(), &session.zone)?;
        let (backup, level, manifest) = located.opened()?;
        let view = view_of(&self.access, &backup, manifest, &self.reader)?;
        Ok(PointView {
            backup,
            level,
            view,
        })
    }
}

impl PointView {
    /// Opens the point in time that `wanted` names in the session's store.
    pub(in crate::cli) fn open(wanted: &BackupRef, session: &Session) -> anyhow::Result<Self> {
        OpenStore::open(session)?.point(wanted, session)
    }
}

/// Opens the tree of a level.
pub(in crate::cli) fn view_of(
    access: &Access,
    backup: &BackupName,
    manifest: Manifest,
    reader: &Arc<FileReader>,
) -> anyhow::Result<View> {
    let parts = ViewParts {
        manifest,
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        backup: backup.clone(),
    };
    Ok(View::open(parts, reader)?)
}

/// Opens the points in time that `wanted` names side by side. Warns of those that cannot be opened
/// and leaves them out; the ending is then partial.
pub(in crate::cli) fn timeline(
    wanted: &BackupRef,
    session: &Session,
) -> anyhow::Result<(Timeline, Completion)> {
    let access = session.access()?;
    let (backup, levels) = levels_of(&access, wanted, session)?;
    let mut left_out = Vec::new();
    let timeline = Timeline::open(&access, &backup, levels, |level, error| {
        left_out.push((level, error))
    });
    let shown = |level: &LevelId| when::show(level.started(), &session.zone);
    if timeline.levels().is_empty()
        && let Some((level, error)) = left_out.pop()
    {
        let point = shown(&level);
        return Err(anyhow::Error::new(error).context(format!("could not open {backup}@{point}")));
    }
    let ending = Completion::of(left_out.is_empty());
    for (level, error) in left_out {
        session.output.warn(format_args!(
            "{backup}@{} is left out: {}",
            shown(&level),
            chain(&error)
        ));
    }
    Ok((timeline, ending))
}
