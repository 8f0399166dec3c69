//! Features: what a store or a level asks of programs that do not know all of it.
//!
//! A document lists names of features. A program that does not know one in `requires` cannot read
//! what the document describes. A program that does not know one in `allows` can read it, and must
//! not change it.
//!
//! Layout: docs/format.md, "Unknown things".

use super::DocumentError;

/// Objects have hidden names: an encrypted store does not show the names of hosts and backups.
pub const HIDDEN_NAMES: &str = "hidden-names";

/// Features of stores that this program knows.
const KNOWN_OF_STORES: &[&str] = &[HIDDEN_NAMES];

/// Features of levels that this program knows.
const KNOWN_OF_LEVELS: &[&str] = &[];

/// The longest name of a feature in bytes, and the most that a list may have.
const MOST: usize = 64;

/// What the features belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeatureScope {
    /// A store: `freezer.json`.
    Store,
    /// A level: its manifest.
    Level,
}

impl FeatureScope {
    fn known(self) -> &'static [&'static str] {
        match self {
            Self::Store => KNOWN_OF_STORES,
            Self::Level => KNOWN_OF_LEVELS,
        }
    }

    /// Refuses a document with a required feature that this program does not know.
    pub(super) fn check(self, requires: &[String], allows: &[String]) -> Result<(), DocumentError> {
        let is_name = |name: &String| {
            (1..=MOST).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        if requires.len().max(allows.len()) > MOST || !requires.iter().chain(allows).all(is_name) {
            return Err(DocumentError::Content(
                "one of its features has no legal name, or there are too many",
            ));
        }
        let unknown = self.unknown(requires);
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(DocumentError::Feature(unknown.join(", ")))
        }
    }

    /// Returns the features of a list that this program does not know.
    pub(super) fn unknown(self, features: &[String]) -> Vec<String> {
        let known = self.known();
        let is_unknown = |name: &&String| !known.contains(&name.as_str());
        features.iter().filter(is_unknown).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::FeatureScope;
    use crate::format::DocumentError;

    #[test]
    fn what_is_required_must_be_known_and_what_is_allowed_need_not() {
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let store = FeatureScope::Store;
        store
            .check(&list(&["hidden-names"]), &list(&["later"]))
            .expect("known");
        assert_eq!(
            store.unknown(&list(&["later", "hidden-names"])),
            ["later".to_owned()]
        );
        for scope in [FeatureScope::Store, FeatureScope::Level] {
            let refused = scope.check(&list(&["later"]), &[]).expect_err("unknown");
            assert!(matches!(refused, DocumentError::Feature(_)), "{refused}");
        }
        for hostile in ["", "A", "a b", "\x1b[2J", &"x".repeat(65)] {
            let refused = store.check(&[], &list(&[hostile])).expect_err("no name");
            assert!(matches!(refused, DocumentError::Content(_)), "{hostile:?}");
        }
    }
}
