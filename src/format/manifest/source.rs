//! What a manifest says of the machine that was backed up.

use super::PathText;
use serde::{Deserialize, Serialize};

/// The machine and the file systems that a run read from, so that a later run can tell whether they
/// are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// A digest that stands for the machine, in hexadecimal.
    pub machine: String,
    /// The file systems, in the order of their paths.
    #[serde(default)]
    pub filesystems: Vec<SourceFilesystem>,
}

/// A file system that a run read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFilesystem {
    /// The first directory of it that the run came to.
    pub path: PathText,
    /// Its kind, such as `ext4`.
    pub kind: String,
    /// What tells it from others of its kind, such as its UUID; may be empty.
    pub id: String,
}
