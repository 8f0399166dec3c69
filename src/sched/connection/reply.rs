//! Reads what the server answers.

use super::error::{ApiError, unreachable_at};
use crate::net::{Error as NetError, HttpReply};
use serde_json::Value;

/// Most bytes of an answer.
const LONGEST: u64 = 64 << 20;

/// An answer that was not an error.
#[derive(Debug)]
pub struct ApiAnswer {
    /// Its body; null where there is none.
    pub body: Value,
    /// The version of the object, where the server says one.
    pub version: Option<String>,
}

/// Reads an answer to the end. `what` names the request in the error for a refusal.
pub(super) fn read(reply: HttpReply, url: &str, what: &str) -> Result<ApiAnswer, ApiError> {
    let (status, is_done) = (reply.status, reply.is_done());
    let version = reply.header("etag").map(str::to_owned);
    let cut_off = |silence: NetError| unreachable_at(url, silence);
    let bytes = reply
        .bytes(LONGEST)
        .map_err(cut_off)?
        .ok_or_else(|| ApiError::Answer("it is too long".into()))?;
    if !is_done {
        return Err(ApiError::Refused {
            what: what.to_owned(),
            status,
            words: words(&bytes),
        });
    }
    if bytes.is_empty() {
        return Ok(ApiAnswer {
            body: Value::Null,
            version,
        });
    }
    let body =
        serde_json::from_slice(&bytes).map_err(|error| ApiError::Answer(error.to_string()))?;
    Ok(ApiAnswer { body, version })
}

/// Returns the reason in the body of an error. Servers of Freezer and of OpenStack have it at
/// different places.
fn words(bytes: &[u8]) -> String {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let said = ["/description", "/error/message", "/title"]
        .iter()
        .find_map(|at| body.pointer(at).and_then(Value::as_str));
    let text = said.map_or_else(
        || String::from_utf8_lossy(bytes).into_owned(),
        str::to_owned,
    );
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    if text.trim().is_empty() {
        "it gives no reason".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn what_servers_say_is_found_wherever_they_say_it() {
        assert_eq!(
            words(br#"{"title": "t", "description": "no such client"}"#),
            "no such client"
        );
        assert_eq!(
            words(br#"{"error": {"code": 401, "message": "who?"}}"#),
            "who?"
        );
        assert_eq!(words(b"<html>\x07gone"), "<html>gone");
        assert_eq!(words(b""), "it gives no reason");
    }
}
