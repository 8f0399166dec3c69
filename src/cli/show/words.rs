//! Numbers in words.

use crate::config::show_bytes;
use crate::format::manifest::{Bytes, Counts};

/// Sums up a run: `12 files and 3 directories, 1.2 MiB, 400 KiB stored`.
pub(in crate::cli) fn in_words(counts: &Counts, bytes: &Bytes) -> String {
    let mut text = format!(
        "{} and {}, {}, {} stored",
        several(counts.files, "file", "files"),
        several(counts.directories, "directory", "directories"),
        show_bytes(bytes.logical),
        show_bytes(bytes.stored)
    );
    if counts.skipped > 0 {
        text.push_str(&format!(
            "; {} skipped, which no backup can hold",
            several(counts.skipped, "socket", "sockets")
        ));
    }
    text
}

/// Returns a number with its noun, in the singular for 1.
pub(in crate::cli) fn several(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
