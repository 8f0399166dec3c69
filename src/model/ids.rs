//! Numbers and identities. Each has a type of its own, so that nobody mixes them up.

use std::fmt;

/// Position in the tar stream of one level, in bytes before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamOffset(pub u64);

/// Position in a stored segment, in bytes after compression and encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentOffset(pub u64);

/// Position in a file's content, in bytes, including holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileOffset(pub u64);

/// Number of a frame in its lane of a level, from 0 in stream order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameNo(pub u64);

/// Number of a level in its backup, from 1 across all chains, never used twice. An
/// [`Extent`](super::Extent) names its level by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LevelSerial(pub u64);

/// The epoch of a store's master key, from 1. Each rotation of the key begins another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyEpoch(pub u8);

impl KeyEpoch {
    /// Stands where nothing is encrypted.
    pub const NONE: Self = Self(0);
    /// The epoch of a store whose key was never rotated.
    pub const FIRST: Self = Self(1);
}

/// Number of an entry in a point in time, in the role of an inode number: its rank in the index.
/// The root is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Identity of a store, chosen at random when it is made: 16 bytes, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for StoreId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError {
            what: "store id",
            text: text.to_owned(),
        };
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| refuse())?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// A text is not a valid name or identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}")]
pub struct NameError {
    /// What the text should be, such as `host name`.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

/// Identity of a level: the moment when its run began (UTC, milliseconds) and 8 random hexadecimal
/// digits, such as `20261122T223450.123Z-1a2b3c4d`. As text, it sorts by time.
///
/// Levels were made in the order of their ids, unless one of them
/// [is out of order](Self::is_out_of_order) or a clock was ahead. `catalog::Order` finds the order
/// then.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LevelId(Box<str>);

/// Length of a [`LevelId`] in bytes.
const LEVEL_ID_LENGTH: usize = 29;

/// The upper half of the random digits of an id that is out of order. By chance, one id of 65,536
/// has it too, which costs readers some requests.
const OUT_OF_ORDER: u32 = 0xffff_0000;

/// How far an id may be ahead of its clock, so that it comes after another one of the same moment.
const SAME_MOMENT: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

impl LevelId {
    /// Makes the identity of a level that begins at `started`.
    pub fn new(started: jiff::Timestamp, random: u32) -> Self {
        let text = started
            .to_zoned(jiff::tz::TimeZone::UTC)
            .strftime("%Y%m%dT%H%M%S")
            .to_string();
        let milliseconds = started.subsec_millisecond().unsigned_abs();
        Self(format!("{text}.{milliseconds:03}Z-{random:08x}").into())
    }

    /// Makes the identity of a level that begins `now`. `others` are all ids that can be seen in
    /// the backup, including those of objects that only look like levels.
    ///
    /// The others move the new id by a second at most. If one of them is still later, the new id
    /// says that it is [out of order](Self::is_out_of_order).
    pub fn next<'a>(
        now: jiff::Timestamp,
        random: u32,
        others: impl Iterator<Item = &'a Self> + Clone,
    ) -> Self {
        let own = Self::new(now, random).started();
        let at_once = own.checked_add(SAME_MOMENT).unwrap_or(own);
        let of_moment = others
            .clone()
            .map(Self::started)
            .filter(|other| (own..=at_once).contains(other))
            .max();
        let started = of_moment
            .and_then(|last| last.checked_add(jiff::SignedDuration::from_millis(1)).ok())
            .unwrap_or(now);
        let is_last = others.max().is_none_or(|last| last.started() < started);
        let random = match (is_last, random & OUT_OF_ORDER == OUT_OF_ORDER) {
            (false, _) => random | OUT_OF_ORDER,
            (true, true) => random ^ 1 << 31,
            (true, false) => random,
        };
        Self::new(started, random)
    }

    /// Returns whether a later id of the same backup may have existed when this one was made. Ids
    /// alone do not tell the order then; manifests do. If this returns false, there was no later
    /// id.
    pub fn is_out_of_order(&self) -> bool {
        self.0
            .get(21..)
            .is_some_and(|digits| digits.starts_with("ffff"))
    }

    /// Returns when the run began, to the millisecond.
    pub fn started(&self) -> jiff::Timestamp {
        Self::parse_started(&self.0).unwrap_or(jiff::Timestamp::MIN)
    }

    /// Returns the text, as it stands in object names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse_started(text: &str) -> Option<jiff::Timestamp> {
        let (date, rest) = (text.get(..15)?, text.get(15..20)?);
        let seconds = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", date).ok()?;
        let milliseconds = rest
            .strip_prefix('.')?
            .strip_suffix('Z')?
            .parse::<i64>()
            .ok()?;
        let start = seconds.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        start
            .checked_add(jiff::SignedDuration::from_millis(milliseconds))
            .ok()
    }
}

impl std::str::FromStr for LevelId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let random = text.get(20..).and_then(|rest| rest.strip_prefix('-'));
        let legal = text.len() == LEVEL_ID_LENGTH
            && random.is_some_and(|digits| {
                digits
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
            && Self::parse_started(text).is_some();
        if legal {
            Ok(Self(text.into()))
        } else {
            Err(NameError {
                what: "level id",
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for LevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The full name of a backup: its host and its name there, shown as `host/name`.
///
/// Both parts have 1 to 255 bytes of text without control characters. A host has no `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupName {
    host: Box<str>,
    name: Box<str>,
}

impl BackupName {
    /// Makes a name from both parts.
    ///
    /// # Errors
    ///
    /// [`NameError`] with the part that breaks a rule.
    pub fn new(host: &str, name: &str) -> Result<Self, NameError> {
        let legal = |text: &str| {
            (1..=255).contains(&text.len())
                && !text.chars().any(char::is_control)
                && text != "."
                && text != ".."
        };
        if !legal(host) || host.contains('/') {
            return Err(NameError {
                what: "host name",
                text: host.to_owned(),
            });
        }
        if !legal(name) {
            return Err(NameError {
                what: "backup name",
                text: name.to_owned(),
            });
        }
        Ok(Self {
            host: host.into(),
            name: name.into(),
        })
    }

    /// Returns the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the name on that host.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{BackupName, LevelId, StoreId};

    #[test]
    fn a_level_id_gives_its_time_back() {
        let started: jiff::Timestamp = "2026-11-22T22:34:50.123Z".parse().expect("a time");
        let id = LevelId::new(started, 0x1a2b_3c4d);
        assert_eq!(id.as_str(), "20261122T223450.123Z-1a2b3c4d");
        assert_eq!(id.started(), started);
        assert_eq!(id.as_str().parse::<LevelId>(), Ok(id));
    }

    #[test]
    fn the_next_id_has_the_time_of_its_clock_and_says_when_another_is_later() {
        let id = |text: &str| text.parse::<LevelId>().expect("a level id");
        let now: jiff::Timestamp = "2026-11-22T22:34:50.1234Z".parse().expect("a time");
        let next = |others: &[LevelId], random| LevelId::next(now, random, others.iter());
        let before = id("20261121T223450.123Z-0000000a");
        let stray = id("20991130T025420.000Z-00000000");
        assert_eq!(
            next(&[], 5).as_str(),
            "20261122T223450.123Z-00000005",
            "the first id"
        );
        let plain = next(std::slice::from_ref(&before), 0xffff_0005);
        assert_eq!(plain.as_str(), "20261122T223450.123Z-7fff0005");
        assert!(!plain.is_out_of_order());
        let after = next(&[before.clone(), stray.clone()], 5);
        assert_eq!(after.as_str(), "20261122T223450.123Z-ffff0005");
        assert!(after.is_out_of_order());
        // An id of the same moment comes first, whatever else there is.
        let again = next(&[before, after.clone(), stray], 5);
        assert_eq!(again.as_str(), "20261122T223450.124Z-ffff0005");
        let third = next(
            &[
                id("20261122T223450.123Z-00000005"),
                id("20261122T223451.000Z-00000005"),
            ],
            5,
        );
        assert_eq!(third.as_str(), "20261122T223451.001Z-00000005");
    }

    #[test]
    fn a_text_that_is_not_a_level_id_is_refused() {
        for bad in [
            "",
            "20261122T223450.123Z-1a2b3c4",
            "20261322T223450.123Z-1a2b3c4d",
            "20261122T223450.123Z-1A2B3C4D",
            "20261122T223450.123Z_1a2b3c4d",
            "20261122T223450.1\u{e9}Z-1a2b3c4d",
        ] {
            assert!(bad.parse::<LevelId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_store_id_reads_back() {
        let id = StoreId([7; 16]);
        assert_eq!(id.to_string().parse::<StoreId>(), Ok(id));
        assert!(
            "+7070707070707070707070707070707"
                .parse::<StoreId>()
                .is_err()
        );
    }

    #[test]
    fn a_host_with_a_slash_is_refused() {
        assert!(BackupName::new("a/b", "docs").is_err());
        assert!(BackupName::new("a", "").is_err());
        assert_eq!(
            BackupName::new("a", "b/c").expect("legal").to_string(),
            "a/b/c"
        );
    }
}
