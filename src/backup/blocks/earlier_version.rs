//! The version of a file that an earlier level has.

use crate::backup::compare::Previous;
use crate::model::{Content, Extent, SignaturePlace};

/// Where the content of an earlier version is, and where the signatures of its blocks are.
#[derive(Clone, Debug, Default)]
pub(in crate::backup) struct EarlierVersion {
    pub(super) extents: Vec<Extent>,
    pub(in crate::backup) signatures: Vec<SignaturePlace>,
}

impl EarlierVersion {
    /// Returns the version of an entry; `None` if it has no signatures.
    pub(in crate::backup) fn of(previous: &Previous) -> Option<Self> {
        match &previous.entry.content {
            Content::File { extents, .. } if !previous.entry.metadata.signatures.is_empty() => {
                Some(Self {
                    extents: extents.clone(),
                    signatures: previous.entry.metadata.signatures.clone(),
                })
            }
            _ => None,
        }
    }
}
