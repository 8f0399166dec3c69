//! Bringing the tables to the form this version wants.

use super::{Backend, Database, DatabaseError, Statement, Transaction};

/// The forms there have been, oldest first; the statements that lead to each from the one before,
/// of each database. They are never edited after a release.
const FORMS: &[SchemaForm] = &[SchemaForm {
    sqlite: include_str!("migrations/0001.sqlite.sql"),
    postgres: include_str!("migrations/0001.postgres.sql"),
    mysql: include_str!("migrations/0001.mysql.sql"),
}];

struct SchemaForm {
    sqlite: &'static str,
    postgres: &'static str,
    mysql: &'static str,
}

impl SchemaForm {
    /// The statements, one after the other.
    fn statements(&self, backend: Backend) -> impl Iterator<Item = &'static str> + use<> {
        let text = match backend {
            Backend::Sqlite => self.sqlite,
            Backend::Postgres => self.postgres,
            Backend::MySql => self.mysql,
        };
        text.split(";\n")
            .map(str::trim)
            .filter(|statement| !statement.is_empty())
    }
}

/// Any number of the program's own, for the lock that one process holds while it changes tables.
const LOCK: i64 = 0x6672_7a6d;

/// Brings the tables to the form this version wants. Any number of processes may do so at once.
pub(in crate::api) async fn run(database: &Database) -> Result<(), DatabaseError> {
    let backend = database.backend();
    let mut transaction = database.begin_unhurried().await?;
    lock(&mut transaction).await?;
    let table = Statement::new(
        "CREATE TABLE IF NOT EXISTS freezer_schema (form BIGINT NOT NULL PRIMARY KEY)",
    );
    transaction
        .execute("make the table of forms", &table)
        .await?;
    let rows = transaction
        .fetch(
            "read the table of forms",
            &Statement::new("SELECT MAX(form) FROM freezer_schema"),
        )
        .await?;
    let found = rows.first().and_then(|row| row.integer(0)).unwrap_or(0);
    let known = i64::try_from(FORMS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(DatabaseError::Newer { found, known });
    }
    for (number, form) in (1..).zip(FORMS).filter(|(number, _)| *number > found) {
        for statement in form.statements(backend) {
            transaction
                .execute(
                    "change its tables",
                    &Statement::of_names(statement.to_owned()),
                )
                .await?;
        }
        let note = Statement::new("INSERT INTO freezer_schema (form) VALUES (?)").bind(number);
        transaction
            .execute("note the form of its tables", &note)
            .await?;
    }
    if backend == Backend::MySql {
        transaction
            .fetch(
                "unlock its tables",
                &Statement::new("SELECT RELEASE_LOCK('freezer_schema')"),
            )
            .await?;
    }
    transaction.commit().await
}

/// SQLite has locked with the beginning of the transaction.
async fn lock(transaction: &mut Transaction) -> Result<(), DatabaseError> {
    let statement = match transaction.backend() {
        Backend::Sqlite => return Ok(()),
        Backend::Postgres => {
            // As long as another process needs for it.
            transaction
                .execute(
                    "wait for others",
                    &Statement::new("SET LOCAL lock_timeout = 0"),
                )
                .await?;
            Statement::new("SELECT CAST(pg_advisory_xact_lock(?) AS TEXT)").bind(LOCK)
        }
        Backend::MySql => Statement::new("SELECT GET_LOCK('freezer_schema', 60)"),
    };
    transaction
        .fetch("lock its tables", &statement)
        .await
        .map(drop)
}
