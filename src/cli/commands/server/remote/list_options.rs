//! Options of the commands that list.

use crate::sched::connection::ListPart;
use clap::Args;
use serde_json::{Value, json};

/// The part of a list that is shown.
#[derive(Debug, Args)]
pub(super) struct ListOptions {
    /// Show at most this many
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,

    /// Skip this many first
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    offset: usize,

    /// Show only those that contain this text in any field
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

impl ListOptions {
    /// Returns the page that is asked for.
    pub(super) fn page(&self) -> ListPart {
        ListPart {
            limit: self.limit,
            offset: self.offset,
        }
    }

    /// Returns the search as the API takes it.
    pub(super) fn search(&self) -> Value {
        self.search
            .as_ref()
            .map_or_else(|| json!({}), |text| json!({ "match": [{ "_all": text }] }))
    }
}
