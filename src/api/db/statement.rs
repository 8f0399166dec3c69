//! One statement, for all three databases.

use sqlx::mysql::{MySql, MySqlRow};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{AssertSqlSafe, Executor, Row as _};
use std::fmt::Write as _;

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) enum Value {
    /// A number, or none.
    Integer(Option<i64>),
    /// Text without NUL, which PostgreSQL cannot hold, or none.
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

/// SQL with `?` where its parameters go, and the parameters. The SQL is always this program's own
/// text.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    /// Begins with this text.
    pub(in crate::api) fn new(sql: &'static str) -> Self {
        Self {
            sql: sql.to_owned(),
            values: Vec::new(),
        }
    }

    /// Begins with text put together from names of this program's own tables and columns.
    pub(super) fn of_names(sql: String) -> Self {
        Self {
            sql,
            values: Vec::new(),
        }
    }

    /// Adds the next parameter.
    pub(in crate::api) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds text and its parameters.
    pub(super) fn add(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(sql);
        self.values.extend(values);
    }

    /// The text as PostgreSQL wants it: `$1`, `$2`, … for each `?`. No text of this program has a
    /// question mark in a literal.
    fn numbered(&self) -> String {
        let mut sql = String::with_capacity(self.sql.len() + 8);
        for (number, part) in self.sql.split('?').enumerate() {
            if number > 0 {
                write!(sql, "${number}").expect("a String takes all");
            }
            sql.push_str(part);
        }
        sql
    }
}

/// A row that was read.
#[derive(Debug)]
pub(in crate::api) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    MySql(MySqlRow),
}

impl Row {
    /// The number in that column; none where there is none.
    pub(in crate::api) fn integer(&self, column: usize) -> Option<i64> {
        match self {
            Self::Sqlite(row) => row.try_get(column).ok().flatten(),
            Self::Postgres(row) => row.try_get(column).ok().flatten(),
            Self::MySql(row) => row.try_get(column).ok().flatten(),
        }
    }

    /// The text in that column; empty where there is none.
    pub(in crate::api) fn text(&self, column: usize) -> String {
        match self {
            Self::Sqlite(row) => row
                .try_get::<Option<String>, _>(column)
                .ok()
                .flatten()
                .unwrap_or_default(),
            Self::Postgres(row) => row
                .try_get::<Option<String>, _>(column)
                .ok()
                .flatten()
                .unwrap_or_default(),
            Self::MySql(row) => {
                let bytes = row
                    .try_get::<Option<Vec<u8>>, _>(column)
                    .ok()
                    .flatten()
                    .unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }
}

macro_rules! on {
    ($fetch:ident, $execute:ident, $database:ty, $wrap:path, $sql:ident, $bind:expr) => {
        pub(super) async fn $fetch<'c>(
            &self,
            connection: impl Executor<'c, Database = $database>,
        ) -> Result<Vec<Row>, sqlx::Error> {
            let mut query = sqlx::query::<$database>(AssertSqlSafe(self.$sql()));
            for value in &self.values {
                query = match value {
                    Value::Integer(number) => query.bind(*number),
                    Value::Text(text) => query.bind(text.as_deref().map($bind)),
                };
            }
            Ok(query
                .fetch_all(connection)
                .await?
                .into_iter()
                .map($wrap)
                .collect())
        }

        pub(super) async fn $execute<'c>(
            &self,
            connection: impl Executor<'c, Database = $database>,
        ) -> Result<u64, sqlx::Error> {
            let mut query = sqlx::query::<$database>(AssertSqlSafe(self.$sql()));
            for value in &self.values {
                query = match value {
                    Value::Integer(number) => query.bind(*number),
                    Value::Text(text) => query.bind(text.as_deref().map($bind)),
                };
            }
            Ok(query.execute(connection).await?.rows_affected())
        }
    };
}

impl Statement {
    fn plain(&self) -> String {
        self.sql.clone()
    }

    on!(
        fetch_sqlite,
        execute_sqlite,
        Sqlite,
        Row::Sqlite,
        plain,
        |text: &str| text.to_owned()
    );
    on!(
        fetch_postgres,
        execute_postgres,
        Postgres,
        Row::Postgres,
        numbered,
        |text: &str| text.to_owned()
    );
    // All text of MySQL is in binary columns: it compares by bytes, whatever the server's collation
    // is, and blanks at the end count.
    on!(
        fetch_mysql,
        execute_mysql,
        MySql,
        Row::MySql,
        plain,
        |text: &str| text.as_bytes().to_vec()
    );
}

#[cfg(test)]
mod tests {
    use super::Statement;

    #[test]
    fn parameters_are_numbered_for_postgresql() {
        assert_eq!(
            Statement::new("a = ? AND b IN (?, ?)").numbered(),
            "a = $1 AND b IN ($2, $3)"
        );
        assert_eq!(Statement::new("SELECT 1").numbered(), "SELECT 1");
    }
}
