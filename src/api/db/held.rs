//! A connection out of a pool, that goes back to it only while it is sound.
//!
//! The pool alone does too little in two cases. First, it asks each returning connection whether it
//! is alive, without a time limit, and the connection keeps its place meanwhile. A connection that
//! was lost in silence (a server without power, a flow that a firewall has forgotten) keeps its
//! place for ever. Once that has happened often enough, no place is left until the process ends
//! (sqlx issue 4349). Second, a transaction whose beginning was cut off would stay open on a
//! returned connection, and later writes of others would become part of it.

use sqlx::pool::PoolConnection;
use sqlx::{Database, Executor as _, MySql, Pool, Postgres};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a connection that goes back has to answer.
const RETURN_PATIENCE: Duration = Duration::from_secs(2);

type Said<'c> = Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'c>>;

/// A database with a server of its own.
pub(super) trait Served: Database {
    /// Runs a statement that has no parameters and gives no rows.
    fn say<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> Said<'c>;
}

impl Served for Postgres {
    fn say<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> Said<'c> {
        Box::pin(async move { connection.execute(sql).await.map(drop) })
    }
}

impl Served for MySql {
    fn say<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> Said<'c> {
        Box::pin(async move { connection.execute(sql).await.map(drop) })
    }
}

/// A connection, with or without an open transaction.
pub(super) struct PooledConnection<DB: Served> {
    /// None once it was given back.
    connection: Option<PoolConnection<DB>>,
    /// Whether a statement is under way on it, or was cut off: then nobody knows what its next
    /// answer is to.
    is_busy: bool,
    /// Whether there is something to roll back.
    in_transaction: bool,
}

impl<DB: Served> fmt::Debug for PooledConnection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledConnection")
            .field("is_busy", &self.is_busy)
            .field("in_transaction", &self.in_transaction)
            .finish_non_exhaustive()
    }
}

impl<DB: Served> PooledConnection<DB> {
    /// Takes one out of the pool, or makes one.
    pub(super) async fn of(pool: &Pool<DB>) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: Some(pool.acquire().await?),
            is_busy: false,
            in_transaction: false,
        })
    }

    /// Takes one, and begins a transaction on it.
    pub(super) async fn begin(pool: &Pool<DB>, limit: Duration) -> Result<Self, sqlx::Error> {
        let mut held = Self::of(pool).await?;
        let begun = within(limit, DB::say(held.lend(), "BEGIN")).await;
        held.settle(begun)?;
        held.in_transaction = true;
        Ok(held)
    }

    /// Ends the transaction. Of one whose answer does not come nobody knows whether it happened.
    pub(super) async fn commit(mut self, limit: Duration) -> Result<(), sqlx::Error> {
        let done = within(limit, DB::say(self.lend(), "COMMIT")).await;
        self.settle(done)?;
        self.in_transaction = false;
        Ok(())
    }

    /// Lends the connection for one statement; [`settle`](Self::settle) says that it is over.
    pub(super) fn lend(&mut self) -> &mut DB::Connection {
        self.is_busy = true;
        self.connection
            .as_mut()
            .expect("it is given back when this is dropped, and not before")
    }

    /// Notes how a statement went. What the database itself has refused leaves the connection as
    /// sound as it was.
    pub(super) fn settle<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.is_busy = !matches!(result, Ok(_) | Err(sqlx::Error::Database(_)));
        result
    }
}

impl<DB: Served> Drop for PooledConnection<DB> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) if !self.is_busy => {
                drop(runtime.spawn(give_back(connection, self.in_transaction)))
            }
            // Its end tells the server that nobody waits; what was open is rolled back there.
            _ => drop(connection.detach()),
        }
    }
}

/// Puts a connection back if it answers in time. Its place is free in any case.
async fn give_back<DB: Served>(mut connection: PoolConnection<DB>, in_transaction: bool) {
    if in_transaction
        && within(RETURN_PATIENCE, DB::say(&mut connection, "ROLLBACK"))
            .await
            .is_err()
    {
        drop(connection.detach());
        return;
    }
    // What the pool does when a connection is dropped, with an end.
    if tokio::time::timeout(RETURN_PATIENCE, connection.return_to_pool())
        .await
        .is_err()
    {
        tracing::warn!("a connection to the database does not answer and is dropped");
    }
}

/// The result of a statement, or that it takes too long.
pub(super) async fn within<T>(
    limit: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(limit, statement)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}
