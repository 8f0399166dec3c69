//! Object lock: what holds an object, and what the bucket says of it.

use super::{Reply, S3};
use crate::net::{Body, MAX_DOCUMENT, Method};
use crate::platform::{Clock, SystemClock};
use crate::store::error::network;
use crate::store::{Error, Kind, LockMode, ObjectLock, ObjectName, Verb};
use jiff::Timestamp;

/// Whether a bucket can hold objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It has no object lock.
    Nothing,
    /// Some of its objects may be held: each has to be looked at.
    Some,
}

/// An object may not be removed yet.
#[derive(Debug, thiserror::Error)]
#[error("it is locked until {until}")]
struct Held {
    until: Timestamp,
}

/// What is sent with an object so that it is held.
pub(super) fn headers(lock: Option<&ObjectLock>, name: &ObjectName) -> Vec<(&'static str, String)> {
    let Some(lock) = lock.filter(|lock| (lock.holds)(name)) else {
        return Vec::new();
    };
    let mode = match lock.mode {
        LockMode::Governance => "GOVERNANCE",
        LockMode::Compliance => "COMPLIANCE",
    };
    // Whole seconds are what every server reads.
    let until = lock.until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    vec![
        ("x-amz-object-lock-mode", mode.to_owned()),
        ("x-amz-object-lock-retain-until-date", until),
    ]
}

/// Until when an object is held, as its headers say; a legal hold has no end.
fn held(head: &Reply) -> Option<Timestamp> {
    if head
        .header("x-amz-object-lock-legal-hold")
        .is_some_and(|hold| hold.eq_ignore_ascii_case("on"))
    {
        return Some(Timestamp::MAX);
    }
    head.header("x-amz-object-lock-retain-until-date")?
        .trim()
        .parse()
        .ok()
}

impl S3 {
    /// Whether the bucket can hold objects. Asks the server the first time.
    pub(super) fn holds(&self) -> Result<Holds, Error> {
        if let Some(known) = self.holds.get() {
            return Ok(*known);
        }
        let reply = self.ask(
            Method::GET,
            "/?object-lock".to_owned(),
            &[],
            Body::None,
            Verb::Open,
            None,
        )?;
        let holds = match reply.status {
            // It is there, or we may not know.
            403 => Holds::Some,
            // There is none, or the server knows no such thing.
            400 | 404 | 405 | 501 => Holds::Nothing,
            _ if !reply.is_done() => return Err(network(Verb::Open, None)(reply.refusal())),
            _ => {
                let text = reply
                    .bytes(MAX_DOCUMENT)
                    .map_err(network(Verb::Open, None))?
                    .unwrap_or_default();
                let says_so =
                    String::from_utf8_lossy(&text).contains("<ObjectLockEnabled>Enabled<");
                if says_so { Holds::Some } else { Holds::Nothing }
            }
        };
        Ok(*self.holds.get_or_init(|| holds))
    }

    /// What the headers of an object say; nothing where there is none.
    fn look(&self, name: &ObjectName, verb: Verb) -> Result<Option<Reply>, Error> {
        let head = self.ask(
            Method::HEAD,
            self.path_of(name),
            &[],
            Body::None,
            verb,
            Some(name),
        )?;
        match head.status {
            404 => Ok(None),
            _ if head.is_done() => Ok(Some(head)),
            _ => Err(network(verb, Some(name))(head.refusal())),
        }
    }

    /// Until when an object is held.
    pub(super) fn held(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        if self.holds()? == Holds::Nothing {
            return Ok(None);
        }
        let until = self.look(name, Verb::Get)?.as_ref().and_then(held);
        Ok(until.filter(|until| *until > SystemClock.now()))
    }

    /// Where in the bucket the object is that is to be removed; nothing when there is none.
    ///
    /// A bucket with object lock keeps what is removed, and only hides it. What is held must not be
    /// hidden; and what was held is removed for good.
    ///
    /// # Errors
    ///
    /// [`Kind::Denied`] while it is held.
    pub(super) fn path_to_remove(&self, name: &ObjectName) -> Result<Option<String>, Error> {
        let path = self.path_of(name);
        if self.holds()? == Holds::Nothing {
            return Ok(Some(path));
        }
        let Some(head) = self.look(name, Verb::Delete)? else {
            return Ok(None);
        };
        match (held(&head), head.header("x-amz-version-id")) {
            (Some(until), _) if until > SystemClock.now() => {
                Err(Error::new(Kind::Denied, Verb::Delete, name).because(Held { until }))
            }
            (Some(_), Some(version)) => Ok(Some(format!(
                "{path}?versionId={}",
                super::escape_all(version)
            ))),
            _ => Ok(Some(path)),
        }
    }
}
