//! Parts of objects over HTTP.

use super::error::network;
use super::wanted::length_of;
use super::{Error, Kind, ObjectName, Verb, Wanted};
use crate::net::{Method, Reply};

/// Hands over what is wanted of an object. `ask` sends one request of that method, with that
/// `Range` where there is one.
pub(super) fn read(
    name: &ObjectName,
    wanted: Wanted<'_>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
    ask: impl FnOnce(Method, Option<String>) -> Result<Reply, Error>,
) -> Result<(), Error> {
    match wanted {
        Wanted::Whole { limit } => {
            take(whole(name, limit, ask(Method::GET, None)?)?);
            Ok(())
        }
        Wanted::Pieces { offset, lengths } => match length_of(name, offset, lengths)? {
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
                    .map_err(network(Verb::Get, Some(name)))
            }
        },
    }
}

/// Returns an answer to its end, if it is no longer than that.
fn whole(name: &ObjectName, limit: u64, reply: Reply) -> Result<Vec<u8>, Error> {
    if !reply.is_done() {
        return Err(network(Verb::Get, Some(name))(reply.refusal()));
    }
    let bytes = reply.bytes(limit).map_err(network(Verb::Get, Some(name)))?;
    bytes.ok_or_else(|| Error::new(Kind::TooLarge, Verb::Get, name))
}

/// Fails unless the answer to a HEAD shows an object that ends at `offset` or behind it.
fn check_reach(name: &ObjectName, offset: u64, reply: Reply) -> Result<(), Error> {
    match (reply.is_done(), reply.length()) {
        (true, Some(whole)) if offset <= whole => Ok(()),
        (true, Some(_)) => Err(Error::new(Kind::Short, Verb::Get, name)),
        (true, None) => Err(Error::new(Kind::Failed, Verb::Get, name)
            .because("the server does not say how long the object is")),
        (false, _) => Err(network(Verb::Get, Some(name))(reply.refusal())),
    }
}

/// Returns an answer that brings exactly this part, which has at least one byte.
pub(super) fn check_part(
    name: &ObjectName,
    offset: u64,
    length: usize,
    reply: Reply,
) -> Result<Reply, Error> {
    let error = |kind| Error::new(kind, Verb::Get, name);
    let another =
        || error(Kind::Failed).because("the server sends another part than was asked for");
    let no_parts = |whole: String| {
        error(Kind::Failed).because(format!(
            "the server does not give parts of objects: it sends {whole} instead of {length} bytes"
        ))
    };
    let end = offset.saturating_add(length as u64);
    match (reply.status, reply.length()) {
        (206, sent) => {
            let Some((first, last)) = reply.header("content-range").and_then(bounds) else {
                return Err(another());
            };
            match sent.unwrap_or_else(|| last.saturating_add(1).saturating_sub(first)) {
                _ if first != offset => Err(another()),
                sent if sent < length as u64 => Err(error(Kind::Short)),
                sent if sent > length as u64 => Err(another()),
                _ => Ok(reply),
            }
        }
        // A part that is the whole, or a server that knows no parts.
        (200, Some(whole)) if whole < end => Err(error(Kind::Short)),
        (200, Some(whole)) if offset > 0 || whole > end => Err(no_parts(format!("{whole} bytes"))),
        (200, None) if offset > 0 => Err(no_parts("all of them".to_owned())),
        (200, _) => Ok(reply),
        _ => Err(network(Verb::Get, Some(name))(reply.refusal())),
    }
}

/// Reads the first and the last position of `bytes 7-9/10`.
fn bounds(content_range: &str) -> Option<(u64, u64)> {
    let (span, _) = content_range
        .trim()
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (first, last) = span.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn the_bounds_of_a_part_are_read_off_its_header() {
        assert_eq!(bounds("bytes 7-9/10"), Some((7, 9)));
        assert_eq!(bounds(" bytes 0-0/* "), Some((0, 0)));
        for other in [
            "7-9/10",
            "bytes */10",
            "bytes 7",
            "bytes 7-9",
            "bytes -9/10",
            "",
        ] {
            assert_eq!(bounds(other), None, "{other:?}");
        }
    }
}
