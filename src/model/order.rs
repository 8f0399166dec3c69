//! The dates of points in time, and which of them come from a wrong clock.
//!
//! A run may have had a wrong clock. The order of points in time is therefore the order of their
//! runs, never that of their dates. A date that does not fit between its neighbours decides nothing
//! about other points in time.

use super::LevelId;
use jiff::{SignedDuration, Timestamp};

/// How far a date may be off before its clock counts as wrong. Clocks of machines differ, and wrong
/// time zones shift them by hours.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// A point in time and its date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The level of the point in time.
    pub level: LevelId,
    /// When its run began, by the clock of that run.
    pub date: Timestamp,
}

/// Returns whether a date is more than a day in the future.
pub fn is_ahead(date: Timestamp, now: Timestamp) -> bool {
    now.checked_add(TOLERANCE).is_ok_and(|limit| date > limit)
}

/// How the date of a point in time is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongDate {
    /// It is more than a day in the future.
    Ahead,
    /// It is more than a day away from its place between the points before and after it.
    OutOfOrder,
}

/// Returns how each date is wrong. The dates stand in the order in which the runs were made.
///
/// Among the dates that are not in the future, the longest series that ascends counts as right. If
/// one clock was wrong, this finds that one, whether it was ahead or behind. A date that is less
/// than a day off is right too.
pub fn wrong_dates(dates: &[Timestamp], now: Timestamp) -> Vec<Option<WrongDate>> {
    let past: Vec<usize> = (0..dates.len())
        .filter(|at| !is_ahead(dates[*at], now))
        .collect();
    let right = longest_ascent(&past, dates);
    let mut wrong: Vec<Option<WrongDate>> = dates
        .iter()
        .map(|date| is_ahead(*date, now).then_some(WrongDate::Ahead))
        .collect();
    let mut next = 0;
    for at in past {
        while right.get(next).is_some_and(|right| *right < at) {
            next += 1;
        }
        if right.get(next) == Some(&at) {
            continue;
        }
        let before = next.checked_sub(1).and_then(|before| right.get(before));
        let early = before.is_some_and(|before| is_ahead(dates[*before], dates[at]));
        let late = right
            .get(next)
            .is_some_and(|after| is_ahead(dates[at], dates[*after]));
        if early || late {
            wrong[at] = Some(WrongDate::OutOfOrder);
        }
    }
    wrong
}

/// Returns the places of the longest series of dates that do not descend, out of the places in
/// `among`. Among several such series, returns the one that spans the least time.
fn longest_ascent(among: &[usize], dates: &[Timestamp]) -> Vec<usize> {
    if among.is_sorted_by_key(|at| dates[*at]) {
        return among.to_vec();
    }
    // The best series that ends at each place: its length, its first date, and the place before.
    let mut best: Vec<(usize, Timestamp, Option<usize>)> = Vec::with_capacity(among.len());
    for at in among {
        let mut own = (1, dates[*at], None);
        for (before, (length, first, _)) in best.iter().enumerate() {
            let fits = dates[among[before]] <= dates[*at];
            if fits && (*length + 1, *first) > (own.0, own.1) {
                own = (*length + 1, *first, Some(before));
            }
        }
        best.push(own);
    }
    let mut last: Option<usize> = None;
    for (place, (length, first, _)) in best.iter().enumerate() {
        let span = |place: usize, first: Timestamp| dates[among[place]].duration_since(first);
        let is_better = last.is_none_or(|last| {
            let (most, since, _) = best[last];
            *length > most || *length == most && span(place, *first) < span(last, since)
        });
        if is_better {
            last = Some(place);
        }
    }
    let mut row = Vec::new();
    while let Some(place) = last {
        row.push(among[place]);
        last = best[place].2;
    }
    row.reverse();
    row
}

#[cfg(test)]
mod tests {
    use super::{WrongDate, is_ahead, longest_ascent, wrong_dates};
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    fn day(day: i64) -> Timestamp {
        "2026-11-01T12:00:00Z".parse::<Timestamp>().expect("a time")
            + SignedDuration::from_hours(24 * day)
    }

    fn wrong(days: &[i64], now: i64) -> Vec<Option<WrongDate>> {
        let dates: Vec<_> = days.iter().map(|at| day(*at)).collect();
        wrong_dates(&dates, day(now))
    }

    #[test]
    fn one_wrong_clock_is_found_in_whichever_direction_it_was_wrong() {
        use WrongDate::{Ahead, OutOfOrder};
        assert_eq!(wrong(&[1, 2, 3], 3), [None; 3]);
        assert_eq!(
            wrong(&[1, 2, 26_000, 3, 4], 4),
            [None, None, Some(Ahead), None, None]
        );
        assert_eq!(
            wrong(&[1, 2, 30, 3, 4, 31], 31),
            [None, None, Some(OutOfOrder), None, None, None],
            "its date has come since"
        );
        assert_eq!(
            wrong(&[1, 2, -20_000, 3], 3),
            [None, None, Some(OutOfOrder), None]
        );
        assert_eq!(
            wrong(&[1, 2, -20_000], 3),
            [None, None, Some(OutOfOrder)],
            "the last date"
        );
        assert_eq!(wrong(&[1, 3, 2, 4], 4), [None; 4], "a day off is not wrong");
        assert_eq!(
            wrong(&[1, 2, 3], -20_000),
            [Some(Ahead); 3],
            "the clock of the reader is the wrong one"
        );
        assert_eq!(wrong(&[], 1), []);
    }

    proptest! {
        #[test]
        fn dates_that_ascend_are_never_wrong(
            mut days in prop::collection::vec(0_i64..1000, 0..30),
        ) {
            days.sort_unstable();
            prop_assert!(wrong(&days, 1000).iter().all(Option::is_none));
        }

        #[test]
        fn the_right_dates_are_a_longest_series_that_ascends(
            days in prop::collection::vec(-100_i64..100, 0..30),
        ) {
            let dates: Vec<_> = days.iter().map(|at| day(*at)).collect();
            let wrong = wrong_dates(&dates, day(50));
            for (date, wrong) in dates.iter().zip(&wrong) {
                prop_assert_eq!(*wrong == Some(WrongDate::Ahead), is_ahead(*date, day(50)));
            }
            let all: Vec<usize> = (0..dates.len()).collect();
            let row = longest_ascent(&all, &dates);
            prop_assert!(row.is_sorted() && row.is_sorted_by_key(|at| dates[*at]));
            // No series is longer: the slow way to find that out.
            let mut longest = vec![1_usize; dates.len()];
            for at in 0..dates.len() {
                for before in 0..at {
                    if dates[before] <= dates[at] {
                        longest[at] = longest[at].max(longest[before] + 1);
                    }
                }
            }
            prop_assert_eq!(row.len(), longest.into_iter().max().unwrap_or(0));
        }

        #[test]
        fn one_wrong_clock_leaves_all_others_right(
            count in 3_i64..30,
            at in 0_usize..30,
            off in prop_oneof![-9000_i64..-40, 40_i64..90_000],
        ) {
            let at = at % usize::try_from(count).expect("small");
            let mut days: Vec<i64> = (0..count).collect();
            days[at] += off;
            let wrong = wrong(&days, count);
            for (place, wrong) in wrong.iter().enumerate() {
                prop_assert!(place == at || wrong.is_none(), "{days:?}: {place}");
            }
        }
    }
}
