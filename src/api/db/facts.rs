//! The parts of a document that can be searched for: its facts and its words, as text that a
//! database can search.
//!
//! A fact is a key and its value, wherever in the document they stand: `␟key␞value␟`, the value as
//! JSON. JSON writes control characters as escapes, so neither a key nor a value can hold the two
//! that mark the borders. The facts of a document are all of them in one text. If a key stands at
//! several places, the last one in the order of the names counts, as with the original. A name that
//! has a column of the table always means the document's own key, and never one deep inside it.
//!
//! The words are the text values, in lower case, between the same marks.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Begins and ends a fact or a word.
const BORDER: char = '\u{1f}';
/// Stands between a key and its value.
const MIDDLE: char = '\u{1e}';

/// A key and the JSON text of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Fact {
    /// The key, as JSON writes it, without the quotes.
    key: String,
    /// `None` for null, which is the same as a key that is not there.
    value: Option<String>,
}

impl Fact {
    /// The fact that `key` has `value`.
    pub(in crate::api) fn new(key: &str, value: &Value) -> Self {
        Self {
            key: written_key(key),
            value: (!value.is_null()).then(|| value.to_string()),
        }
    }

    /// The key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The text to look for, and whether it must be found.
    pub(super) fn needle(&self) -> (String, bool) {
        match &self.value {
            Some(value) => (format!("{BORDER}{}{MIDDLE}{value}{BORDER}", self.key), true),
            None => (format!("{BORDER}{}{MIDDLE}", self.key), false),
        }
    }

    /// The number that stands for the value in the column of an index.
    pub(super) fn digest(&self) -> i64 {
        digest(self.value.as_deref())
    }
}

/// A text to look for in the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Needle(String);

impl Needle {
    /// Finds `text` in whatever case.
    pub(in crate::api) fn new(text: &str) -> Self {
        Self(lower(text))
    }

    /// Returns the text to find inside a word.
    pub(super) fn part(&self) -> &str {
        &self.0
    }

    /// Returns the text of a whole word.
    pub(super) fn whole(&self) -> String {
        format!("{BORDER}{}{BORDER}", self.0)
    }
}

/// The searchable text of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Searchable {
    /// All facts.
    pub(super) facts: String,
    /// All words.
    pub(super) words: String,
    /// The numbers for the columns, in their order.
    pub(super) digests: Vec<i64>,
}

/// What can be searched for in a document. `own` are the names that have a column, with where each
/// stands.
pub(super) fn searchable(document: &Map<String, Value>, own: &[(&str, &str)]) -> Searchable {
    let (mut found, mut words) = (BTreeMap::new(), String::from(BORDER));
    walk(document, &mut found, &mut words);
    let mut digests = Vec::with_capacity(own.len());
    for (name, pointer) in own {
        let value = at(document, pointer)
            .filter(|value| !value.is_null())
            .map(Value::to_string);
        digests.push(digest(value.as_deref()));
        match value {
            Some(value) => found.insert((*name).to_owned(), value),
            None => found.remove(*name),
        };
    }
    let mut facts = String::from(BORDER);
    for (key, value) in found {
        facts.push_str(&key);
        facts.push(MIDDLE);
        facts.push_str(&value);
        facts.push(BORDER);
    }
    Searchable {
        facts,
        words,
        digests,
    }
}

/// The value at a path of names with `/` between them.
pub(super) fn at<'d>(document: &'d Map<String, Value>, path: &str) -> Option<&'d Value> {
    let mut names = path.split('/');
    let mut value = document.get(names.next()?)?;
    for name in names {
        value = value.get(name)?;
    }
    Some(value)
}

fn walk(document: &Map<String, Value>, found: &mut BTreeMap<String, String>, words: &mut String) {
    for (key, value) in document {
        if value.is_null() {
            found.remove(&written_key(key));
        } else {
            found.insert(written_key(key), value.to_string());
        }
        walk_value(value, found, words);
    }
}

fn walk_value(value: &Value, found: &mut BTreeMap<String, String>, words: &mut String) {
    match value {
        Value::Object(inner) => walk(inner, found, words),
        Value::Array(values) => values
            .iter()
            .for_each(|value| walk_value(value, found, words)),
        Value::String(text) if !text.is_empty() => {
            words.push_str(&lower(text));
            words.push(BORDER);
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn lower(text: &str) -> String {
    text.to_lowercase().replace(|c: char| c.is_control(), " ")
}

fn written_key(key: &str) -> String {
    let quoted = Value::from(key).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn digest(value: Option<&str>) -> i64 {
    let digest = Sha256::digest(value.unwrap_or("null").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::{Fact, Needle, searchable};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    fn holds(document: &Map<String, Value>, key: &str, value: &Value) -> bool {
        let (needle, wanted) = Fact::new(key, value).needle();
        searchable(document, &[("client_id", "client_id")])
            .facts
            .contains(&needle)
            == wanted
    }

    #[test]
    fn a_key_is_found_however_deep_and_its_type_counts() {
        let document = object(json!({"a": {"b": [{"deep": 1}]}, "t": "1", "gone": null}));
        assert!(holds(&document, "deep", &json!(1)));
        assert!(!holds(&document, "deep", &json!("1")));
        assert!(holds(&document, "t", &json!("1")));
        assert!(holds(&document, "gone", &Value::Null) && holds(&document, "never", &Value::Null));
        assert!(!holds(&document, "t", &Value::Null));
    }

    #[test]
    fn a_name_with_a_column_is_the_documents_own() {
        let document = object(json!({"client_id": "me", "job_actions": [{"client_id": "other"}]}));
        assert!(holds(&document, "client_id", &json!("me")));
        assert!(!holds(&document, "client_id", &json!("other")));
    }

    #[test]
    fn borders_cannot_be_forged() {
        let document = object(json!({"a": "x\u{1f}b\u{1e}\"y\"\u{1f}"}));
        assert!(!holds(&document, "b", &json!("y")));
        let words = searchable(&document, &[]).words;
        assert!(
            !words.contains(&Needle::new("b").whole()) && words.contains(Needle::new("X b").part())
        );
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_found(
            key in any::<String>(),
            value in any::<String>(),
            other in any::<String>(),
        ) {
            let document = object(json!({ key.clone(): value.clone() }));
            prop_assert!(key == "client_id" || holds(&document, &key, &json!(value)));
            prop_assert!(other == value || !holds(&document, &key, &json!(other)));
        }
    }
}
