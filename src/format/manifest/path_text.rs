//! Paths of any bytes in JSON.

use crate::format::json::base64_bytes;
use serde::{Deserialize, Serialize};

/// A path in JSON: a string if it is UTF-8, otherwise an object with its bytes in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathText {
    /// A path in UTF-8.
    Text(String),
    /// A path that is not UTF-8.
    Bytes {
        /// The path's bytes.
        #[serde(with = "base64_bytes")]
        base64: Vec<u8>,
    },
}

impl From<Vec<u8>> for PathText {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(
            |error| Self::Bytes {
                base64: error.into_bytes(),
            },
            Self::Text,
        )
    }
}

impl std::fmt::Display for PathText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bytes { base64 } => write!(f, "{}", base64.escape_ascii()),
        }
    }
}
