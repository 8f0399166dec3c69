//! Notes of withdrawn points in time are not authenticated: whatever one says, it keeps data no
//! longer than the grace and some leases.

use super::{Series, last, objects};
use crate::support::backup;
use freezer::catalog::names::withdrawn_name;
use freezer::model::LevelId;
use freezer::platform::Clock;
use freezer::store::Store;
use freezer::upkeep::{Remark, remarks};
use jiff::{SignedDuration, Timestamp};

const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// Two full levels, of which the first is to go, and a note of this moment that names it.
fn with_note(at: impl Fn(Timestamp) -> Timestamp, body: &[u8]) -> (Series, LevelId) {
    let mut series = Series::new();
    let mut request = series.request();
    request.levels.incremental = false;
    series.write("file", b"one");
    let old = series.back_up_as(&request);
    series.write("file", b"two");
    series.back_up_as(&request);
    let moment = at(series.clock.now());
    let name = withdrawn_name(&backup::name(), &LevelId::new(moment, 7));
    let body = if body.is_empty() {
        format!("{old}\n").into_bytes()
    } else {
        body.to_vec()
    };
    series.store.put(&name, &vec![body]).expect("stored");
    (series, old)
}

fn has_data(series: &Series, level: &LevelId) -> bool {
    !objects(series.store.as_ref(), &format!("data/host/tree/{level}/")).is_empty()
}

fn far(_: Timestamp) -> Timestamp {
    "9999-01-01T00:00:00Z".parse().expect("a time")
}

#[test]
fn a_note_of_the_far_future_keeps_nothing() {
    for body in [&b""[..], b"\0\0\0"] {
        let (series, old) = with_note(far, body);
        series.prune(&last(1), GRACE).expect("pruned");
        assert!(has_data(&series, &old), "the grace of its own note runs");
        series.pass(GRACE + SignedDuration::from_mins(1));
        series.prune(&last(1), GRACE).expect("pruned");
        assert!(!has_data(&series, &old));
        let notes = objects(series.store.as_ref(), "withdrawn/");
        assert!(
            !notes.iter().any(|note| note.contains("/9999")),
            "{notes:?}"
        );
    }
}

#[test]
fn a_note_of_a_clock_that_is_some_minutes_ahead_counts() {
    let ahead = |now: Timestamp| now + SignedDuration::from_mins(5);
    let (series, old) = with_note(ahead, b"");
    series.prune(&last(1), GRACE).expect("pruned");
    series.pass(GRACE + SignedDuration::from_mins(1));
    series.prune(&last(1), GRACE).expect("pruned");
    assert!(has_data(&series, &old), "its grace is not over");
    series.pass(SignedDuration::from_mins(10));
    series.prune(&last(1), GRACE).expect("pruned");
    assert!(!has_data(&series, &old));
}

#[test]
fn without_a_grace_no_note_keeps_anything() {
    let moments: [fn(Timestamp) -> Timestamp; 3] =
        [|now| now, |now| now + SignedDuration::from_mins(5), far];
    for at in moments {
        let (series, old) = with_note(at, b"");
        series
            .prune(&last(1), SignedDuration::ZERO)
            .expect("pruned");
        assert!(!has_data(&series, &old));
    }
}

#[test]
fn a_note_that_is_too_long_keeps_what_is_older_and_stops_nothing() {
    let (series, old) = with_note(|now| now, &vec![b'x'; (16 << 20) + 1]);
    series.prune(&last(1), GRACE).expect("pruned all the same");
    assert!(has_data(&series, &old));
}

#[test]
fn a_note_of_the_future_is_not_told() {
    let (series, _) = with_note(far, b"");
    let told = remarks(&series.access, &backup::name(), series.clock.now()).expect("listed");
    assert!(
        !told
            .iter()
            .any(|remark| matches!(remark, Remark::Notes { .. })),
        "{told:?}"
    );
}
