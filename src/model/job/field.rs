//! One field of a document: absent, null, as it must be, or odd.
//!
//! Reading a document loses nothing: a value that does not fit its field is kept as it came and
//! written back the same. Callers choose the rule: the server refuses odd values
//! ([`Documented::check`]); a scheduler converts those that the original's programs are known to
//! send ([`Documented::leniently`]) and treats the rest as absent.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

/// An object of JSON.
pub type Document = Map<String, Value>;

/// Most characters of a value that an error repeats.
const SHOWN: usize = 80;

/// A field whose value breaks its rule. The text names the field and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongField(String);

impl WrongField {
    /// Says which rule `field` breaks.
    pub fn new(field: &str, must: &str) -> Self {
        Self(format!("{field} {must}"))
    }

    /// The same, with the value that breaks it.
    fn with_value(field: &str, must: &str, value: &Value) -> Self {
        let shown: String = value.to_string().chars().take(SHOWN).collect();
        Self(format!("{field} {must}, and not {shown}"))
    }

    /// A key that documents of this kind do not have, in the words of the original's server.
    pub fn unknown(key: &str, within: &str) -> Self {
        Self(format!(
            "Additional properties are not allowed in {within} ({key:?} was unexpected)"
        ))
    }

    /// A key without which nothing can be done, in the words of the original's server.
    pub fn missing(key: &str) -> Self {
        Self(format!("'{key}' is a required property"))
    }
}

/// What the value of a field can be.
pub trait FieldKind: Serialize + DeserializeOwned {
    /// The rule, as the end of a sentence that begins with the name of the field.
    fn must() -> String;

    /// The rule as a JSON schema.
    fn schema() -> Value;

    /// Checks what is inside of the value; `path` is the name of the field.
    ///
    /// # Errors
    ///
    /// [`WrongField`] for the first field inside that breaks its rule.
    fn check(&self, _path: &str) -> Result<(), WrongField> {
        Ok(())
    }

    /// Converts a value that breaks the rule and whose meaning is clear all the same.
    fn from_odd(_odd: &Value) -> Option<Self> {
        None
    }

    /// Converts such values inside of this one.
    fn mend(&mut self) {}
}

/// The value of a field of a document.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Field<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there, and says nothing.
    Null,
    /// The value is as it must be.
    Is(T),
    /// The value breaks the rule of the field, and is kept as it came.
    Odd(Value),
}

impl<T: FieldKind> Field<T> {
    /// Reads any value.
    pub fn of(value: Value) -> Self {
        match T::deserialize(&value) {
            _ if value.is_null() => Self::Null,
            Ok(is) => Self::Is(is),
            Err(_) => Self::Odd(value),
        }
    }

    /// Refuses a value that breaks its rule.
    ///
    /// # Errors
    ///
    /// [`WrongField`], which names the field by its `path`.
    pub fn check(&self, path: &str) -> Result<(), WrongField> {
        match self {
            Self::Absent | Self::Null => Ok(()),
            Self::Is(is) => is.check(path),
            Self::Odd(value) => Err(WrongField::with_value(path, &T::must(), value)),
        }
    }

    /// Converts an odd value whose meaning is clear.
    pub fn mend(&mut self) {
        match self {
            Self::Is(is) => is.mend(),
            Self::Odd(odd) => {
                if let Some(is) = T::from_odd(odd) {
                    *self = Self::Is(is);
                }
            }
            Self::Absent | Self::Null => {}
        }
    }

    /// The rule of the field, which may be null, as a JSON schema.
    pub fn schema() -> Value {
        let mut schema = T::schema();
        match schema.get("type").and_then(Value::as_str) {
            Some(kind) if schema.get("enum").is_none() => {
                schema["type"] = json!([kind, "null"]);
                schema
            }
            _ if schema.as_object().is_some_and(Map::is_empty) => schema,
            _ => json!({ "anyOf": [schema, { "type": "null" }] }),
        }
    }

    /// What the field is in an answer: its type or its words alone, as the other rules may have
    /// changed since it was stored.
    pub fn answer_schema() -> Value {
        let schema = T::schema();
        if schema.get("$ref").is_some() {
            return json!({ "type": "object" });
        }
        let told = ["enum", "type", "items"].into_iter();
        told.filter_map(|key| Some((key.to_owned(), schema.get(key)?.clone())))
            .collect::<Document>()
            .into()
    }
}

impl<T> Field<T> {
    /// Whether the key is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the key is not there or says nothing.
    pub fn is_unsaid(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// The value, where it is as it must be.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Is(is) => Some(is),
            Self::Absent | Self::Null | Self::Odd(_) => None,
        }
    }

    /// The value, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Is(is) => Some(is),
            Self::Absent | Self::Null | Self::Odd(_) => None,
        }
    }

    /// The value, where it is as it must be.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Is(is) => Some(is),
            Self::Absent | Self::Null | Self::Odd(_) => None,
        }
    }

    /// Sets the field where it says nothing.
    pub fn fill(&mut self, usual: impl Into<Self>) {
        if self.is_unsaid() {
            *self = usual.into();
        }
    }

    /// Takes what a patch says: an absent key changes nothing, null removes the key.
    pub fn take(&mut self, patch: Self) {
        match patch {
            Self::Absent => {}
            Self::Null => *self = Self::Absent,
            said => *self = said,
        }
    }
}

impl<T: Default> Field<T> {
    /// The value, made anew where there is none that is as it must be.
    pub fn get_or_new(&mut self) -> &mut T {
        if !matches!(self, Self::Is(_)) {
            *self = Self::Is(T::default());
        }
        self.get_mut().expect("it was made one above")
    }
}

impl<T: AsRef<str>> Field<T> {
    /// The text of the field, whether or not it breaks a rule; empty where there is no text.
    pub fn text(&self) -> &str {
        match self {
            Self::Is(text) => text.as_ref(),
            Self::Odd(Value::String(text)) => text,
            Self::Absent | Self::Null | Self::Odd(_) => "",
        }
    }
}

impl Field<Value> {
    /// The text of a field of which nothing is checked; empty where there is no text.
    pub fn loose_text(&self) -> &str {
        self.get().and_then(Value::as_str).unwrap_or("")
    }
}

impl<T: FieldKind> From<&str> for Field<T> {
    fn from(text: &str) -> Self {
        Self::of(text.into())
    }
}

impl<T: FieldKind> From<String> for Field<T> {
    fn from(text: String) -> Self {
        Self::of(text.into())
    }
}

impl From<i64> for Field<i64> {
    fn from(number: i64) -> Self {
        Self::Is(number)
    }
}

impl From<bool> for Field<bool> {
    fn from(truth: bool) -> Self {
        Self::Is(truth)
    }
}

impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_none(),
            Self::Is(is) => is.serialize(serializer),
            Self::Odd(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: FieldKind> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::of)
    }
}

impl FieldKind for i64 {
    fn must() -> String {
        "must be an integer".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX })
    }

    /// The original's command line sends numbers as text, and so do agents.
    fn from_odd(odd: &Value) -> Option<Self> {
        odd.as_str()?.trim().parse().ok()
    }
}

impl FieldKind for bool {
    fn must() -> String {
        "must be true or false".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }

    /// The original's forms send `True` as text.
    fn from_odd(odd: &Value) -> Option<Self> {
        odd.as_str().map(|text| text.eq_ignore_ascii_case("true"))
    }
}

impl FieldKind for Document {
    fn must() -> String {
        "must be an object".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "object" })
    }
}

/// A value of any kind, which nobody checks.
impl FieldKind for Value {
    fn must() -> String {
        String::new()
    }

    fn schema() -> Value {
        json!({})
    }
}

/// A kind of document. Reading one cannot fail and loses nothing.
pub trait Documented: Serialize + DeserializeOwned + Default {
    /// What an error calls a document of this kind.
    const WITHIN: &'static str;

    /// Reads any object.
    fn of(document: Document) -> Self {
        serde_json::from_value(Value::Object(document)).expect("every field takes any value")
    }

    /// Reads any object and converts what the original's programs write in another form: numbers
    /// and truth values as text.
    fn leniently(document: Document) -> Self {
        let mut read = Self::of(document);
        read.mend();
        read
    }

    /// Reads any value; one that is no object has no keys.
    fn leniently_of(value: Value) -> Self {
        match value {
            Value::Object(document) => Self::leniently(document),
            _ => Self::default(),
        }
    }

    /// The document as it was read, with what was changed since.
    fn document(&self) -> Document {
        match serde_json::to_value(self) {
            Ok(Value::Object(document)) => document,
            _ => Document::new(),
        }
    }

    /// Refuses a field that breaks its rule, and an unknown key in a document that must have none.
    ///
    /// # Errors
    ///
    /// [`WrongField`] for the first of them.
    fn check(&self, path: &str) -> Result<(), WrongField>;

    /// Converts odd values whose meaning is clear.
    fn mend(&mut self);

    /// Puts the keys of another document over those of this one.
    fn overlay(&mut self, other: &Self) {
        let mut document = self.document();
        document.extend(other.document());
        *self = Self::of(document);
    }
}

/// The path of a field: its name, behind that of what it stands in.
pub(super) fn path(within: &str, field: &str) -> String {
    if within.is_empty() {
        field.to_owned()
    } else {
        format!("{within}.{field}")
    }
}

/// Defines a set of fields, each a key of the document by its name. Its `more` keeps the keys that
/// it does not know; a set without it is a part of another. What follows from the list of fields
/// (serde, checks, conversions and the OpenAPI properties) is written once, here.
macro_rules! fields {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $kind:ty,)*
        }
        $($more:ident)?
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                #[serde(default, skip_serializing_if = "crate::model::job::Field::is_absent")]
                pub $field: crate::model::job::Field<$kind>,
            )*
            $(
                /// The keys that are none of these, as they came.
                #[serde(flatten)]
                pub $more: crate::model::job::Document,
            )?
        }

        impl $name {
            /// The names of the fields.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Refuses a field that breaks its rule; `within` is what the fields stand in.
            ///
            /// # Errors
            ///
            /// [`WrongField`](crate::model::job::WrongField) for the first such field.
            pub fn check_fields(
                &self,
                within: &str,
            ) -> Result<(), crate::model::job::WrongField> {
                use crate::model::job::field::path;
                $(self.$field.check(&path(within, stringify!($field)))?;)*
                Ok(())
            }

            /// Converts odd values whose meaning is clear.
            pub fn mend_fields(&mut self) {
                $(self.$field.mend();)*
            }

            /// The JSON schemas of the fields as a client sends them.
            pub fn properties() -> crate::model::job::Document {
                let mut properties = crate::model::job::Document::new();
                $(
                    let mut schema = crate::model::job::Field::<$kind>::schema();
                    schema["description"] = concat!($($doc),+).trim().into();
                    properties.insert(stringify!($field).to_owned(), schema);
                )*
                properties
            }

            /// The JSON schemas of the fields as the server answers them.
            pub fn answer_properties() -> crate::model::job::Document {
                let mut properties = crate::model::job::Document::new();
                $(
                    properties.insert(
                        stringify!($field).to_owned(),
                        crate::model::job::Field::<$kind>::answer_schema(),
                    );
                )*
                properties
            }
        }
    };
}

/// Makes a document with unknown keys a kind of field. The server checks such a document where it
/// uses it, and not as a part of another.
macro_rules! open_document {
    ($name:ident, $within:literal) => {
        impl crate::model::job::Documented for $name {
            const WITHIN: &'static str = $within;

            fn check(&self, path: &str) -> Result<(), crate::model::job::WrongField> {
                self.check_fields(path)
            }

            fn mend(&mut self) {
                self.mend_fields();
            }
        }

        impl crate::model::job::FieldKind for $name {
            fn must() -> String {
                "must be an object".to_owned()
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "object" })
            }

            fn mend(&mut self) {
                self.mend_fields();
            }
        }
    };
}

pub(super) use {fields, open_document};
