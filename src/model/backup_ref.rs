//! `BACKUP[@DATE]`: how people name a backup, and a point in time of it.

use super::{NameError, PointInTime, PointInTimeError};
use std::fmt;
use std::str::FromStr;

/// The name of a backup, with or without a point in time: `name`, `host/name` or `name@DATE`.
///
/// A name may have a `/` itself. Whether the part before the first `/` is a host depends on the
/// backups that exist, which `catalog` knows. The part after the last `@` is always a DATE, so a
/// name with an `@` is written as `na@me@latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupRef {
    text: Box<str>,
    at: Option<PointInTime>,
}

/// Why a text does not name a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupRefError {
    /// The part before the `@` is not a name.
    #[error(transparent)]
    Name(NameError),
    /// The part after the `@` is not a point in time.
    #[error(transparent)]
    PointInTime(PointInTimeError),
}

impl BackupRef {
    /// Returns host and name, if the text has both: the first reading.
    pub fn host_and_name(&self) -> Option<(&str, &str)> {
        self.text
            .split_once('/')
            .filter(|(host, name)| !host.is_empty() && !name.is_empty())
    }

    /// Returns the whole text as the name, on any host: the second reading.
    pub fn name(&self) -> &str {
        &self.text
    }

    /// Returns the point in time, if the text has one.
    pub fn at(&self) -> Option<&PointInTime> {
        self.at.as_ref()
    }
}

impl FromStr for BackupRef {
    type Err = BackupRefError;

    fn from_str(text: &str) -> Result<Self, BackupRefError> {
        let (name, at) = match text.rsplit_once('@') {
            None => (text, None),
            Some((name, at)) => (name, Some(at.parse().map_err(BackupRefError::PointInTime)?)),
        };
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(BackupRefError::Name(NameError {
                what: "backup name",
                text: name.to_owned(),
            }));
        }
        Ok(Self {
            text: name.into(),
            at,
        })
    }
}

impl fmt::Display for BackupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.at.iter().try_for_each(|at| write!(f, "@{at}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{BackupRef, BackupRefError};

    fn backup(text: &str) -> BackupRef {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn both_readings_of_a_slash_are_kept() {
        assert_eq!(backup("docs").host_and_name(), None);
        assert_eq!(
            backup("web-1/docs").host_and_name(),
            Some(("web-1", "docs"))
        );
        assert_eq!(backup("a/b/c").host_and_name(), Some(("a", "b/c")));
        assert_eq!(backup("a/b/c").name(), "a/b/c");
        assert_eq!(backup("/srv").host_and_name(), None);
        assert_eq!(backup("srv/").host_and_name(), None);
    }

    #[test]
    fn the_part_after_the_last_at_sign_is_a_date() {
        let docs = backup("web-1/docs@yesterday 14:00");
        assert_eq!(docs.host_and_name(), Some(("web-1", "docs")));
        assert_eq!(docs.at().expect("a date").to_string(), "yesterday 14:00");
        assert_eq!(docs.to_string(), "web-1/docs@yesterday 14:00");
        assert_eq!(backup("me@home@latest").name(), "me@home");
        assert!(matches!(
            "me@home".parse::<BackupRef>(),
            Err(BackupRefError::PointInTime(_))
        ));
        assert!(matches!(
            "docs@".parse::<BackupRef>(),
            Err(BackupRefError::PointInTime(_))
        ));
        assert!(matches!(
            "@latest".parse::<BackupRef>(),
            Err(BackupRefError::Name(_))
        ));
        assert!(matches!(
            "a\nb".parse::<BackupRef>(),
            Err(BackupRefError::Name(_))
        ));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Ok(backup) = text.parse::<BackupRef>() {
                proptest::prop_assert_eq!(backup.to_string().parse::<BackupRef>(), Ok(backup));
            }
        }
    }
}
