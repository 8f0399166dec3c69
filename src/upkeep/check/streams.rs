//! Checks the streams that points in time lean on: each level's segments and frame table once.

use super::checker::Checker;
use super::damage::Damage;
use super::frames::FrameCheck;
use super::portion::{Depth, SegmentsToRead};
use super::survey::{CheckedStream, Survey};
use crate::catalog::names::{Folder, LevelOf};
use crate::catalog::stream::{self, StreamObjects};
use crate::model::Ranges;
use crate::upkeep::error::CheckError;

/// Checks that the segments of each level are there and the frames fill them, and reads those that
/// are to be read.
pub(super) fn check_streams(
    checker: &mut Checker<'_>,
    survey: &mut Survey,
    depth: Depth,
) -> Result<(), CheckError> {
    for place in 0..survey.streams.len() {
        checker.speak_of(survey.leaning_on(place));
        if let Some(stream) = survey
            .streams
            .get_mut(place)
            .filter(|stream| !stream.is_dead())
        {
            find_segments(checker, stream)?;
            checker.checked.stored_bytes += stream.lengths.values().sum::<u64>();
        }
    }
    let to_read = choose(checker, survey, depth)?;
    checker.progress.stage(if to_read.is_some() {
        "reading the data"
    } else {
        "checking the frame tables"
    });
    for place in 0..survey.streams.len() {
        checker.speak_of(survey.leaning_on(place));
        let Some(stream) = survey.streams.get_mut(place) else {
            continue;
        };
        if stream.is_dead() {
            stream.unreadable = Ranges::of(0..u64::MAX);
            continue;
        }
        let to_read = to_read.as_ref().map(|to_read| to_read.of(place));
        let seen = FrameCheck::new(checker, &stream.parts, &stream.lengths, to_read).check()?;
        stream.unreadable = seen.unreadable;
        stream.missing_segments += seen.missing_segments;
    }
    Ok(())
}

/// Chooses the segments that are read; `None` where only the structure is checked.
fn choose(
    checker: &mut Checker<'_>,
    survey: &Survey,
    depth: Depth,
) -> Result<Option<SegmentsToRead>, CheckError> {
    let Depth::Data(portion) = depth else {
        return Ok(None);
    };
    let streams = || survey.streams.iter();
    let segments = streams().map(|stream| (&stream.parts.id, &stream.lengths));
    let to_read = SegmentsToRead::new(portion, segments).map_err(CheckError::Random)?;
    let stream_bytes: u64 = streams().map(|stream| stream.parts.stream_bytes).sum();
    let total = to_read.share_of(stream_bytes, checker.checked.stored_bytes);
    checker.progress.expect_total(0, total);
    checker.checked.read_bytes = to_read.bytes();
    Ok(Some(to_read))
}

/// Finds the segments of a level that the store has, and where its stream is if it was repacked.
fn find_segments(checker: &mut Checker<'_>, stream: &mut CheckedStream) -> Result<(), CheckError> {
    let of = LevelOf::new(checker.backup(), &stream.parts.id);
    let store = checker.of.store();
    let listed = StreamObjects::list(store.as_ref(), &of, || !checker.is_cancelled())
        .map_err(CheckError::List)?;
    checker.go_on()?;
    if listed.repacked > stream.parts.repacked {
        let opener = checker.access().opener(&of.level);
        match stream::load(store.as_ref(), &opener, &of, listed.repacked) {
            Ok(newest) => stream.parts = newest.apply(stream.parts.clone()),
            Err(source) => checker.tell(Damage::Repacked {
                object: of.data_name(Folder::Repacked, listed.repacked),
                source,
            }),
        }
    }
    let parts = &stream.parts;
    stream.lengths = listed.segments;
    stream.lengths.retain(|number, _| *number < parts.segments);
    // Where only some bytes are needed, the frame table tells which segments must be there.
    if parts.live.is_none() {
        for number in 0..parts.segments {
            if !stream.lengths.contains_key(&number) {
                stream.missing_segments += 1;
                checker.tell(Damage::Missing(of.data_name(Folder::Segments, number)));
            }
        }
    }
    Ok(())
}
