//! Parts of objects over HTTP.

use super::error::network;
use super::{Error, Kind, ObjectName, Verb};
use crate::net::Reply;

/// Reads exactly `length` bytes from `offset` on. `ask` sends a GET with that `Range`, or a HEAD
/// where there is none.
pub(super) fn read(
    name: &ObjectName,
    offset: u64,
    length: usize,
    ask: impl FnOnce(Option<String>) -> Result<Reply, Error>,
) -> Result<Vec<u8>, Error> {
    let error = |kind| Error::new(kind, Verb::Get, name);
    if length == 0 {
        let reply = ask(None)?;
        return match (reply.is_done(), reply.length()) {
            (true, Some(whole)) if offset <= whole => Ok(Vec::new()),
            (true, Some(_)) => Err(error(Kind::Short)),
            (true, None) => {
                Err(error(Kind::Failed).because("the server does not say how long the object is"))
            }
            (false, _) => Err(network(Verb::Get, Some(name))(reply.refusal())),
        };
    }
    let reply = part(name, offset, length, |range| ask(Some(range)))?;
    let bytes = reply
        .bytes(length as u64)
        .map_err(network(Verb::Get, Some(name)))?;
    match bytes {
        Some(bytes) if bytes.len() == length => Ok(bytes),
        Some(_) => Err(error(Kind::Short)),
        None => Err(error(Kind::Failed).because("the server sends more than was asked for")),
    }
}

/// Reads pieces of these lengths from `offset` on and hands each over when it has come, until
/// `take` returns `false`.
pub(super) fn pieces(
    name: &ObjectName,
    offset: u64,
    lengths: &[usize],
    take: &mut dyn FnMut(Vec<u8>) -> bool,
    ask: impl FnOnce(String) -> Result<Reply, Error>,
) -> Result<(), Error> {
    let length = super::together(lengths)
        .filter(|length| *length > 0)
        .ok_or_else(|| Error::new(Kind::Short, Verb::Get, name))?;
    part(name, offset, length, ask)?
        .pieces(lengths, take)
        .map_err(network(Verb::Get, Some(name)))
}

/// The answer that brings exactly this part, which has at least one byte.
fn part(
    name: &ObjectName,
    offset: u64,
    length: usize,
    ask: impl FnOnce(String) -> Result<Reply, Error>,
) -> Result<Reply, Error> {
    let error = |kind| Error::new(kind, Verb::Get, name);
    let Some(end) = offset.checked_add(length as u64) else {
        return Err(error(Kind::Short));
    };
    let reply = ask(format!("bytes={offset}-{}", end - 1))?;
    match (reply.status, reply.length()) {
        (206, Some(sent)) if sent < length as u64 => Err(error(Kind::Short)),
        (206, Some(sent)) if sent > length as u64 => {
            Err(error(Kind::Failed).because("the server sends another part than was asked for"))
        }
        // A part that is the whole, or a server that knows no parts.
        (200, Some(whole)) if whole < end => Err(error(Kind::Short)),
        (200, Some(whole)) if offset > 0 || whole > end => {
            Err(error(Kind::Failed).because(format!(
                "the server does not give parts of objects: {whole} bytes in place of {length}"
            )))
        }
        (206, _) if !starts_at(reply.header("content-range"), offset) => {
            Err(error(Kind::Failed).because("the server sends another part than was asked for"))
        }
        (200 | 206, _) => Ok(reply),
        _ => Err(network(Verb::Get, Some(name))(reply.refusal())),
    }
}

/// Whether `bytes 7-9/10` begins at an offset.
fn starts_at(content_range: Option<&str>, offset: u64) -> bool {
    let start = content_range
        .and_then(|text| text.trim().strip_prefix("bytes "))
        .and_then(|text| text.split_once('-'));
    start.is_some_and(|(start, _)| start.trim().parse() == Ok(offset))
}

#[cfg(test)]
mod tests {
    use super::starts_at;

    #[test]
    fn a_part_from_elsewhere_is_noticed() {
        assert!(starts_at(Some("bytes 7-9/10"), 7));
        for other in [
            None,
            Some("bytes 8-9/10"),
            Some("7-9/10"),
            Some("bytes */10"),
            Some("bytes 7"),
        ] {
            assert!(!starts_at(other, 7), "{other:?}");
        }
    }
}
