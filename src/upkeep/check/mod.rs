//! Answers whether points in time are all there, and which of their files damage touches.
//!
//! What several points in time share is looked at once: each level's segments and frame table, and
//! each run of the index.
//!
//! | file | question |
//! |---|---|
//! | `damage` | what can a check find? |
//! | `portion` | how much is read, and which segments are that? |
//! | `survey` | which streams and trees do the points in time share? |
//! | `streams` | are all segments there? |
//! | `frames` | do the frames tile the stream and its segments? |
//! | `frame_reader` | can each frame be read? |
//! | `parents` | is each manifest the one that its children were made after? |
//! | `structure` | does each entry lie in a directory? |
//! | `trees` | can the trees be read, and which files does damage touch? |
//! | `checker` | how is damage told, and to which points in time does it belong? |

mod checker;
mod damage;
mod frame_reader;
mod frames;
mod parents;
mod portion;
mod streams;
mod structure;
mod survey;
mod trees;

pub use checker::{Checked, UnreadablePoint};
pub use damage::Damage;
pub use portion::{Depth, Portion};

use super::backup_in::BackupIn;
use super::error::CheckError;
use crate::catalog::Access;
use crate::model::{BackupName, Cancel, LevelId, Progress, Ranges};
use checker::Checker;
use parents::check_parents;
use streams::check_streams;
use survey::{CheckedStream, Survey};
use trees::check_trees;

/// Checks points in time of one backup, and all that they lean on. Tells every damage to `found`,
/// with the points in time that it touches, and goes on.
///
/// Memory holds the lengths of the segments and the damaged ranges of each level that is leaned on;
/// the roots of all runs of the index; and the nodes between the roots and the place in the trees.
///
/// # Errors
///
/// [`CheckError`]: it is not known then what the store holds. Damage is no error.
pub fn check(
    access: &Access,
    backup: &BackupName,
    levels: &[LevelId],
    depth: Depth,
    found: &mut dyn FnMut(&[LevelId], Damage),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Checked, CheckError> {
    let of = BackupIn::new(access, backup);
    examine(of, levels, depth, found, progress, cancel).map(|examined| examined.checked)
}

/// What a check has seen, in more detail than it tells.
pub(super) struct Examined {
    pub(super) checked: Checked,
    /// Points in time whose manifests cannot be read.
    pub(super) unreadable: Vec<UnreadablePoint>,
    pub(super) streams: Vec<ExaminedStream>,
}

/// A stream that some point in time leans on.
pub(super) struct ExaminedStream {
    pub(super) level: LevelId,
    pub(super) missing_segments: u32,
    /// The bytes that cannot be read and are needed.
    pub(super) unreadable: Ranges,
}

/// Does a [`check`] for a caller that has to know all that was seen.
pub(super) fn examine(
    of: BackupIn<'_>,
    levels: &[LevelId],
    depth: Depth,
    found: &mut dyn FnMut(&[LevelId], Damage),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Examined, CheckError> {
    let mut checker = Checker::new(of, found, progress, cancel);
    progress.stage("reading the manifests");
    let mut survey = Survey::default();
    for level in levels {
        if let Some((manifest, digest)) = checker.manifest_and_digest(level)? {
            survey.add(&mut checker, manifest, digest);
        }
    }
    check_parents(&mut checker, &survey)?;
    check_streams(&mut checker, &mut survey, depth)?;
    progress.stage("checking the trees");
    check_trees(&mut checker, &mut survey)?;
    Ok(Examined {
        checked: checker.checked,
        unreadable: checker.unreadable,
        streams: survey.streams.into_iter().map(examined_stream).collect(),
    })
}

fn examined_stream(stream: CheckedStream) -> ExaminedStream {
    ExaminedStream {
        missing_segments: stream.missing_segments,
        unreadable: match &stream.parts.live {
            Some(live) => stream.unreadable.intersection(live),
            None => stream.unreadable,
        },
        level: stream.parts.id,
    }
}
