//! The database: three kinds behind one set of statements.
//!
//! All SQL of the server stands below this module. Statements are portable: columns are 64-bit integers and text, parameters
//! are written `?`, and what the three differ in is asked of [`Backend`]. A resource is a row of a table of documents
//! ([`documents`]); users and tokens are rows of their own (`auth::accounts`).
//!
//! Invariants: no statement holds a value from outside as text; whoever changes a row has locked it, or says which version
//! of it he saw; an error that passes says so ([`Error::is_passing`]), and the request is run again.

pub(super) mod documents;
mod facts;
mod migrate;
mod statement;

pub(super) use facts::{Fact, Needle};
pub(super) use statement::{Row, Statement, Value};

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, MySql, MySqlPool, PgPool, Postgres, Sqlite, SqlitePool};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How long a request waits for a connection, or for a lock of SQLite.
const PATIENCE: Duration = Duration::from_secs(20);
/// A connection that was not used for longer is asked whether it still is one before it is used. Asking each time would make
/// every request wait for one answer more.
const FRESH: Duration = Duration::from_millis(500);
/// The verb of the end of a transaction.
const COMMIT: &str = "commit";

/// The options of a pool of connections to a server.
macro_rules! pool {
    ($options:ty, $connections:expr) => {
        <$options>::new().max_connections($connections).acquire_timeout(PATIENCE).test_before_acquire(false).before_acquire(
            |connection, known| {
                Box::pin(async move {
                    if known.idle_for > FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            },
        )
    };
}

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// A file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

/// Why the database did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address names no database that is known.
    #[error("not the address of a database: it begins with sqlite:, postgres: or mysql:")]
    Address,
    /// It could not be reached, or refused.
    #[error("could not open the database")]
    Open(#[source] sqlx::Error),
    /// A statement failed.
    #[error("the database could not {verb}")]
    Statement {
        /// What was attempted.
        verb: &'static str,
        /// What it said.
        source: sqlx::Error,
    },
    /// The database was made by a later version of this program.
    #[error("the database has the form {found}, and this version knows {known} at most")]
    Newer {
        /// The form it has.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// What is stored is not what was stored by this program.
    #[error("a stored {0} cannot be read")]
    Stored(&'static str),
}

impl Error {
    /// Whether nothing was done, and the same may succeed when tried again: another transaction was in the way, or the
    /// connection was lost before the end of this one. Of a commit that was cut off nobody knows whether it happened.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Statement { verb, source } = self else { return false };
        let error = match source {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => return *verb != COMMIT,
            sqlx::Error::Database(error) => error,
            _ => return false,
        };
        // PostgreSQL: its server is ended, has crashed, or starts.
        if matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03")) {
            return *verb != COMMIT;
        }
        // PostgreSQL: serialization failure, deadlock; MySQL: deadlock, lock wait; SQLite: busy, locked and their extensions.
        match error.code().as_deref() {
            Some("40001" | "40P01" | "1213" | "1205" | "5" | "6" | "261" | "517" | "262") => true,
            _ => error
                .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
                .is_some_and(|error| matches!(error.number(), 1213 | 1205 | 1020)),
        }
    }

    /// Whether a row with that key is there already.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Statement { source: sqlx::Error::Database(error), .. } if error.is_unique_violation())
    }
}

/// An open database. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pool: Pool,
}

#[derive(Clone, Debug)]
enum Pool {
    /// Many readers, one writer: SQLite has room for one, and waiting in a queue is better than being told that it is busy.
    Sqlite {
        readers: SqlitePool,
        writer: SqlitePool,
    },
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// A transaction. Dropped without [`commit`](Self::commit), it has not happened.
#[derive(Debug)]
pub(super) struct Transaction {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
    MySql(sqlx::Transaction<'static, MySql>),
}

impl Database {
    /// Opens the database at an address, with so many connections. A file of SQLite is made if there is none.
    pub(super) async fn open(address: &str, connections: u32) -> Result<Self, Error> {
        let pool = match address.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => sqlite(&sqlite_path(address), connections).await?,
            Some("postgres" | "postgresql") => {
                let options = PgConnectOptions::from_str(address).map_err(Error::Open)?.application_name("freezer-api");
                let pool = pool!(PgPoolOptions, connections);
                Pool::Postgres(pool.connect_with(options).await.map_err(Error::Open)?)
            }
            Some("mysql" | "mariadb") => {
                let options = MySqlConnectOptions::from_str(address).map_err(Error::Open)?.charset("utf8mb4");
                let pool = pool!(MySqlPoolOptions, connections);
                Pool::MySql(pool.connect_with(options).await.map_err(Error::Open)?)
            }
            _ => return Err(Error::Address),
        };
        Ok(Self { pool })
    }

    /// Which one it is.
    pub(super) fn backend(&self) -> Backend {
        match self.pool {
            Pool::Sqlite { .. } => Backend::Sqlite,
            Pool::Postgres(_) => Backend::Postgres,
            Pool::MySql(_) => Backend::MySql,
        }
    }

    /// Brings the tables to the form this version wants. Any number of processes may do so at once.
    pub(super) async fn migrate(&self) -> Result<i64, Error> {
        migrate::run(self).await
    }

    /// Reads rows, outside of any transaction.
    pub(super) async fn fetch(&self, verb: &'static str, statement: &Statement) -> Result<Vec<Row>, Error> {
        let rows = match &self.pool {
            Pool::Sqlite { readers, .. } => statement.fetch_sqlite(readers).await,
            Pool::Postgres(pool) => statement.fetch_postgres(pool).await,
            Pool::MySql(pool) => statement.fetch_mysql(pool).await,
        };
        rows.map_err(|source| Error::Statement { verb, source })
    }

    /// Runs one statement as a transaction of its own; how many rows it changed.
    pub(super) async fn execute(&self, verb: &'static str, statement: &Statement) -> Result<u64, Error> {
        let changed = match &self.pool {
            Pool::Sqlite { writer, .. } => statement.execute_sqlite(writer).await,
            Pool::Postgres(pool) => statement.execute_postgres(pool).await,
            Pool::MySql(pool) => statement.execute_mysql(pool).await,
        };
        changed.map_err(|source| Error::Statement { verb, source })
    }

    /// Begins a transaction that will write.
    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        let inner = match &self.pool {
            // Immediate: a transaction that reads first and then wants to write is refused when another wrote in between.
            Pool::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Inner::Sqlite),
            Pool::Postgres(pool) => pool.begin().await.map(Inner::Postgres),
            Pool::MySql(pool) => pool.begin().await.map(Inner::MySql),
        };
        Ok(Transaction { inner: inner.map_err(|source| Error::Statement { verb: "begin a transaction", source })? })
    }

    /// Lets go of all connections.
    pub(super) async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
            Pool::MySql(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    /// Which database it is in.
    pub(super) fn backend(&self) -> Backend {
        match self.inner {
            Inner::Sqlite(_) => Backend::Sqlite,
            Inner::Postgres(_) => Backend::Postgres,
            Inner::MySql(_) => Backend::MySql,
        }
    }

    /// Reads rows.
    pub(super) async fn fetch(&mut self, verb: &'static str, statement: &Statement) -> Result<Vec<Row>, Error> {
        let rows = match &mut self.inner {
            Inner::Sqlite(transaction) => statement.fetch_sqlite(&mut **transaction).await,
            Inner::Postgres(transaction) => statement.fetch_postgres(&mut **transaction).await,
            Inner::MySql(transaction) => statement.fetch_mysql(&mut **transaction).await,
        };
        rows.map_err(|source| Error::Statement { verb, source })
    }

    /// Runs a statement; how many rows it changed.
    pub(super) async fn execute(&mut self, verb: &'static str, statement: &Statement) -> Result<u64, Error> {
        let changed = match &mut self.inner {
            Inner::Sqlite(transaction) => statement.execute_sqlite(&mut **transaction).await,
            Inner::Postgres(transaction) => statement.execute_postgres(&mut **transaction).await,
            Inner::MySql(transaction) => statement.execute_mysql(&mut **transaction).await,
        };
        changed.map_err(|source| Error::Statement { verb, source })
    }

    /// Makes all of it happen.
    pub(super) async fn commit(self) -> Result<(), Error> {
        let done = match self.inner {
            Inner::Sqlite(transaction) => transaction.commit().await,
            Inner::Postgres(transaction) => transaction.commit().await,
            Inner::MySql(transaction) => transaction.commit().await,
        };
        done.map_err(|source| Error::Statement { verb: COMMIT, source })
    }
}

/// The path in `sqlite:PATH`, `sqlite:/PATH` and `sqlite:///PATH`.
fn sqlite_path(address: &str) -> PathBuf {
    let path = address.strip_prefix("sqlite:").unwrap_or(address);
    PathBuf::from(path.strip_prefix("//").unwrap_or(path))
}

async fn sqlite(path: &Path, connections: u32) -> Result<Pool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With the log, this loses no transaction that was committed when the process dies, and at most the last ones when
        // the power does; FULL flushes each.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .foreign_keys(false);
    let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).connect_with(options.clone());
    // The writer comes first: it makes the file.
    let writer = writer.await.map_err(Error::Open)?;
    let readers = SqlitePoolOptions::new().max_connections(connections.max(1)).acquire_timeout(PATIENCE);
    let readers = readers.connect_with(options.read_only(true)).await.map_err(Error::Open)?;
    Ok(Pool::Sqlite { readers, writer })
}

#[cfg(test)]
mod tests {
    use super::sqlite_path;
    use std::path::Path;

    #[test]
    fn the_path_of_a_file_is_what_follows_the_scheme() {
        for address in ["sqlite:/a/b.db", "sqlite:///a/b.db"] {
            assert_eq!(sqlite_path(address), Path::new("/a/b.db"));
        }
        assert_eq!(sqlite_path("sqlite:b.db"), Path::new("b.db"));
    }
}
