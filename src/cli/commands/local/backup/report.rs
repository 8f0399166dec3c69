//! What `freezer backup` tells of a new level.

use super::arguments::Arguments;
use crate::backup::{LeftOut, Report, WhyLeftOut};
use crate::cli::open::destinations::StoreOutcome;
use crate::cli::open::session::Session;
use crate::cli::show::document::{LevelDocument, OriginalDocument};
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::cli::show::words::{in_words, several};
use crate::config::show_bytes;
use crate::format::identity::Cipher;
use crate::model::{BackupName, Excludes};
use crate::platform::private_file;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// A backup that was made, or rehearsed.
pub(super) struct Backed<'run> {
    pub(super) backup: &'run BackupName,
    pub(super) report: &'run Report,
    pub(super) excludes: &'run Excludes,
    pub(super) cipher: Cipher,
    pub(super) stores: &'run [StoreOutcome],
}

/// The document of `--metadata-out`.
#[derive(Serialize)]
struct LevelMetadata<'run> {
    #[serde(flatten)]
    original: OriginalDocument,
    #[serde(flatten)]
    level: LevelDocument<'run>,
    /// The stores of the run, with a failure for each that did not get the level.
    stores: &'run [StoreOutcome],
}

/// The last event of `--json`.
#[derive(Serialize)]
struct ResultEvent<'run> {
    event: &'static str,
    dry_run: bool,
    /// Files that an earlier run had stored before it was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken: Option<TakenDocument>,
    /// Whether nothing had changed, so that no point in time was made. The rest of this document is
    /// about the newest one.
    unchanged: bool,
    /// Directories that are in it without their content, though nobody asked for that.
    left_out: Vec<LeftOutDocument>,
    /// Patterns of excludes that matched nothing.
    unmatched_excludes: Vec<String>,
    #[serde(flatten)]
    level: LevelMetadata<'run>,
}

#[derive(Serialize)]
struct LeftOutDocument {
    path: String,
    why: String,
}

#[derive(Serialize)]
struct TakenDocument {
    files: u64,
    bytes: u64,
}

impl Backed<'_> {
    /// Whether every file was read and every store got the level.
    pub(super) fn is_whole(&self) -> bool {
        (self.report.is_unchanged || self.report.manifest.counts.failed == 0)
            && self.report.vanished_from.is_none()
            && self.stores.iter().all(|store| store.failure.is_none())
    }

    /// Whether the point in time may lack what earlier ones have, for a reason that somebody should
    /// look at: retention removes nothing then.
    pub(super) fn may_be_mistaken(&self) -> bool {
        self.report.are_sources_missing || self.report.vanished_from.is_some()
    }

    /// Writes the metadata, and tells people or programs how the run went.
    pub(super) fn tell(&self, arguments: &Arguments, session: &mut Session) -> anyhow::Result<()> {
        let document = self.document(session)?;
        let to_output = arguments.metadata_out.as_deref() == Some(Path::new("-"));
        if let (Some(path), false) = (&arguments.metadata_out, to_output) {
            let json =
                serde_json::to_vec_pretty(&document).context("could not write the metadata")?;
            private_file::write(path, &json)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        let as_json = session.output.form == OutputForm::Json || to_output;
        if as_json {
            let taken = self.report.taken;
            session.output.json(&ResultEvent {
                event: "result",
                dry_run: arguments.dry_run,
                taken: (taken.files > 0).then_some(TakenDocument {
                    files: taken.files,
                    bytes: taken.bytes,
                }),
                unchanged: self.report.is_unchanged,
                left_out: self.left_out(),
                unmatched_excludes: self.excludes.unmatched(),
                level: document,
            })?;
        }
        self.warn_of_stores(session);
        if !as_json {
            self.tell_people(arguments, session);
        }
        Ok(())
    }

    fn left_out(&self) -> Vec<LeftOutDocument> {
        let left_out = self.report.left_out.iter();
        left_out
            .map(|left_out| LeftOutDocument {
                path: left_out.path.to_string(),
                why: left_out.why.to_string(),
            })
            .collect()
    }

    fn document(&self, session: &Session) -> anyhow::Result<LevelMetadata<'_>> {
        let manifest = &self.report.manifest;
        let store = match self.complete() {
            Some(complete) => complete.store.clone(),
            None => session.location()?.to_string(),
        };
        Ok(LevelMetadata {
            original: OriginalDocument::of(self.backup, manifest, self.cipher, &store),
            level: LevelDocument::of(self.backup, manifest, self.cipher),
            stores: self.stores,
        })
    }

    /// Returns the first store that got the level.
    fn complete(&self) -> Option<&StoreOutcome> {
        self.stores.iter().find(|store| store.failure.is_none())
    }

    fn warn_of_stores(&self, session: &Session) {
        for store in self.stores {
            let Some(why) = &store.failure else { continue };
            session.output.warn(format_args!(
                "{} did not get this point in time: {why}",
                store.store
            ));
            if let Some(complete) = self.complete() {
                session.output.note(format_args!(
                    "hint: freezer sync {} {} brings it up to date",
                    complete.store, store.store
                ));
            }
        }
    }

    fn tell_people(&self, arguments: &Arguments, session: &Session) {
        let (backup, report, output) = (self.backup, self.report, &session.output);
        let manifest = &report.manifest;
        let done = if arguments.dry_run {
            "would back up"
        } else {
            "backed up"
        };
        let point = when::show(manifest.started, &session.zone);
        self.tell_of_what_is_missing(session);
        if report.is_unchanged {
            output.note(format_args!(
                "nothing has changed since {backup}@{point}: no point in time was added"
            ));
            return;
        }
        let counts = in_words(&manifest.counts, &manifest.bytes);
        output.note(format_args!(
            "{done} {backup}@{point}: {counts}, in {:.1} s",
            report.elapsed.as_secs_f64()
        ));
        if report.taken.files > 0 {
            output.note(format_args!(
                "{} of these, {}, had been stored by a run that was cut off",
                several(report.taken.files, "file", "files"),
                show_bytes(report.taken.bytes)
            ));
        }
        if manifest.counts.failed > 0 {
            output.warn(format_args!(
                "{} could not be read completely",
                several(manifest.counts.failed, "file", "files")
            ));
        }
    }

    /// Names what a person may expect in the backup and not find there.
    fn tell_of_what_is_missing(&self, session: &Session) {
        let output = &session.output;
        let is_expected = |left_out: &&LeftOut| !matches!(left_out.why, WhyLeftOut::Kernel(_));
        for left_out in self.report.left_out.iter().filter(is_expected) {
            output.note(format_args!(
                "left out what is in {}: {}",
                left_out.path, left_out.why
            ));
        }
        for pattern in self.excludes.unmatched() {
            output.note(format_args!(
                "the exclude pattern {pattern} matched nothing"
            ));
        }
        if let Some(before) = self.report.vanished_from {
            output.warn(format_args!(
                "most files are gone: {} now, {} in the point in time before",
                several(self.report.manifest.counts.files, "file", "files"),
                several(before, "file", "files"),
            ));
        }
    }
}
