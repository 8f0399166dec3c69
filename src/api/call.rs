//! One request, read and authenticated, as the resources see it.

use super::auth::caller::Caller;
use super::db::documents::{Document, RowRange, RowScope, RowSearch, StoredRow};
use super::db::{Fact, Needle};
use super::error::Failure;
use super::server::Server;
use crate::model::job::{GivenId, TextForm, WrongField, is_id};
use axum::http::StatusCode;
use serde_json::Value;
use std::sync::Arc;

/// How many rows a page has when the client does not say.
const USUAL_PAGE: i64 = 10;
/// How many rows a page can have.
pub(super) const LARGEST_PAGE: i64 = 10_000;

/// Which of the two APIs a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Without a project in the address.
    V1,
    /// The present one.
    V2,
}

/// A request, read and authenticated.
#[derive(Debug)]
pub(super) struct ApiCall {
    /// The state that all requests share.
    pub(super) server: Arc<Server>,
    /// The caller.
    pub(super) identity: Caller,
    /// Whose objects it is about.
    pub(super) project: String,
    /// Which API.
    pub(super) dialect: Dialect,
    /// The parts of the address that stand for ids.
    pub(super) ids: Vec<(String, String)>,
    /// The parameters.
    pub(super) query: Vec<(String, String)>,
    /// The body, where there was one.
    pub(super) body: Option<Value>,
    /// The version that the object must have.
    pub(super) if_match: Option<i64>,
    /// Seconds since 1970.
    pub(super) now: i64,
    /// Microseconds since 1970.
    pub(super) now_us: i64,
}

/// The answer to a request that succeeds.
#[derive(Debug)]
pub(super) struct ApiReply {
    /// The status of the answer.
    pub(super) status: StatusCode,
    /// JSON; nothing for an empty body.
    pub(super) body: String,
    /// The version of the object.
    pub(super) version: Option<i64>,
    /// How many objects there are in all, where that was asked for.
    pub(super) total: Option<i64>,
}

impl ApiReply {
    /// With this JSON.
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            body: body.to_string(),
            version: None,
            total: None,
        }
    }

    /// Done, and nothing to say.
    pub(super) fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: String::new(),
            version: None,
            total: None,
        }
    }

    /// An object.
    pub(super) fn object(row: &StoredRow) -> Self {
        Self {
            status: StatusCode::OK,
            body: super::db::documents::text_of(&row.document),
            version: Some(row.version),
            total: None,
        }
    }

    /// With the version of the object it is about.
    pub(super) fn at_version(self, version: i64) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }
}

impl ApiCall {
    /// Returns whether a rule of the policy allows the caller this.
    pub(super) fn may(&self, rule: &str) -> bool {
        self.server
            .policy
            .allows(rule, &self.identity, &self.project)
    }

    /// Refuses unless a rule of the policy allows the caller this.
    pub(super) fn must(&self, rule: &str) -> Result<(), Failure> {
        if self.may(rule) {
            Ok(())
        } else {
            Err(Failure::Forbidden)
        }
    }

    /// Returns the scope of the project of the request.
    pub(super) fn scope(&self) -> RowScope {
        RowScope::Project(self.project.clone())
    }

    /// A part of the address.
    pub(super) fn id(&self, name: &str) -> &str {
        self.ids
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, id)| id)
    }

    /// The id of the address, under which an object is to be made; `key` is that of the id in the
    /// object.
    pub(super) fn id_to_make(&self, key: &str) -> Result<&str, Failure> {
        let id = self.id("id");
        if is_id(id) {
            Ok(id)
        } else {
            Err(WrongField::new(key, &GivenId::must()).into())
        }
    }

    /// The last value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that is yes or no.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.parameter(name).map(str::to_lowercase).as_deref() {
            None | Some("" | "false" | "no" | "0" | "f" | "n" | "off") => Ok(false),
            Some("true" | "yes" | "1" | "t" | "y" | "on") => Ok(true),
            Some(_) => Err(Self::bad_parameter(name, "must be true or false")),
        }
    }

    fn bad_parameter(name: &str, rule: &str) -> Failure {
        Failure::Invalid(
            "Invalid parameter",
            format!("The \"{name}\" parameter is invalid. The value {rule}."),
        )
    }

    fn number(&self, name: &str) -> Result<i64, Failure> {
        let Some(text) = self.parameter(name) else {
            return Ok(0);
        };
        let number: i64 = text
            .trim()
            .parse()
            .map_err(|_| Self::bad_parameter(name, "must be an integer"))?;
        if number < 0 {
            Err(Self::bad_parameter(name, "must not be negative"))
        } else {
            Ok(number)
        }
    }

    /// Reads which part of a list is wanted.
    pub(super) fn page(&self) -> Result<RowRange, Failure> {
        let (limit, offset) = (self.number("limit")?, self.number("offset")?);
        if limit > LARGEST_PAGE {
            return Err(Self::bad_parameter(
                "limit",
                &format!("must not be over {LARGEST_PAGE}"),
            ));
        }
        Ok(RowRange {
            offset,
            limit: if limit == 0 { USUAL_PAGE } else { limit },
        })
    }

    /// Reads the search in the body of a GET.
    pub(super) fn search(&self) -> Result<RowSearch, Failure> {
        let mut search = RowSearch::default();
        let Some(body) = &self.body else {
            return Ok(search);
        };
        let Value::Object(body) = body else {
            return Err(Failure::invalid("the search must be an object"));
        };
        for entry in entries(body, "match")? {
            for (key, value) in entry {
                match all_of(key, value)? {
                    Some(All::Listed(listed)) => search.facts.extend(listed),
                    Some(All::Words(needle)) => search.words.push(needle),
                    None => search.facts.push(Fact::new(key, value)),
                }
            }
        }
        for entry in entries(body, "match_not")? {
            search
                .not
                .extend(entry.iter().map(|(key, value)| Fact::new(key, value)));
        }
        if search.facts.len() + search.not.len() + search.words.len() > 50 {
            return Err(Failure::invalid(
                "match, match_not: there must not be more than 50 conditions",
            ));
        }
        search.from = second(body, "time_after")?;
        search.to = second(body, "time_before")?;
        Ok(search)
    }

    /// The body, which must be an object.
    pub(super) fn object(&self) -> Result<Document, Failure> {
        match &self.body {
            None => Err(Failure::invalid("Missing request body")),
            Some(Value::Object(object)) => Ok(object.clone()),
            Some(_) => Err(Failure::invalid("the request body must be an object")),
        }
    }

    /// The body, or none of its keys.
    pub(super) fn object_or_empty(&self) -> Result<Document, Failure> {
        if self.body.is_none() {
            Ok(Document::new())
        } else {
            self.object()
        }
    }

    /// Refuses if the client wants to change another version than there is.
    pub(super) fn check_version(&self, row: &StoredRow) -> Result<(), Failure> {
        match self.if_match {
            Some(wanted) if wanted != row.version => Err(Failure::Version(row.version)),
            _ => Ok(()),
        }
    }

    /// What a DELETE answers: in version 1 it tells when there was nothing.
    pub(super) fn deleted(&self, was_there: bool, what: &str) -> Result<ApiReply, Failure> {
        match (self.dialect, was_there) {
            (Dialect::V1, false) => Err(Failure::NotFound(format!("No {what} with this id"))),
            _ => Ok(ApiReply::nothing()),
        }
    }
}

enum All {
    Listed(Vec<Fact>),
    Words(Needle),
}

/// What the key `_all` asks for: a list of objects in JSON is the list to match, as the SQL of the
/// original has it; any other text is looked for in all words, as its search engine has it.
fn all_of(key: &str, value: &Value) -> Result<Option<All>, Failure> {
    if key != "_all" {
        return Ok(None);
    }
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(Failure::invalid("match: _all must be a string")),
    };
    let listed: Option<Vec<Document>> = serde_json::from_str(&text).ok();
    Ok(Some(match listed {
        Some(listed) => All::Listed(
            listed
                .iter()
                .flatten()
                .map(|(key, value)| Fact::new(key, value))
                .collect(),
        ),
        None => All::Words(Needle::new(&text)),
    }))
}

fn entries<'b>(body: &'b Document, name: &str) -> Result<Vec<&'b Document>, Failure> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries
            .iter()
            .map(|entry| {
                entry.as_object().ok_or_else(|| {
                    Failure::invalid(format!("{name}: each entry must be an object"))
                })
            })
            .collect(),
        Some(_) => Err(Failure::invalid(format!("{name} must be a list"))),
    }
}

fn second(body: &Document, name: &str) -> Result<Option<i64>, Failure> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = value.as_str().map(str::trim);
            let number = value
                .as_i64()
                .or_else(|| text.and_then(|text| text.parse().ok()));
            number.map(Some).ok_or_else(|| {
                Failure::invalid(format!("{name} must be an integer, in seconds since 1970"))
            })
        }
    }
}
