//! The database: three kinds behind one set of statements.
//!
//! All SQL of the server stands below this module. Statements are portable: columns are 64-bit
//! integers and text, parameters are written `?`, and what the three differ in is asked of
//! [`Backend`]. A resource is a row of a table of documents ([`documents`]); users and tokens are
//! rows of their own (`auth::accounts`).
//!
//! Invariants:
//!
//! - No statement holds a value from outside as text.
//! - A change of a row locks the row first, or names the version that it replaces.
//! - A passing error is recognised ([`DatabaseError::is_passing`]), and the request is run again.
//! - Every wait for the database has a bound. A database that does not answer is reported as away
//!   ([`DatabaseError::is_away`]).

pub(super) mod documents;
mod facts;
mod held;
pub(super) mod migrate;
mod statement;

pub(super) use facts::{Fact, Needle};
pub(super) use statement::{Row, Statement, Value};

use held::{PooledConnection, within};
use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    Connection as _, Executor as _, MySql, MySqlPool, PgPool, Postgres, Sqlite, SqlitePool,
};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How long a request waits for a connection, as it does while the database is away, or for a lock
/// of SQLite.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a statement takes at most that finds its rows by an index, with the locks it waits for.
const QUICK: Duration = Duration::from_secs(15);
/// How long one takes at most that looks through all rows.
const THOROUGH: Duration = Duration::from_secs(120);
/// How long one takes at most that changes tables.
const UNHURRIED: Duration = Duration::from_secs(24 * 3600);
/// How long a connection has to say that it is alive.
const PING_PATIENCE: Duration = Duration::from_secs(2);
/// How long the end of all connections is waited for.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// What a connection to PostgreSQL begins with. A statement gives up its lock before this program
/// gives up the statement, so that none is left waiting in the server for nobody; and a machine
/// that died in the middle of a transaction holds no row for hours.
const OF_POSTGRES: &str =
    "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'";
/// The same for MySQL.
const OF_MYSQL: &str = "SET SESSION innodb_lock_wait_timeout = 10";
/// A connection that was not used for longer is asked whether it still is one before it is used.
/// Asking each time would make every request wait for one answer more.
const FRESH: Duration = Duration::from_millis(500);
/// The verb of the end of a transaction.
const COMMIT: &str = "commit";

/// The options of a pool of connections to a server.
macro_rules! pool {
    ($options:ty, $connections:expr, $begins_with:expr) => {
        <$options>::new()
            .max_connections($connections)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute($begins_with).await.map(drop) })
            })
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > FRESH {
                        within(PING_PATIENCE, connection.ping()).await?;
                    }
                    Ok(true)
                })
            })
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
pub enum DatabaseError {
    /// The address names no database that is known.
    #[error("not the address of a database: it begins with sqlite:, postgres: or mysql:")]
    Address,
    /// It could not be reached, or refused.
    #[error("could not open the database")]
    Open(#[source] sqlx::Error),
    /// A statement failed.
    #[error("the database could not {verb}")]
    Statement {
        /// The verb of the statement.
        verb: &'static str,
        /// The error of the database.
        source: sqlx::Error,
    },
    /// The database was made by a later version of this program.
    #[error("the tables of the database have version {found}; this program knows up to {known}")]
    Newer {
        /// The form it has.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// A stored value was not written by this program.
    #[error("a stored {0} cannot be read")]
    Stored(&'static str),
}

impl DatabaseError {
    /// Whether nothing was done, and the same may succeed when tried again at once: another
    /// transaction was in the way, or the connection was lost before the end of this one. Of a
    /// commit that was cut off nobody knows whether it happened.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Statement { verb, source } = self else {
            return false;
        };
        let error = match source {
            // It has waited long enough.
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => return false,
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                return *verb != COMMIT;
            }
            sqlx::Error::Database(error) => error,
            _ => return false,
        };
        // PostgreSQL: its server is ended, has crashed, or starts.
        if matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03")) {
            return *verb != COMMIT;
        }
        // PostgreSQL: serialization failure, deadlock; MySQL: deadlock; SQLite: busy, locked and
        // their extensions.
        matches!(
            error.code().as_deref(),
            Some("40001" | "40P01" | "1213" | "1205" | "5" | "6" | "261" | "517" | "262")
        ) || matches!(mysql_number(&**error), Some(1213 | 1205 | 1020))
    }

    /// Whether the database cannot be reached, or cannot do it now: the same may succeed in a
    /// while. Whether it was done is known of all but the end of a transaction.
    pub(super) fn is_away(&self) -> bool {
        let source = match self {
            Self::Open(source) | Self::Statement { source, .. } => source,
            Self::Address | Self::Newer { .. } | Self::Stored(_) => return false,
        };
        match source {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
            // Where a connection is begun, they say that something else listens there.
            sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
                matches!(self, Self::Statement { .. })
            }
            sqlx::Error::Database(error) => {
                self.is_passing()
                    || error.code().is_some_and(|code| says_away(&code))
                    || mysql_number(&**error).is_some_and(mysql_says_away)
            }
            _ => false,
        }
    }

    /// Whether a row with that key is there already.
    pub(super) fn is_duplicate(&self) -> bool {
        let Self::Statement { source, .. } = self else {
            return false;
        };
        source
            .as_database_error()
            .is_some_and(|error| error.is_unique_violation())
    }
}

/// Whether a code of PostgreSQL, or of SQLite, says that it cannot do it now.
fn says_away(code: &str) -> bool {
    // SQLite has numbers: its disk is full.
    if code.len() != 5 {
        return code == "13";
    }
    // Connections, resources, an operator who ends it; a time-out of a statement, of a lock, of a
    // transaction; a server that is there to be read alone, as one is that has not taken over yet.
    ["08", "53", "57P"]
        .iter()
        .any(|class| code.starts_with(class))
        || ["57014", "55P03", "25P03", "25006"].contains(&code)
}

fn mysql_number(error: &(dyn sqlx::error::DatabaseError + 'static)) -> Option<u16> {
    error
        .try_downcast_ref::<MySqlDatabaseError>()
        .map(MySqlDatabaseError::number)
}

/// Whether a number of MySQL says so: no memory, disk or connections left, it ends, it was told to
/// end this connection or statement, or it is there to be read alone.
fn mysql_says_away(number: u16) -> bool {
    matches!(
        number,
        1021 | 1040 | 1041 | 1053 | 1158
            ..=1161 | 1203 | 1226 | 1290 | 1792 | 1836 | 1927 | 3024 | 4031
    )
}

/// An open database. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pool: DatabasePool,
}

#[derive(Clone, Debug)]
enum DatabasePool {
    /// Many readers, one writer: SQLite has room for one, and waiting in a queue is better than
    /// being told that it is busy.
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
    inner: TransactionInner,
    /// How long each of its statements may take.
    limit: Duration,
}

#[derive(Debug)]
enum TransactionInner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(PooledConnection<Postgres>),
    MySql(PooledConnection<MySql>),
}

impl Database {
    /// Opens the database at an address, with so many connections. A file of SQLite is made if
    /// there is none.
    pub(super) async fn open(address: &str, connections: u32) -> Result<Self, DatabaseError> {
        let pool = match address.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => sqlite(&sqlite_path(address), connections).await?,
            Some("postgres" | "postgresql") => {
                let options = PgConnectOptions::from_str(address)
                    .map_err(DatabaseError::Open)?
                    .application_name("freezer-api");
                let pool = pool!(PgPoolOptions, connections, OF_POSTGRES);
                DatabasePool::Postgres(
                    pool.connect_with(options)
                        .await
                        .map_err(DatabaseError::Open)?,
                )
            }
            Some("mysql" | "mariadb") => {
                let options = MySqlConnectOptions::from_str(address)
                    .map_err(DatabaseError::Open)?
                    .charset("utf8mb4");
                let pool = pool!(MySqlPoolOptions, connections, OF_MYSQL);
                DatabasePool::MySql(
                    pool.connect_with(options)
                        .await
                        .map_err(DatabaseError::Open)?,
                )
            }
            _ => return Err(DatabaseError::Address),
        };
        Ok(Self { pool })
    }

    /// Which one it is.
    pub(super) fn backend(&self) -> Backend {
        match self.pool {
            DatabasePool::Sqlite { .. } => Backend::Sqlite,
            DatabasePool::Postgres(_) => Backend::Postgres,
            DatabasePool::MySql(_) => Backend::MySql,
        }
    }

    /// Reads rows that an index finds, outside of any transaction.
    pub(super) async fn fetch(
        &self,
        verb: &'static str,
        statement: &Statement,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.fetch_within(QUICK, verb, statement).await
    }

    /// Reads rows for which all have to be looked through.
    pub(super) async fn look_through(
        &self,
        verb: &'static str,
        statement: &Statement,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.fetch_within(THOROUGH, verb, statement).await
    }

    async fn fetch_within(
        &self,
        limit: Duration,
        verb: &'static str,
        statement: &Statement,
    ) -> Result<Vec<Row>, DatabaseError> {
        let rows = async {
            match &self.pool {
                DatabasePool::Sqlite { readers, .. } => {
                    within(limit, statement.fetch_sqlite(readers)).await
                }
                DatabasePool::Postgres(pool) => {
                    let mut held = PooledConnection::of(pool).await?;
                    let rows = within(limit, statement.fetch_postgres(held.lend())).await;
                    held.settle(rows)
                }
                DatabasePool::MySql(pool) => {
                    let mut held = PooledConnection::of(pool).await?;
                    let rows = within(limit, statement.fetch_mysql(held.lend())).await;
                    held.settle(rows)
                }
            }
        };
        rows.await
            .map_err(|source| DatabaseError::Statement { verb, source })
    }

    /// Runs one statement as a transaction of its own; how many rows it changed.
    pub(super) async fn execute(
        &self,
        verb: &'static str,
        statement: &Statement,
    ) -> Result<u64, DatabaseError> {
        let changed = async {
            match &self.pool {
                DatabasePool::Sqlite { writer, .. } => {
                    within(QUICK, statement.execute_sqlite(writer)).await
                }
                DatabasePool::Postgres(pool) => {
                    let mut held = PooledConnection::of(pool).await?;
                    let changed = within(QUICK, statement.execute_postgres(held.lend())).await;
                    held.settle(changed)
                }
                DatabasePool::MySql(pool) => {
                    let mut held = PooledConnection::of(pool).await?;
                    let changed = within(QUICK, statement.execute_mysql(held.lend())).await;
                    held.settle(changed)
                }
            }
        };
        changed
            .await
            .map_err(|source| DatabaseError::Statement { verb, source })
    }

    /// Begins a transaction that will write.
    pub(super) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        self.begin_within(QUICK).await
    }

    /// Begins one whose statements may take as long as they take.
    async fn begin_unhurried(&self) -> Result<Transaction, DatabaseError> {
        self.begin_within(UNHURRIED).await
    }

    async fn begin_within(&self, limit: Duration) -> Result<Transaction, DatabaseError> {
        let inner = match &self.pool {
            // Immediate: a transaction that reads first and then wants to write is refused when
            // another wrote in between.
            DatabasePool::Sqlite { writer, .. } => writer
                .begin_with("BEGIN IMMEDIATE")
                .await
                .map(TransactionInner::Sqlite),
            DatabasePool::Postgres(pool) => PooledConnection::begin(pool, limit)
                .await
                .map(TransactionInner::Postgres),
            DatabasePool::MySql(pool) => PooledConnection::begin(pool, limit)
                .await
                .map(TransactionInner::MySql),
        };
        Ok(Transaction {
            inner: inner.map_err(|source| DatabaseError::Statement {
                verb: "begin a transaction",
                source,
            })?,
            limit,
        })
    }

    /// Lets go of all connections.
    pub(super) async fn close(&self) {
        let closed = async {
            match &self.pool {
                DatabasePool::Sqlite { readers, writer } => {
                    readers.close().await;
                    writer.close().await;
                }
                DatabasePool::Postgres(pool) => pool.close().await,
                DatabasePool::MySql(pool) => pool.close().await,
            }
        };
        if tokio::time::timeout(LAST_PATIENCE, closed).await.is_err() {
            tracing::warn!(
                "connections to the database are cut off: their statements take too long"
            );
        }
    }
}

impl Transaction {
    /// Which database it is in.
    pub(super) fn backend(&self) -> Backend {
        match self.inner {
            TransactionInner::Sqlite(_) => Backend::Sqlite,
            TransactionInner::Postgres(_) => Backend::Postgres,
            TransactionInner::MySql(_) => Backend::MySql,
        }
    }

    /// Reads rows.
    pub(super) async fn fetch(
        &mut self,
        verb: &'static str,
        statement: &Statement,
    ) -> Result<Vec<Row>, DatabaseError> {
        let rows = match &mut self.inner {
            TransactionInner::Sqlite(transaction) => {
                statement.fetch_sqlite(&mut **transaction).await
            }
            TransactionInner::Postgres(held) => {
                let rows = within(self.limit, statement.fetch_postgres(held.lend())).await;
                held.settle(rows)
            }
            TransactionInner::MySql(held) => {
                let rows = within(self.limit, statement.fetch_mysql(held.lend())).await;
                held.settle(rows)
            }
        };
        rows.map_err(|source| DatabaseError::Statement { verb, source })
    }

    /// Runs a statement; how many rows it changed.
    pub(super) async fn execute(
        &mut self,
        verb: &'static str,
        statement: &Statement,
    ) -> Result<u64, DatabaseError> {
        let changed = match &mut self.inner {
            TransactionInner::Sqlite(transaction) => {
                statement.execute_sqlite(&mut **transaction).await
            }
            TransactionInner::Postgres(held) => {
                let changed = within(self.limit, statement.execute_postgres(held.lend())).await;
                held.settle(changed)
            }
            TransactionInner::MySql(held) => {
                let changed = within(self.limit, statement.execute_mysql(held.lend())).await;
                held.settle(changed)
            }
        };
        changed.map_err(|source| DatabaseError::Statement { verb, source })
    }

    /// Makes all of it happen.
    pub(super) async fn commit(self) -> Result<(), DatabaseError> {
        let done = match self.inner {
            TransactionInner::Sqlite(transaction) => transaction.commit().await,
            TransactionInner::Postgres(held) => held.commit(self.limit).await,
            TransactionInner::MySql(held) => held.commit(self.limit).await,
        };
        done.map_err(|source| DatabaseError::Statement {
            verb: COMMIT,
            source,
        })
    }
}

/// The path in `sqlite:PATH`, `sqlite:/PATH` and `sqlite:///PATH`.
fn sqlite_path(address: &str) -> PathBuf {
    let path = address.strip_prefix("sqlite:").unwrap_or(address);
    PathBuf::from(path.strip_prefix("//").unwrap_or(path))
}

async fn sqlite(path: &Path, connections: u32) -> Result<DatabasePool, DatabaseError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With the log, this loses no transaction that was committed when the process dies, and at
        // most the last ones when the power does; FULL flushes each.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .foreign_keys(false);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .connect_with(options.clone());
    // The writer comes first: it makes the file.
    let writer = writer.await.map_err(DatabaseError::Open)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(PATIENCE);
    let readers = readers
        .connect_with(options.read_only(true))
        .await
        .map_err(DatabaseError::Open)?;
    Ok(DatabasePool::Sqlite { readers, writer })
}

#[cfg(test)]
mod tests {
    use super::{COMMIT, DatabaseError, mysql_says_away, says_away, sqlite_path};
    use std::io;
    use std::path::Path;

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        let error = |verb, source| DatabaseError::Statement { verb, source };
        let lost = || sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        let slow = || sqlx::Error::Io(io::ErrorKind::TimedOut.into());
        for (error, is_passing, is_away) in [
            (error("read", lost()), true, true),
            // It may have happened: to run it again could be to do it twice.
            (error(COMMIT, lost()), false, true),
            (error("read", slow()), false, true),
            (error("read", sqlx::Error::PoolTimedOut), false, true),
            (DatabaseError::Open(lost()), false, true),
            (
                DatabaseError::Open(sqlx::Error::Protocol("no server of ours".into())),
                false,
                false,
            ),
            (error("read", sqlx::Error::RowNotFound), false, false),
            (DatabaseError::Address, false, false),
        ] {
            assert_eq!(
                (error.is_passing(), error.is_away()),
                (is_passing, is_away),
                "{error:?}"
            );
        }
    }

    #[test]
    fn codes_say_whether_to_come_again() {
        let of_postgres = [
            "57P01", "57P02", "57P03", "57014", "53300", "53100", "08006", "55P03", "25P03",
            "25006",
        ];
        assert!(of_postgres.iter().all(|code| says_away(code)) && says_away("13"));
        // A syntax that is wrong, a table that is not there, a row that is there already; SQLite's
        // constraint of a commit.
        assert!(
            !["42601", "42P01", "23505", "25P02", "531", "1", ""]
                .iter()
                .any(|code| says_away(code))
        );
        assert!(
            mysql_says_away(1040)
                && mysql_says_away(1053)
                && !mysql_says_away(1062)
                && !mysql_says_away(1146)
        );
    }

    #[test]
    fn the_path_of_a_file_is_what_follows_the_scheme() {
        for address in ["sqlite:/a/b.db", "sqlite:///a/b.db"] {
            assert_eq!(sqlite_path(address), Path::new("/a/b.db"));
        }
        assert_eq!(sqlite_path("sqlite:b.db"), Path::new("b.db"));
    }
}
