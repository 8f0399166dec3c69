//! Retention: the rules that decide which points in time a prune keeps. Needs neither a store nor a
//! clock.

mod periods;
mod reason;
#[cfg(test)]
mod tests;
mod within;

pub use reason::{Fate, Period, Reason};
pub use within::{Within, WithinError};

use super::LevelId;
use super::order::{WrongDate, wrong_dates};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use periods::KeptPeriods;

/// The rules of a backup. Each rule protects points in time; one that no rule protects goes.
///
/// Without any rule, nothing goes. These stay under all rules: the newest point in time that can be
/// read, which is the one whose run was the last; points in time that cannot be read, because
/// nobody knows what would be lost; and points in time with a wrong clock, because nobody knows
/// their day. The last two count for no rule, so they take the place of no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How many of the newest points in time stay.
    pub last: u64,
    /// In how many hours the newest stays. Hours without any do not count.
    pub hourly: u64,
    /// In how many days the newest stays.
    pub daily: u64,
    /// In how many weeks the newest stays. Weeks begin on Monday.
    pub weekly: u64,
    /// In how many months the newest stays.
    pub monthly: u64,
    /// In how many years the newest stays.
    pub yearly: u64,
    /// Everything stays that began within this time before the newest point in time, or before now
    /// if that is earlier.
    pub within: Option<Within>,
    /// Everything with one of these tags stays.
    pub tags: Vec<String>,
    /// Everything stays that began at this moment or later. If this is the only rule, everything
    /// that began before goes.
    pub since: Option<Timestamp>,
}

/// A point in time, as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The level of the point in time.
    pub level: LevelId,
    /// When its run began, by the clock of that run.
    pub date: Timestamp,
    /// The tags that the user gave the run.
    pub tags: Vec<String>,
    /// Whether its manifest can be read.
    pub is_readable: bool,
}

impl Retention {
    /// Returns whether there is no rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Decides the fate of each of a backup's points in time, given in the order in which they were
    /// made, when it is `now` in `zone`.
    ///
    /// A further rule never lets more go. Applied again to what stays, the same rules let nothing
    /// go, unless a clock was wrong: that may no longer show when others have gone.
    pub fn decide(&self, candidates: &[Candidate], now: Timestamp, zone: &TimeZone) -> Vec<Fate> {
        if self.is_empty() {
            return vec![Fate::Stays(vec![Reason::NoRule]); candidates.len()];
        }
        let wrong = wrong_dates_of(candidates, now);
        let is_right = |at: &usize| candidates[*at].is_readable && wrong[*at].is_none();
        let newest = candidates
            .iter()
            .rposition(|candidate| candidate.is_readable);
        // If the last run has a wrong date, the last one with a right date stays too.
        let newest_right = (0..candidates.len()).rfind(is_right);
        let newest_date = (0..candidates.len())
            .filter(is_right)
            .map(|at| candidates[at].date)
            .max();
        let young_since = self
            .within
            .as_ref()
            .map(|within| within.before(newest_date.unwrap_or(now).min(now), zone));
        let mut pass = RetentionPass {
            rules: self,
            zone,
            young_since,
            last: self.last,
            periods: self.periods(),
        };
        let mut fates: Vec<Fate> = (0..candidates.len())
            .rev()
            .map(|at| {
                let is_newest = newest == Some(at) || newest_right == Some(at);
                pass.fate(&candidates[at], is_newest, wrong[at])
            })
            .collect();
        fates.reverse();
        fates
    }

    fn periods(&self) -> [KeptPeriods; 5] {
        [
            KeptPeriods::new(Period::Hour, self.hourly),
            KeptPeriods::new(Period::Day, self.daily),
            KeptPeriods::new(Period::Week, self.weekly),
            KeptPeriods::new(Period::Month, self.monthly),
            KeptPeriods::new(Period::Year, self.yearly),
        ]
    }
}

/// A pass over the points in time of a backup, from the newest to the oldest.
struct RetentionPass<'a> {
    rules: &'a Retention,
    zone: &'a TimeZone,
    /// Everything that began at this moment or later is young enough for [`Retention::within`].
    young_since: Option<Timestamp>,
    /// How many more stay by [`Retention::last`].
    last: u64,
    periods: [KeptPeriods; 5],
}

impl RetentionPass<'_> {
    fn fate(&mut self, candidate: &Candidate, is_newest: bool, wrong: Option<WrongDate>) -> Fate {
        if !candidate.is_readable {
            return Fate::Stays(vec![Reason::Unreadable]);
        }
        let mut reasons = Vec::new();
        if is_newest {
            reasons.push(Reason::Newest);
        }
        if let Some(wrong) = wrong {
            reasons.push(Reason::WrongDate(wrong));
            return Fate::Stays(reasons);
        }
        if self.last > 0 {
            self.last -= 1;
            reasons.push(Reason::Last);
        }
        let local = candidate.date.to_zoned(self.zone.clone());
        let kept = self.periods.iter_mut();
        reasons.extend(
            kept.filter_map(|kept| kept.takes(&local))
                .map(Reason::Period),
        );
        if self
            .young_since
            .is_some_and(|since| candidate.date >= since)
        {
            reasons.push(Reason::Within);
        }
        let tags = candidate.tags.iter();
        reasons.extend(
            tags.filter(|tag| self.rules.tags.contains(tag))
                .cloned()
                .map(Reason::Tag),
        );
        if self
            .rules
            .since
            .is_some_and(|since| candidate.date >= since)
        {
            reasons.push(Reason::Young);
        }
        if reasons.is_empty() {
            Fate::Goes
        } else {
            Fate::Stays(reasons)
        }
    }
}

/// Returns what is wrong with the date of each candidate. Dates of unreadable ones are ignored.
fn wrong_dates_of(candidates: &[Candidate], now: Timestamp) -> Vec<Option<WrongDate>> {
    let dates: Vec<Timestamp> = candidates
        .iter()
        .filter(|candidate| candidate.is_readable)
        .map(|candidate| candidate.date)
        .collect();
    let mut wrong = wrong_dates(&dates, now).into_iter();
    candidates
        .iter()
        .map(|candidate| {
            candidate
                .is_readable
                .then(|| wrong.next().flatten())
                .flatten()
        })
        .collect()
}
