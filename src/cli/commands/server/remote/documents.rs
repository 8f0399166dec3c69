//! What is done alike with the documents of every resource: list, show, make, change, remove.

use super::list_options::ListOptions;
use super::show::{show, tell, wanted};
use crate::cli::open::json_file::read_document;
use crate::cli::open::session::Session;
use crate::cli::show::output::{Column, OutputForm};
use crate::sched::connection::{ApiConnection, Resource};
use serde_json::Value;
use std::path::Path;

/// The documents of one resource of a server.
pub(super) struct Documents<'server> {
    pub(super) server: &'server ApiConnection,
    pub(super) resource: Resource,
}

/// A list that is wanted, and how it is shown.
pub(super) struct DocumentList<'ask, const COLUMNS: usize> {
    pub(super) part: &'ask ListOptions,
    /// What the server searches for.
    pub(super) search: Value,
    /// More of the query, from its `&` on.
    pub(super) more: &'ask str,
    pub(super) columns: [Column; COLUMNS],
    pub(super) row: fn(Value, &Session) -> [String; COLUMNS],
}

impl<'ask, const COLUMNS: usize> DocumentList<'ask, COLUMNS> {
    /// Wants the part of the list that the options name.
    pub(super) fn new(
        part: &'ask ListOptions,
        columns: [Column; COLUMNS],
        row: fn(Value, &Session) -> [String; COLUMNS],
    ) -> Self {
        Self {
            part,
            search: part.search(),
            more: "",
            columns,
            row,
        }
    }
}

impl Documents<'_> {
    /// Prints a list: as JSON, or a table for people.
    pub(super) fn list<const COLUMNS: usize>(
        &self,
        list: DocumentList<'_, COLUMNS>,
        session: &mut Session,
    ) -> anyhow::Result<()> {
        let page = list.part.page();
        let found = self
            .server
            .list(self.resource, &list.search, page, list.more)?;
        if session.output.form == OutputForm::Json {
            return Ok(session.output.json(&found)?);
        }
        let row = |document| (list.row)(document, session);
        let rows: Vec<_> = found.into_iter().map(row).collect();
        Ok(session.output.table(list.columns, &rows)?)
    }

    /// Prints one document: as JSON, or these rows of it for people.
    pub(super) fn show<N: AsRef<str>>(
        &self,
        id: &str,
        rows: impl FnOnce(Value, &Session) -> Vec<(N, String)>,
        session: &mut Session,
    ) -> anyhow::Result<()> {
        let document = wanted(self.server, self.resource, id)?;
        let rows = rows(document.clone(), session);
        show(&document, &rows, session)
    }

    /// Makes a document from a file, and prints its id.
    pub(super) fn create(&self, file: &Path, session: &mut Session) -> anyhow::Result<()> {
        self.create_from(&read_document(file)?, session)
    }

    /// Makes a document, and prints its id.
    pub(super) fn create_from(
        &self,
        document: &Value,
        session: &mut Session,
    ) -> anyhow::Result<()> {
        let id = self.server.create(self.resource, document)?;
        tell("created", self.resource, &id, session)
    }

    /// Changes a document.
    pub(super) fn update(
        &self,
        id: &str,
        patch: &Value,
        session: &mut Session,
    ) -> anyhow::Result<()> {
        self.server.update(self.resource, id, patch, None)?;
        tell("changed", self.resource, id, session)
    }

    /// Removes a document.
    pub(super) fn delete(&self, id: &str, session: &mut Session) -> anyhow::Result<()> {
        self.server.delete(self.resource, id)?;
        tell("deleted", self.resource, id, session)
    }
}
