//! Names of files on a terminal.

use crate::model::TreePath;
use std::borrow::Cow;
use std::io::IsTerminal;

/// Shows names of files: escaped on a terminal, so that they cannot disturb it, and byte for byte
/// elsewhere.
pub(in crate::cli) struct NamePrinter {
    for_terminal: bool,
}

impl Default for NamePrinter {
    fn default() -> Self {
        Self {
            for_terminal: std::io::stdout().is_terminal(),
        }
    }
}

impl NamePrinter {
    /// Returns a path as it is printed; the root is a dot.
    pub(in crate::cli) fn path<'path>(&self, path: &'path TreePath) -> Cow<'path, [u8]> {
        self.name(if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        })
    }

    /// Returns a name as it is printed.
    pub(in crate::cli) fn name<'name>(&self, bytes: &'name [u8]) -> Cow<'name, [u8]> {
        match self.for_terminal {
            true => bytes
                .utf8_chunks()
                .fold(String::new(), escape)
                .into_bytes()
                .into(),
            false => bytes.into(),
        }
    }
}

/// Appends a piece of a name, with control characters and bytes that are not UTF-8 escaped.
fn escape(mut text: String, chunk: std::str::Utf8Chunk<'_>) -> String {
    for character in chunk.valid().chars() {
        match character.is_control() {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    chunk
        .invalid()
        .iter()
        .for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    text
}
