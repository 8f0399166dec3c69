//! Parts of objects over HTTP.

use super::error::network;
use super::selection::length_of;
use super::{Error, ErrorKind, ObjectName, Operation, Selection};
use crate::net::{self, HttpReply, Method};

/// Reads a selection of an object and hands its pieces over. `ask` sends one request with that
/// method and, if there is one, that `Range`.
pub(super) fn read(
    name: &ObjectName,
    wanted: Selection<'_>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
    ask: impl FnOnce(Method, Option<String>) -> Result<HttpReply, Error>,
) -> Result<(), Error> {
    match wanted {
        Selection::Whole { limit } => {
            take(whole(name, limit, ask(Method::GET, None)?)?);
            Ok(())
        }
        Selection::Pieces { offset, lengths } => match length_of(name, offset, lengths)? {
            0 => {
                check_reach(name, offset, ask(Method::HEAD, None)?)?;
                lengths.iter().all(|_| take(Vec::new()));
                Ok(())
            }
            length => {
                let last = offset + length as u64 - 1;
                let reply = ask(Method::GET, Some(format!("bytes={offset}-{last}")))?;
                check_part(name, offset, length, reply)?
                    .pieces(lengths, take)
                    .map_err(network(Operation::Get, Some(name)))
            }
        },
    }
}

/// Returns the body of an answer that has at most `limit` bytes.
fn whole(name: &ObjectName, limit: u64, reply: HttpReply) -> Result<Vec<u8>, Error> {
    if !reply.is_done() {
        return Err(network(Operation::Get, Some(name))(reply.refusal()));
    }
    if reply.is_page() {
        return Err(page(name));
    }
    let bytes = reply
        .bytes(limit)
        .map_err(network(Operation::Get, Some(name)))?;
    bytes.ok_or_else(|| Error::new(ErrorKind::TooLarge, Operation::Get, name))
}

fn page(name: &ObjectName) -> Error {
    network(Operation::Get, Some(name))(net::Error::page())
}

/// Fails unless the answer to a HEAD shows an object that ends at `offset` or behind it.
fn check_reach(name: &ObjectName, offset: u64, reply: HttpReply) -> Result<(), Error> {
    match (reply.is_done(), reply.length()) {
        (true, Some(whole)) if offset <= whole => Ok(()),
        (true, Some(_)) => Err(Error::new(ErrorKind::Short, Operation::Get, name)),
        (true, None) => Err(Error::new(ErrorKind::Failed, Operation::Get, name)
            .because("the server does not say how long the object is")),
        (false, _) => Err(network(Operation::Get, Some(name))(reply.refusal())),
    }
}

/// Returns an answer that brings exactly this part, which has at least one byte.
pub(super) fn check_part(
    name: &ObjectName,
    offset: u64,
    length: usize,
    reply: HttpReply,
) -> Result<HttpReply, Error> {
    let error = |kind| Error::new(kind, Operation::Get, name);
    let another =
        || error(ErrorKind::Failed).because("the server sends another part than was asked for");
    let no_parts = |whole: String| {
        error(ErrorKind::Failed).because(format!(
            "the server does not give parts of objects: it sends {whole} instead of {length} bytes"
        ))
    };
    let end = offset.saturating_add(length as u64);
    match (reply.status, reply.length()) {
        (206, sent) => {
            let Some(SentPart { first, last, whole }) =
                reply.header("content-range").and_then(SentPart::parse)
            else {
                return Err(another());
            };
            // An object that is cut is damage; a part that is cut is a server's lie.
            let is_there = whole.is_some_and(|whole| whole >= end);
            match sent.unwrap_or_else(|| last.saturating_add(1).saturating_sub(first)) {
                _ if first != offset => Err(another()),
                sent if sent < length as u64 && is_there => Err(another()),
                sent if sent < length as u64 => Err(error(ErrorKind::Short)),
                sent if sent > length as u64 => Err(another()),
                _ => Ok(reply),
            }
        }
        (200, _) if reply.is_page() => Err(page(name)),
        // A part that is the whole, or a server that knows no parts.
        (200, Some(whole)) if whole < end => Err(error(ErrorKind::Short)),
        (200, Some(whole)) if offset > 0 || whole > end => Err(no_parts(format!("{whole} bytes"))),
        (200, None) if offset > 0 => Err(no_parts("all of them".to_owned())),
        (200, _) => Ok(reply),
        (416, _) => {
            let whole = reply.header("content-range").and_then(whole_of);
            if whole.is_some_and(|whole| whole >= end) {
                return Err(error(ErrorKind::Failed).because(
                    "the server refuses a part of the object, and says that the object has it",
                ));
            }
            Err(network(Operation::Get, Some(name))(reply.refusal()))
        }
        _ => Err(network(Operation::Get, Some(name))(reply.refusal())),
    }
}

/// The part that an answer brings, as its header says.
#[derive(Debug, PartialEq, Eq)]
struct SentPart {
    first: u64,
    last: u64,
    /// The length of the whole object, if the server says it.
    whole: Option<u64>,
}

impl SentPart {
    /// Reads `bytes 7-9/10`.
    fn parse(content_range: &str) -> Option<Self> {
        let (span, whole) = content_range
            .trim()
            .strip_prefix("bytes ")?
            .split_once('/')?;
        let (first, last) = span.split_once('-')?;
        Some(Self {
            first: first.trim().parse().ok()?,
            last: last.trim().parse().ok()?,
            whole: whole.trim().parse().ok(),
        })
    }
}

/// Reads the length of the whole object off `bytes */10`.
fn whole_of(content_range: &str) -> Option<u64> {
    let (_, whole) = content_range.trim().split_once('/')?;
    whole.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{SentPart, whole_of};

    #[test]
    fn the_bounds_of_a_part_are_read_off_its_header() {
        let part = |first, last, whole| Some(SentPart { first, last, whole });
        assert_eq!(SentPart::parse("bytes 7-9/10"), part(7, 9, Some(10)));
        assert_eq!(SentPart::parse(" bytes 0-0/* "), part(0, 0, None));
        assert_eq!(
            (whole_of("bytes */10"), whole_of("bytes */*")),
            (Some(10), None)
        );
        for other in [
            "7-9/10",
            "bytes */10",
            "bytes 7",
            "bytes 7-9",
            "bytes -9/10",
            "",
        ] {
            assert_eq!(SentPart::parse(other), None, "{other:?}");
        }
    }
}
