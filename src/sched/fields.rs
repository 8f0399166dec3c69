//! What documents of the server hold, read without trust: a key that is missing or of another type
//! counts as not there.

use serde_json::{Map, Value};

/// An object of JSON.
pub(super) type Document = Map<String, Value>;

/// A text; empty where there is none.
pub(super) fn text<'d>(document: &'d Document, key: &str) -> &'d str {
    document.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A whole number, also one written as text.
pub(super) fn integer(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

/// An object below a key; empty where there is none.
pub(super) fn object(document: &Document, key: &str) -> Document {
    document
        .get(key)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// The actions of a job that are objects.
pub(super) fn actions(job: &Document) -> impl Iterator<Item = &Document> {
    job.get("job_actions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}
