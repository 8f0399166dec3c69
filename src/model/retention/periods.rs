//! The newest point in time of each hour, day, week, month or year.

use super::Period;
use jiff::Zoned;
use jiff::civil::ISOWeekDate;
use std::collections::BTreeSet;

/// The periods of one kind that are kept, in a pass from the newest point in time to the oldest.
pub(super) struct KeptPeriods {
    period: Period,
    /// How many more periods are kept.
    left: u64,
    /// Periods that already have their point in time. A set, because dates may step back by less
    /// than a day.
    seen: BTreeSet<PeriodKey>,
}

/// The numbers that tell a period from all others of its kind.
type PeriodKey = (i32, i32, i32, i32);

impl KeptPeriods {
    pub(super) fn new(period: Period, count: u64) -> Self {
        Self {
            period,
            left: count,
            seen: BTreeSet::new(),
        }
    }

    /// Returns the kind of period if `local` is the newest moment of a period that is kept.
    pub(super) fn takes(&mut self, local: &Zoned) -> Option<Period> {
        if self.left == 0 {
            return None;
        }
        let (year, month, day) = (
            i32::from(local.year()),
            i32::from(local.month()),
            i32::from(local.day()),
        );
        let which = match self.period {
            // In autumn an hour comes twice. These are two hours: their offsets from UTC differ.
            Period::Hour => (
                year,
                month * 100 + day,
                i32::from(local.hour()),
                local.offset().seconds(),
            ),
            Period::Day => (year, month, day, 0),
            Period::Week => {
                let week = ISOWeekDate::from(local.date());
                (i32::from(week.year()), i32::from(week.week()), 0, 0)
            }
            Period::Month => (year, month, 0, 0),
            Period::Year => (year, 0, 0, 0),
        };
        if !self.seen.insert(which) {
            return None;
        }
        self.left -= 1;
        Some(self.period)
    }
}
