//! Object lock: locking the objects that are stored, and asking for the locks of those that are
//! there.

use super::bucket::Bucket;
use crate::net::{HttpReply, MAX_DOCUMENT, Method};
use crate::platform::{Clock, SystemClock};
use crate::store::error::network;
use crate::store::object_server::{ObjectRequest, ObjectServer, in_query};
use crate::store::{Error, ErrorKind, LockMode, ObjectLock, ObjectName, Operation};
use jiff::Timestamp;
use std::sync::OnceLock;

/// Whether a bucket can lock objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// It has no object lock.
    Nothing,
    /// It has: each object has to be looked at.
    Some,
}

/// An object may not be removed yet.
#[derive(Debug, thiserror::Error)]
#[error("it is locked until {until}")]
struct LockedUntil {
    until: Timestamp,
}

/// The locks of a bucket.
pub(super) struct ObjectLocks {
    /// The lock that objects get when they are stored.
    lock: Option<ObjectLock>,
    /// Whether the bucket can lock objects, once the server was asked.
    holds: OnceLock<Holds>,
}

impl ObjectLocks {
    pub(super) fn new(lock: Option<ObjectLock>) -> Self {
        Self {
            lock,
            holds: OnceLock::new(),
        }
    }

    /// Fails when objects are to be locked and the bucket cannot do that.
    pub(super) fn check(&self, bucket: &Bucket) -> Result<(), Error> {
        if self.lock.is_some() && self.holds(bucket)? == Holds::Nothing {
            return Err(Error::of_store(ErrorKind::Failed, Operation::Open).because(
                "the bucket has no object lock; turn object lock on for it, or use a new bucket",
            ));
        }
        Ok(())
    }

    /// Returns the header that turns object lock on for a new bucket, if objects are to be locked.
    pub(super) fn headers_of_bucket(&self) -> Option<(&'static str, String)> {
        self.lock
            .as_ref()
            .map(|_| ("x-amz-bucket-object-lock-enabled", "true".to_owned()))
    }

    /// Returns the headers that lock an object when it is stored.
    pub(super) fn headers_of(&self, name: &ObjectName) -> Vec<(&'static str, String)> {
        let Some(lock) = self.lock.as_ref().filter(|lock| (lock.holds)(name)) else {
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

    /// Returns whether the bucket can lock objects. Asks the server the first time.
    fn holds(&self, bucket: &Bucket) -> Result<Holds, Error> {
        if let Some(known) = self.holds.get() {
            return Ok(*known);
        }
        let path = "/?object-lock".to_owned();
        let reply = bucket.send(&ObjectRequest::new(
            Operation::Open,
            None,
            Method::GET,
            path,
        ))?;
        let holds = match reply.status {
            // It is there, or we may not know.
            403 => Holds::Some,
            // There is none, or the server knows no such thing.
            400 | 404 | 405 | 501 => Holds::Nothing,
            _ if !reply.is_done() => return Err(network(Operation::Open, None)(reply.refusal())),
            _ => {
                let text = reply
                    .bytes(MAX_DOCUMENT)
                    .map_err(network(Operation::Open, None))?
                    .unwrap_or_default();
                let says_so =
                    String::from_utf8_lossy(&text).contains("<ObjectLockEnabled>Enabled<");
                if says_so { Holds::Some } else { Holds::Nothing }
            }
        };
        Ok(*self.holds.get_or_init(|| holds))
    }

    /// Returns the moment until which an object is held, if it is.
    pub(super) fn held_until(
        &self,
        bucket: &Bucket,
        name: &ObjectName,
    ) -> Result<Option<Timestamp>, Error> {
        if self.holds(bucket)? == Holds::Nothing {
            return Ok(None);
        }
        let until = look(bucket, name, Operation::Get)?.as_ref().and_then(held);
        Ok(until.filter(|until| *until > SystemClock.now()))
    }

    /// Returns where in the bucket the object is that is to be removed; `None` when there is none.
    ///
    /// A bucket with object lock keeps the versions of removed objects and only hides them. A
    /// locked object must not be hidden, and one whose lock has ended is removed for good.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`] while it is held.
    pub(super) fn path_to_remove(
        &self,
        bucket: &Bucket,
        name: &ObjectName,
    ) -> Result<Option<String>, Error> {
        let path = bucket.path_of(name);
        if self.holds(bucket)? == Holds::Nothing {
            return Ok(Some(path));
        }
        let Some(head) = look(bucket, name, Operation::Delete)? else {
            return Ok(None);
        };
        match (held(&head), head.header("x-amz-version-id")) {
            (Some(until), _) if until > SystemClock.now() => {
                Err(Error::new(ErrorKind::Denied, Operation::Delete, name)
                    .because(LockedUntil { until }))
            }
            (Some(_), Some(version)) => Ok(Some(format!("{path}?versionId={}", in_query(version)))),
            _ => Ok(Some(path)),
        }
    }
}

/// Returns the moment until which an object is held, as its headers say; a legal hold has no end.
fn held(head: &HttpReply) -> Option<Timestamp> {
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

/// Returns the headers of an object; `None` where there is none.
fn look(bucket: &Bucket, name: &ObjectName, verb: Operation) -> Result<Option<HttpReply>, Error> {
    let ask = ObjectRequest::new(verb, Some(name), Method::HEAD, bucket.path_of(name));
    let head = bucket.send(&ask)?;
    match head.status {
        404 => Ok(None),
        _ if head.is_done() => Ok(Some(head)),
        _ => Err(network(verb, Some(name))(head.refusal())),
    }
}
