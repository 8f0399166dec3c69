//! Tables of documents: clients, actions, jobs, sessions, backups.
//!
//! A row holds the document exactly as it is answered, so that a list is rows joined with commas,
//! and beside it what can be searched for. Which names have a column is said by [`Collection`].

use super::facts::{self, Fact, Needle};
use super::{Backend, Database, DatabaseError, Row, Statement, Transaction, Value};
pub(in crate::api) use crate::model::job::Document;
use crate::model::job::{Documented, SessionStatus, Words};

/// A table.
#[derive(Debug)]
pub(in crate::api) struct Collection {
    /// Its name.
    table: &'static str,
    /// The names that have a column `key_NAME`, and where in the document their values are.
    keys: &'static [(&'static str, &'static str)],
    /// A column with a number that a resource keeps beside the document.
    number: Option<&'static str>,
    /// Whether it has the project of the client it is for.
    for_client: bool,
    /// Whether rows marked central are seen by all projects.
    shared: bool,
}

/// Nodes. Their number is 1 for a central one.
pub(in crate::api) const CLIENTS: Collection = Collection {
    table: "clients",
    keys: &[("hostname", "client/hostname"), ("uuid", "client/uuid")],
    number: Some("central"),
    for_client: false,
    shared: true,
};
/// Actions.
pub(in crate::api) const ACTIONS: Collection = Collection {
    table: "actions",
    keys: &[],
    number: None,
    for_client: false,
    shared: false,
};
/// Jobs.
pub(in crate::api) const JOBS: Collection = Collection {
    table: "jobs",
    keys: &[
        ("client_id", "client_id"),
        ("status", "job_schedule/status"),
        ("session_id", "session_id"),
    ],
    number: None,
    for_client: true,
    shared: false,
};
/// Sessions. Their number is the second in which they were last started.
pub(in crate::api) const SESSIONS: Collection = Collection {
    table: "sessions",
    keys: &[("status", "status")],
    number: Some("time_start"),
    for_client: false,
    shared: false,
};
/// Records of backups. Their number is their time stamp.
pub(in crate::api) const BACKUPS: Collection = Collection {
    table: "backups",
    keys: &[
        ("hostname", "backup_metadata/hostname"),
        ("backup_name", "backup_metadata/backup_name"),
        ("job_id", "backup_metadata/job_id"),
        ("container", "backup_metadata/container"),
    ],
    number: Some("time_stamp"),
    for_client: false,
    shared: false,
};

/// A row of a table of documents.
#[derive(Clone, Debug)]
pub(in crate::api) struct StoredRow {
    /// The id of the row.
    pub(in crate::api) id: String,
    /// The project of the row.
    pub(in crate::api) project: String,
    /// Grows by one with each change.
    pub(in crate::api) version: i64,
    /// The document.
    pub(in crate::api) document: Document,
}

impl StoredRow {
    /// The document, read as one of a kind.
    pub(in crate::api) fn read<D: Documented>(&self) -> D {
        D::of(self.document.clone())
    }
}

/// The key of a row.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct RowKey<'k> {
    /// The project of the row.
    pub(in crate::api) project: &'k str,
    /// The id of the row.
    pub(in crate::api) id: &'k str,
}

/// Columns of a row that its document does not say.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Beside {
    /// For the column of a number, where there is one.
    pub(in crate::api) number: Option<i64>,
    /// The project of the client, for jobs.
    pub(in crate::api) client_project: String,
}

/// The rows that a request may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) enum RowScope {
    /// Those of one project, and what is central.
    Project(String),
    /// All.
    AllProjects,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct RowRange {
    /// How many rows to leave out.
    pub(in crate::api) offset: i64,
    /// How many to give at most.
    pub(in crate::api) limit: i64,
}

/// The conditions of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct RowSearch {
    /// All of these.
    pub(in crate::api) facts: Vec<Fact>,
    /// None of these.
    pub(in crate::api) not: Vec<Fact>,
    /// Each of these in one of the words.
    pub(in crate::api) words: Vec<Needle>,
    /// The number beside the document is this or more.
    pub(in crate::api) from: Option<i64>,
    /// The number beside the document is this or less.
    pub(in crate::api) to: Option<i64>,
}

/// A listed row: the text of the document, and for jobs the project of its client.
#[derive(Debug)]
pub(in crate::api) struct ListedRow {
    /// The document, as JSON.
    pub(in crate::api) text: String,
    /// The project of the row.
    pub(in crate::api) project: String,
    /// The project of its client, for jobs.
    pub(in crate::api) client_project: String,
}

impl Collection {
    /// The name of the table.
    pub(in crate::api) fn table(&self) -> &'static str {
        self.table
    }

    fn scope(&self, scope: &RowScope, statement: &mut Statement) {
        match scope {
            RowScope::AllProjects => statement.add("1 = 1", []),
            RowScope::Project(project) if self.shared => {
                statement.add("(project_id = ? OR central = 1)", [project.as_str().into()])
            }
            RowScope::Project(project) => {
                statement.add("project_id = ?", [project.as_str().into()])
            }
        }
    }

    fn condition(
        &self,
        backend: Backend,
        scope: &RowScope,
        search: &RowSearch,
        statement: &mut Statement,
    ) {
        self.scope(scope, statement);
        let position = position(backend);
        for fact in &search.facts {
            let (text, wanted) = fact.needle();
            if let Some(column) = self.column(fact) {
                statement.add(&format!(" AND {column} = ?"), [fact.digest().into()]);
            }
            statement.add(
                &format!(
                    " AND {position}(facts, ?) {} 0",
                    if wanted { ">" } else { "=" }
                ),
                [text.into()],
            );
        }
        for fact in &search.not {
            let (text, wanted) = fact.needle();
            let unlike = format!("{position}(facts, ?) {} 0", if wanted { "=" } else { ">" });
            match self.column(fact) {
                Some(column) => statement.add(
                    &format!(" AND ({column} <> ? OR {unlike})"),
                    [fact.digest().into(), text.into()],
                ),
                None => statement.add(&format!(" AND {unlike}"), [text.into()]),
            }
        }
        for needle in &search.words {
            statement.add(
                &format!(" AND {position}(words, ?) > 0"),
                [needle.part().into()],
            );
        }
        for (bound, sign) in [(search.from, ">="), (search.to, "<=")] {
            if let (Some(bound), Some(column)) = (bound, self.number) {
                statement.add(&format!(" AND {column} {sign} ?"), [bound.into()]);
            }
        }
    }

    /// Whether an index finds what is searched for; else all rows of a project are looked through.
    fn is_indexed(&self, search: &RowSearch) -> bool {
        let by_column = search.facts.iter().any(|fact| self.column(fact).is_some());
        search.words.is_empty() && (by_column || (search.facts.is_empty() && search.not.is_empty()))
    }

    fn column(&self, fact: &Fact) -> Option<String> {
        self.keys
            .iter()
            .find(|(name, _)| *name == fact.key())
            .map(|(name, _)| format!("key_{name}"))
    }

    /// The rows of a page, in the order in which they were made; of a search for words, whole words
    /// first.
    pub(in crate::api) async fn list(
        &self,
        database: &Database,
        scope: &RowScope,
        search: &RowSearch,
        page: RowRange,
    ) -> Result<Vec<ListedRow>, DatabaseError> {
        let backend = database.backend();
        let client_project = if self.for_client {
            "client_project"
        } else {
            "project_id"
        };
        let mut statement = Statement::of_names(format!(
            "SELECT document, project_id, {client_project} FROM {} WHERE ",
            self.table
        ));
        self.condition(backend, scope, search, &mut statement);
        statement.add(" ORDER BY ", []);
        for needle in &search.words {
            let part = format!(
                "CASE WHEN {}(words, ?) > 0 THEN 0 ELSE 1 END, ",
                position(backend)
            );
            statement.add(&part, [needle.whole().into()]);
        }
        statement.add(
            "created_us, id LIMIT ? OFFSET ?",
            [page.limit.into(), page.offset.into()],
        );
        let rows = if self.is_indexed(search) {
            database.fetch("list", &statement).await
        } else {
            database.look_through("list", &statement).await
        };
        Ok(rows?
            .iter()
            .map(|row| ListedRow {
                text: row.text(0),
                project: row.text(1),
                client_project: row.text(2),
            })
            .collect())
    }

    /// How many rows there are.
    pub(in crate::api) async fn count(
        &self,
        database: &Database,
        scope: &RowScope,
        search: &RowSearch,
    ) -> Result<i64, DatabaseError> {
        let mut statement =
            Statement::of_names(format!("SELECT COUNT(*) FROM {} WHERE ", self.table));
        self.condition(database.backend(), scope, search, &mut statement);
        Ok(database
            .look_through("count", &statement)
            .await?
            .first()
            .and_then(|row| row.integer(0))
            .unwrap_or(0))
    }

    fn one(&self, scope: &RowScope, id: &str) -> Statement {
        let mut statement = Statement::of_names(format!(
            "SELECT id, project_id, version, document FROM {} WHERE id = ? AND ",
            self.table
        ))
        .bind(id);
        self.scope(scope, &mut statement);
        if let (true, RowScope::Project(project)) = (self.shared, scope) {
            statement.add(
                " ORDER BY CASE WHEN project_id = ? THEN 0 ELSE 1 END",
                [project.as_str().into()],
            );
        }
        statement
    }

    /// The row with this id.
    pub(in crate::api) async fn get(
        &self,
        database: &Database,
        scope: &RowScope,
        id: &str,
    ) -> Result<Option<StoredRow>, DatabaseError> {
        let rows = database.fetch("read", &self.one(scope, id)).await?;
        rows.first().map(stored).transpose()
    }

    /// The row with this id, as it is and stays until the transaction ends when `lock` is set.
    pub(in crate::api) async fn locked(
        &self,
        transaction: &mut Transaction,
        scope: &RowScope,
        id: &str,
    ) -> Result<Option<StoredRow>, DatabaseError> {
        let mut statement = self.one(scope, id);
        if transaction.backend() != Backend::Sqlite {
            statement.add(" FOR UPDATE", []);
        }
        let rows = transaction.fetch("read", &statement).await?;
        rows.first().map(stored).transpose()
    }

    /// Whether any project has a row with this id.
    pub(in crate::api) async fn others(
        &self,
        transaction: &mut Transaction,
        project: &str,
        id: &str,
    ) -> Result<Vec<StoredRow>, DatabaseError> {
        let statement = Statement::of_names(format!(
            "SELECT id, project_id, version, document FROM {} WHERE id = ? AND project_id <> ? \
             ORDER BY project_id",
            self.table
        ));
        transaction
            .fetch("read", &statement.bind(id).bind(project))
            .await?
            .iter()
            .map(stored)
            .collect()
    }

    /// Adds a row, with version 1.
    pub(in crate::api) async fn insert(
        &self,
        transaction: &mut Transaction,
        key: RowKey<'_>,
        document: &Document,
        beside: &Beside,
        now_us: i64,
    ) -> Result<(), DatabaseError> {
        let searchable = facts::searchable(document, self.keys);
        let mut columns =
            "id, project_id, version, created_us, updated_us, document, facts, words".to_owned();
        let mut values: Vec<Value> = vec![
            key.id.into(),
            key.project.into(),
            1.into(),
            now_us.into(),
            now_us.into(),
        ];
        values.extend([
            text_of(document).into(),
            searchable.facts.into(),
            searchable.words.into(),
        ]);
        for ((name, _), digest) in self.keys.iter().zip(searchable.digests) {
            columns.push_str(&format!(", key_{name}"));
            values.push(digest.into());
        }
        if let Some(column) = self.number {
            columns.push_str(&format!(", {column}"));
            values.push(beside.number.into());
        }
        if self.for_client {
            columns.push_str(", client_project");
            values.push(beside.client_project.as_str().into());
        }
        let marks = vec!["?"; values.len()].join(", ");
        let mut statement = Statement::of_names(format!(
            "INSERT INTO {} ({columns}) VALUES ({marks})",
            self.table
        ));
        statement.add("", values);
        transaction.execute("add", &statement).await.map(drop)
    }

    /// Replaces the document of a locked row; its new version.
    pub(in crate::api) async fn update(
        &self,
        transaction: &mut Transaction,
        row: &StoredRow,
        document: &Document,
        beside: &Beside,
        now_us: i64,
    ) -> Result<i64, DatabaseError> {
        let searchable = facts::searchable(document, self.keys);
        let mut statement = Statement::of_names(format!(
            "UPDATE {} SET version = version + 1, updated_us = ?, document = ?, facts = ?, words = \
             ?",
            self.table
        ))
        .bind(now_us)
        .bind(text_of(document))
        .bind(searchable.facts)
        .bind(searchable.words);
        for ((name, _), digest) in self.keys.iter().zip(searchable.digests) {
            statement.add(&format!(", key_{name} = ?"), [digest.into()]);
        }
        if let (Some(column), Some(_)) = (self.number, beside.number) {
            statement.add(&format!(", {column} = ?"), [beside.number.into()]);
        }
        if self.for_client && !beside.client_project.is_empty() {
            statement.add(
                ", client_project = ?",
                [beside.client_project.as_str().into()],
            );
        }
        statement.add(
            " WHERE project_id = ? AND id = ?",
            [row.project.as_str().into(), row.id.as_str().into()],
        );
        transaction.execute("change", &statement).await?;
        Ok(row.version + 1)
    }

    /// Takes a row of a project away; whether there was one.
    pub(in crate::api) async fn delete(
        &self,
        transaction: &mut Transaction,
        project: &str,
        id: &str,
    ) -> Result<bool, DatabaseError> {
        let statement = Statement::of_names(format!(
            "DELETE FROM {} WHERE project_id = ? AND id = ?",
            self.table
        ));
        Ok(transaction
            .execute("delete", &statement.bind(project).bind(id))
            .await?
            > 0)
    }

    /// The ids that follow `after` among all rows, for reading a whole table in pieces.
    pub(in crate::api) async fn after(
        &self,
        database: &Database,
        after: RowKey<'_>,
        limit: i64,
    ) -> Result<Vec<StoredRow>, DatabaseError> {
        let RowKey { project, id } = after;
        let statement = Statement::of_names(format!(
            "SELECT id, project_id, version, document FROM {} WHERE project_id > ? \
             OR (project_id = ? AND id > ?) \
             ORDER BY project_id, id LIMIT ?",
            self.table
        ));
        let statement = statement.bind(project).bind(project).bind(id).bind(limit);
        database
            .look_through("read", &statement)
            .await?
            .iter()
            .map(stored)
            .collect()
    }
}

/// Notes which actions a job has.
pub(in crate::api) async fn link_actions(
    transaction: &mut Transaction,
    job: &str,
    actions: &[String],
) -> Result<(), DatabaseError> {
    let statement = Statement::new("DELETE FROM job_actions WHERE job_id = ?").bind(job);
    transaction
        .execute("unlink the actions of a job", &statement)
        .await?;
    let mut linked: Vec<&String> = actions.iter().collect();
    linked.sort_unstable();
    linked.dedup();
    for action in linked {
        let statement = Statement::new("INSERT INTO job_actions (job_id, action_id) VALUES (?, ?)")
            .bind(job)
            .bind(action.as_str());
        transaction
            .execute("link the actions of a job", &statement)
            .await?;
    }
    Ok(())
}

/// Which jobs have an action, in order.
pub(in crate::api) async fn jobs_with_action(
    transaction: &mut Transaction,
    action: &str,
) -> Result<Vec<String>, DatabaseError> {
    let statement =
        Statement::new("SELECT job_id FROM job_actions WHERE action_id = ? ORDER BY job_id")
            .bind(action);
    Ok(transaction
        .fetch("find the jobs of an action", &statement)
        .await?
        .iter()
        .map(|row| row.text(0))
        .collect())
}

/// Sessions that run and were started before that second: project and id.
pub(in crate::api) async fn sessions_started_before(
    database: &Database,
    second: i64,
) -> Result<Vec<(String, String)>, DatabaseError> {
    let running = Fact::new("status", &SessionStatus::Running.word().into());
    let statement = Statement::new(
        "SELECT project_id, id FROM sessions WHERE key_status = ? AND time_start < ? ORDER BY \
         project_id, id LIMIT 100",
    );
    let rows = database
        .fetch(
            "find sessions",
            &statement.bind(running.digest()).bind(second),
        )
        .await?;
    Ok(rows.iter().map(|row| (row.text(0), row.text(1))).collect())
}

/// The JSON text of a document.
pub(in crate::api) fn text_of(document: &Document) -> String {
    serde_json::to_string(document).expect("a map with text keys is always JSON")
}

fn stored(row: &Row) -> Result<StoredRow, DatabaseError> {
    let document =
        serde_json::from_str(&row.text(3)).map_err(|_| DatabaseError::Stored("document"))?;
    Ok(StoredRow {
        id: row.text(0),
        project: row.text(1),
        version: row.integer(2).unwrap_or(0),
        document,
    })
}

/// The function that finds a part in a text, by bytes.
fn position(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite | Backend::MySql => "instr",
        Backend::Postgres => "strpos",
    }
}
