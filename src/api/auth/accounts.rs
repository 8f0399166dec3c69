//! This server's own users and tokens, where there is no OpenStack.
//!
//! A token is 32 random bytes; what is stored is its SHA-256, which needs no slow function: nobody
//! guesses 256 bits. A password is guessable, and stored as Argon2id (19 MiB, two passes: what
//! OWASP advises).

use super::caller::Caller;
use crate::api::db::{Database, DatabaseError, Row, Statement};
use crate::model::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Begins every token, so that it can be recognised where it has leaked to.
const PREFIX: &str = "fzt_";
/// Memory of one hashing, in KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// How many passes it makes.
const PASSES: u32 = 2;
/// When a token that never expires expires.
const NEVER: i64 = i64::MAX;

/// Why an account cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A user of that name is there already.
    #[error("there is a user {0} already")]
    Exists(String),
    /// A name that cannot be used.
    #[error("{what} {value:?} may have letters, digits and `-_.@` only, and 64 of them")]
    Name {
        /// The field: a user or a project.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// The system has no random numbers, or the hashing no memory.
    #[error("could not make a secret")]
    Secret,
}

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// Everything, in all projects.
    Admin,
    /// Everything in the project.
    Project,
    /// Looking only, in the project.
    Reader,
    /// What one node does: register, read its jobs and say how they went, record its backups.
    Node(String),
}

impl TokenScope {
    /// The roles it has.
    fn roles(&self) -> Vec<String> {
        let roles: &[&str] = match self {
            Self::Admin => &["admin", "member", "reader"],
            Self::Project => &["member", "reader"],
            Self::Reader => &["reader"],
            Self::Node(_) => &["node"],
        };
        roles.iter().map(|role| (*role).to_owned()).collect()
    }
}

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose it is said to be.
    pub user_id: String,
    /// The name of the user.
    pub user_name: String,
    /// The project of the token.
    pub project: String,
    /// The roles.
    pub roles: Vec<String>,
    /// For this node alone.
    pub client_id: Option<String>,
    /// A comment for people.
    pub comment: String,
    /// When it expires; never if not said.
    pub expires: Option<Timestamp>,
}

impl NewToken {
    /// A token of no user, made by who runs the server.
    pub fn by_operator(
        scope: &TokenScope,
        project: &str,
        comment: &str,
        expires: Option<Timestamp>,
    ) -> Self {
        let client_id = match scope {
            TokenScope::Node(client) => Some(client.clone()),
            TokenScope::Admin | TokenScope::Project | TokenScope::Reader => None,
        };
        let name = client_id.clone().unwrap_or_else(|| "operator".to_owned());
        let (project, comment) = (project.to_owned(), comment.to_owned());
        Self {
            user_id: name.clone(),
            user_name: name,
            project,
            roles: scope.roles(),
            client_id,
            comment,
            expires,
        }
    }
}

/// A token as it is shown: not itself, which nobody knows but its owner.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// The name of the token, by which it is taken back.
    pub id: String,
    /// The user of the token.
    pub user: String,
    /// The project of the token.
    pub project: String,
    /// The roles of the token.
    pub roles: Vec<String>,
    /// For this node alone.
    pub client_id: Option<String>,
    /// The comment for people.
    pub comment: String,
    /// When it was made.
    pub created: Timestamp,
    /// The moment at which the token expires; none for one that does not.
    pub expires: Option<Timestamp>,
}

/// A user of this server.
#[derive(Clone, Debug)]
pub struct User {
    /// The id of the user.
    pub id: String,
    /// The name of the user.
    pub name: String,
    /// The project of the user.
    pub project: String,
    /// The roles of the user in the project.
    pub roles: Vec<String>,
}

/// The SHA-256 of a token, in hexadecimal.
pub(in crate::api) fn digest(token: &str) -> String {
    Sha256::digest(token.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The name that a token is shown by: the first digits of its digest.
pub fn token_name(token: &str) -> String {
    digest(token)[..12].to_owned()
}

/// Returns a new random id of 32 hexadecimal digits.
pub(in crate::api) fn new_id() -> Result<String, AccountError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| AccountError::Secret)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a name of a user or a project can be used.
fn check_name(what: &'static str, value: &str) -> Result<(), AccountError> {
    let fits = (1..=64).contains(&value.len())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c));
    if fits {
        Ok(())
    } else {
        Err(AccountError::Name {
            what,
            value: value.to_owned(),
        })
    }
}

/// Returns the caller that has the token with this digest, and the second in which it expires.
pub(in crate::api) async fn identify(
    database: &Database,
    digest: &str,
    now: Timestamp,
) -> Result<Option<(Caller, i64)>, DatabaseError> {
    let statement = Statement::new(
        "SELECT user_id, user_name, project_id, roles, client_id, expires_us FROM tokens WHERE \
             digest = ?",
    )
    .bind(digest);
    let rows = database.fetch("read a token", &statement).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let expires = row.integer(5).unwrap_or(0);
    if expires <= now.as_microsecond() {
        return Ok(None);
    }
    let client_id = Some(row.text(4)).filter(|client| !client.is_empty());
    let identity = Caller {
        user_id: row.text(0),
        user_name: row.text(1),
        project_id: row.text(2),
        roles: roles(&row.text(3)),
        client_id,
    };
    Ok(Some((identity, expires / 1_000_000)))
}

/// Makes a token. It is seen this once.
pub(in crate::api) async fn make_token(
    database: &Database,
    new: &NewToken,
    now: Timestamp,
) -> Result<Secret<String>, AccountError> {
    check_name("the project", &new.project)?;
    let mut bytes = Secret::new(vec![0; 32]);
    getrandom::fill(bytes.expose_mut()).map_err(|_| AccountError::Secret)?;
    let token = Secret::new(format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(bytes.expose())
    ));
    let sql = "INSERT INTO tokens (digest, id, user_id, user_name, project_id, roles, client_id, \
               comment, created_us, expires_us) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let statement = Statement::new(sql)
        .bind(digest(token.expose()))
        .bind(token_name(token.expose()))
        .bind(new.user_id.as_str())
        .bind(new.user_name.as_str())
        .bind(new.project.as_str())
        .bind(new.roles.join(","))
        .bind(new.client_id.as_deref().unwrap_or(""))
        .bind(new.comment.replace('\0', " "))
        .bind(now.as_microsecond())
        .bind(new.expires.map_or(NEVER, Timestamp::as_microsecond));
    database.execute("add a token", &statement).await?;
    Ok(token)
}

/// All tokens that have not expired.
pub(in crate::api) async fn tokens(
    database: &Database,
    now: Timestamp,
) -> Result<Vec<KnownToken>, DatabaseError> {
    let sql = "SELECT id, user_name, project_id, roles, client_id, comment, created_us, \
               expires_us FROM tokens \
               WHERE expires_us > ? ORDER BY created_us, id";
    let rows = database
        .fetch(
            "list tokens",
            &Statement::new(sql).bind(now.as_microsecond()),
        )
        .await?;
    Ok(rows.iter().map(known_token).collect())
}

fn known_token(row: &Row) -> KnownToken {
    let expires = row.integer(7).filter(|expires| *expires != NEVER);
    KnownToken {
        id: row.text(0),
        user: row.text(1),
        project: row.text(2),
        roles: roles(&row.text(3)),
        client_id: Some(row.text(4)).filter(|client| !client.is_empty()),
        comment: row.text(5),
        created: Timestamp::from_microsecond(row.integer(6).unwrap_or(0)).unwrap_or_default(),
        expires: expires.and_then(|expires| Timestamp::from_microsecond(expires).ok()),
    }
}

/// Takes back the token with this name; whether there was one.
pub(in crate::api) async fn revoke(database: &Database, id: &str) -> Result<bool, DatabaseError> {
    Ok(database
        .execute(
            "take back a token",
            &Statement::new("DELETE FROM tokens WHERE id = ?").bind(id),
        )
        .await?
        > 0)
}

/// Takes back a token itself.
pub(in crate::api) async fn revoke_digest(
    database: &Database,
    digest: &str,
) -> Result<bool, DatabaseError> {
    Ok(database
        .execute(
            "take back a token",
            &Statement::new("DELETE FROM tokens WHERE digest = ?").bind(digest),
        )
        .await?
        > 0)
}

/// Removes tokens that have expired.
pub(in crate::api) async fn forget_expired(
    database: &Database,
    now: Timestamp,
) -> Result<u64, DatabaseError> {
    database
        .execute(
            "forget old tokens",
            &Statement::new("DELETE FROM tokens WHERE expires_us <= ?").bind(now.as_microsecond()),
        )
        .await
}

/// Makes a user. Takes as long as hashing the password.
pub(in crate::api) async fn make_user(
    database: &Database,
    name: &str,
    project: &str,
    scope: &TokenScope,
    password: &Secret<Vec<u8>>,
    now: Timestamp,
) -> Result<User, AccountError> {
    check_name("the user", name)?;
    check_name("the project", project)?;
    let user = User {
        id: new_id()?,
        name: name.to_owned(),
        project: project.to_owned(),
        roles: scope.roles(),
    };
    let statement = Statement::new(
        "INSERT INTO users (id, name, project_id, roles, password, created_us) VALUES (?, ?, ?, ?, \
         ?, ?)",
    )
    .bind(user.id.as_str())
    .bind(name)
    .bind(project)
    .bind(user.roles.join(","))
    .bind(hash(password.expose())?)
    .bind(now.as_microsecond());
    match database.execute("add a user", &statement).await {
        Err(error) if error.is_duplicate() => Err(AccountError::Exists(name.to_owned())),
        done => Ok(done.map(|_| user)?),
    }
}

/// Returns all users.
pub(in crate::api) async fn users(database: &Database) -> Result<Vec<User>, DatabaseError> {
    let rows = database
        .fetch(
            "list users",
            &Statement::new("SELECT id, name, project_id, roles FROM users ORDER BY name"),
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| User {
            id: row.text(0),
            name: row.text(1),
            project: row.text(2),
            roles: roles(&row.text(3)),
        })
        .collect())
}

/// Removes a user with all tokens of that user. Returns whether there was one.
pub(in crate::api) async fn remove_user(
    database: &Database,
    name: &str,
) -> Result<bool, DatabaseError> {
    let mut transaction = database.begin().await?;
    let tokens =
        Statement::new("DELETE FROM tokens WHERE user_id IN (SELECT id FROM users WHERE name = ?)")
            .bind(name);
    transaction.execute("take back his tokens", &tokens).await?;
    let removed = transaction
        .execute(
            "remove a user",
            &Statement::new("DELETE FROM users WHERE name = ?").bind(name),
        )
        .await?;
    transaction.commit().await?;
    Ok(removed > 0)
}

/// The user with this name or id and password. A name that is not there takes as long as a wrong
/// password.
pub(in crate::api) async fn log_in(
    database: &Database,
    name_or_id: &str,
    password: Secret<Vec<u8>>,
) -> Result<Option<User>, AccountError> {
    let statement = Statement::new(
        "SELECT id, name, project_id, roles, password FROM users WHERE name = ? OR id = ?",
    );
    let rows = database
        .fetch("read a user", &statement.bind(name_or_id).bind(name_or_id))
        .await?;
    let stored = rows
        .first()
        .map_or_else(|| NOBODY.to_owned(), |row| row.text(4));
    let right = tokio::task::spawn_blocking(move || verify(&stored, password.expose()))
        .await
        .map_err(|_| AccountError::Secret)?;
    let user = rows.first().filter(|_| right);
    Ok(user.map(|row| User {
        id: row.text(0),
        name: row.text(1),
        project: row.text(2),
        roles: roles(&row.text(3)),
    }))
}

/// A hash that no password has.
const NOBODY: &str =
    "argon2id$19456$2$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn roles(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|role| !role.is_empty())
        .map(str::to_owned)
        .collect()
}

fn hash(password: &[u8]) -> Result<String, AccountError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| AccountError::Secret)?;
    let hash = derive(password, &salt, MEMORY_KIB, PASSES).ok_or(AccountError::Secret)?;
    Ok(format!(
        "argon2id${MEMORY_KIB}${PASSES}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    ))
}

fn verify(stored: &str, password: &[u8]) -> bool {
    let parts: Vec<&str> = stored.split('$').collect();
    let ["argon2id", memory, passes, salt, hash] = parts[..] else {
        return false;
    };
    let (Ok(memory), Ok(passes)) = (memory.parse::<u32>(), passes.parse::<u32>()) else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (STANDARD_NO_PAD.decode(salt), STANDARD_NO_PAD.decode(hash)) else {
        return false;
    };
    // What stands in the database was written by this program; a larger cost there is none of its
    // own.
    if memory > 1024 * 1024 || passes > 16 {
        return false;
    }
    derive(password, &salt, memory, passes).is_some_and(|derived| bool::from(derived.ct_eq(&hash)))
}

fn derive(password: &[u8], salt: &[u8], memory: u32, passes: u32) -> Option<[u8; 32]> {
    let params = Params::new(memory, passes, 1, Some(32)).ok()?;
    let mut derived = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut derived)
        .ok()?;
    Some(derived)
}

#[cfg(test)]
mod tests {
    use super::{NOBODY, check_name, hash, verify};

    #[test]
    fn a_password_is_verified_by_its_hash() {
        let stored = hash(b"correct horse").expect("memory");
        assert!(verify(&stored, b"correct horse"));
        assert!(!verify(&stored, b"correct hors"));
        assert!(!verify(NOBODY, b"") && !verify("", b"") && !verify("argon2id$9$9$!$!", b""));
        assert_ne!(
            stored,
            hash(b"correct horse").expect("memory"),
            "each has its own salt"
        );
    }

    #[test]
    fn names_are_plain() {
        assert!(check_name("the user", "backup-1@example.org").is_ok());
        for name in ["", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert!(check_name("the user", name).is_err(), "{name}");
        }
    }
}
