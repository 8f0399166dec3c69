//! Texts with a form: ids, names, moments, and words out of a list.

use super::field::{Field, FieldKind};
use crate::model::schedule::{Interval, is_cron_field, is_moment};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};
use std::marker::PhantomData;

/// Most bytes of a description, a name or a path.
pub const LONGEST_TEXT: usize = 4096;
/// Most bytes of an id.
pub const LONGEST_ID: usize = 255;

/// The form of a text.
pub trait TextForm {
    /// Whether a text has it.
    fn fits(text: &str) -> bool;

    /// The rule, as the end of a sentence that begins with the name of the field.
    fn must() -> String;

    /// The rule as a JSON schema.
    fn schema() -> Value;
}

/// A text that has a form.
pub struct FormedText<F> {
    text: String,
    form: PhantomData<F>,
}

impl<F> AsRef<str> for FormedText<F> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl<F> Clone for FormedText<F> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            form: PhantomData,
        }
    }
}

impl<F> std::fmt::Debug for FormedText<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

impl<F> PartialEq for FormedText<F> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<F> Serialize for FormedText<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de, F: TextForm> Deserialize<'de> for FormedText<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if F::fits(&text) {
            Ok(Self {
                text,
                form: PhantomData,
            })
        } else {
            Err(D::Error::custom(F::must()))
        }
    }
}

impl<F: TextForm> FieldKind for FormedText<F> {
    fn must() -> String {
        F::must()
    }

    fn schema() -> Value {
        F::schema()
    }
}

/// A text of any form: a description, a name, a path.
pub struct Plain;

/// The longest text that is sure to fit, in characters of four bytes at most.
const SURE_TO_FIT: usize = LONGEST_TEXT / 4;

impl TextForm for Plain {
    fn fits(text: &str) -> bool {
        text.len() <= LONGEST_TEXT
    }

    fn must() -> String {
        format!("must be a string of at most {LONGEST_TEXT} bytes")
    }

    fn schema() -> Value {
        json!({ "type": "string", "maxLength": SURE_TO_FIT })
    }
}

/// A text that the server sets itself, and that it does not check.
pub struct AnyText;

impl TextForm for AnyText {
    fn fits(_text: &str) -> bool {
        true
    }

    fn must() -> String {
        "must be a string".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

/// An id that a client gives; empty for one that the server is to give.
pub struct GivenId;

impl TextForm for GivenId {
    fn fits(text: &str) -> bool {
        text.is_empty() || is_id(text)
    }

    fn must() -> String {
        format!("must be 1 to {LONGEST_ID} letters, digits, - and _")
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]*$", "maxLength": LONGEST_ID })
    }
}

/// Whether a text can be the id of an object: it can stand in an address as it is.
pub fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// A moment of a timetable.
pub struct MomentText;

impl TextForm for MomentText {
    fn fits(text: &str) -> bool {
        is_moment(text)
    }

    fn must() -> String {
        "must be a moment as in 2026-11-24T12:30:00Z".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "date-time" })
    }
}

/// The time between two runs.
pub struct IntervalText;

impl TextForm for IntervalText {
    fn fits(text: &str) -> bool {
        Interval::parse(text).is_some()
    }

    fn must() -> String {
        "must be continuous or a number of seconds, minutes, hours, days or weeks".to_owned()
    }

    fn schema() -> Value {
        let pattern = "^(continuous|[1-9][0-9]{0,8} +(second|minute|hour|day|week)s?)$";
        json!({ "type": "string", "pattern": pattern, "examples": ["1 days", "continuous"] })
    }
}

/// A year of a timetable.
pub struct YearText;

impl TextForm for YearText {
    fn fits(text: &str) -> bool {
        text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn must() -> String {
        "must be a string of four digits".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9]{4}$" })
    }
}

/// A field of a cron timetable.
pub struct CronText;

impl TextForm for CronText {
    fn fits(text: &str) -> bool {
        is_cron_field(text)
    }

    fn must() -> String {
        "must be a string as in a cron timetable".to_owned()
    }

    fn schema() -> Value {
        json!({
            "type": "string", "pattern": "^[A-Za-z0-9*/, -]{1,255}$",
            "examples": ["*", "*/15", "1-5", "mon,wed"],
        })
    }
}

/// A host name.
pub struct HostName;

impl TextForm for HostName {
    fn fits(text: &str) -> bool {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        !text.is_empty()
            && text.len() <= 253
            && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
    }

    fn must() -> String {
        "must be a host name".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9-]{0,40}[A-Za-z0-9])?$" })
    }
}

/// The id of a node: a host name, behind a project where there is one.
pub struct NodeName;

impl TextForm for NodeName {
    fn fits(text: &str) -> bool {
        let (prefix, host) = text.rsplit_once('_').unwrap_or(("", text));
        text.len() <= LONGEST_ID
            && HostName::fits(host)
            && prefix
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    }

    fn must() -> String {
        "must be a host name, after letters, digits, - and _ that end in _ if wanted".to_owned()
    }

    fn schema() -> Value {
        let pattern = "^([A-Za-z0-9_-]{1,60}_)?[A-Za-z0-9]([A-Za-z0-9-]{0,40}[A-Za-z0-9])?$";
        json!({ "type": "string", "pattern": pattern })
    }
}

/// A list of words of which a field holds one or some.
pub trait WordList {
    /// The words.
    const WORDS: &'static [&'static str];
}

/// One word out of a list.
pub struct OneWord<L>(PhantomData<L>);

impl<L: WordList> TextForm for OneWord<L> {
    fn fits(text: &str) -> bool {
        L::WORDS.contains(&text)
    }

    fn must() -> String {
        format!("must be one of {:?}", L::WORDS)
    }

    fn schema() -> Value {
        json!({ "enum": L::WORDS })
    }
}

/// A list of words that are all in another.
pub struct SomeWords<L>(Vec<FormedText<OneWord<L>>>);

impl<L: WordList> SomeWords<L> {
    /// The words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// A field with these words.
    pub fn field(words: &[&str]) -> Field<Self> {
        Field::of(json!(words))
    }
}

impl<L: WordList> Field<SomeWords<L>> {
    /// Whether a word is in the list; `None` where there is no list. Lists of other versions may
    /// have words that this one does not know.
    pub fn has(&self, word: &str) -> Option<bool> {
        match self {
            Self::Is(list) => Some(list.words().any(|one| one == word)),
            Self::Odd(Value::Array(list)) => Some(list.iter().any(|one| one == word)),
            Self::Absent | Self::Null | Self::Odd(_) => None,
        }
    }
}

impl<L> Clone for SomeWords<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L> std::fmt::Debug for SomeWords<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<L> PartialEq for SomeWords<L> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<L> Serialize for SomeWords<L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, L: WordList> Deserialize<'de> for SomeWords<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl<L: WordList> FieldKind for SomeWords<L> {
    fn must() -> String {
        format!("must be a list of words out of {}", L::WORDS.join(", "))
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "enum": L::WORDS } })
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeName, TextForm};

    #[test]
    fn a_client_id_is_a_host_name_after_a_project() {
        for id in ["vm", "tecs_vm.example.org", "a-1_b_vm", "0123abc_node-1"] {
            assert!(NodeName::fits(id), "{id}");
        }
        for id in [
            "",
            "_",
            "a_",
            "p_vm%",
            "p_$vm",
            "p/vm",
            "p_-vm",
            "p_vm..x",
            "p vm",
            "p_vm\n",
            &"x".repeat(64),
        ] {
            assert!(!NodeName::fits(id), "{id}");
        }
    }
}
