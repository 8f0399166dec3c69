//! The server as a whole: blocking calls outside, one private runtime inside.

use super::auth::Authenticator;
use super::auth::accounts::AccountError;
use super::auth::accounts::{self, KnownToken, NewToken, TokenScope, User};
use super::auth::keystone::Keystone;
use super::auth::policy::AccessPolicy;
use super::auth::policy::PolicyError;
use super::auth::rate::Rate;
use super::db::Database;
use super::db::{DatabaseError, migrate};
use super::exchange::{self, ExchangeError, Exchanged};
use super::metrics::Metrics;
use super::serve::{TlsFiles, serve, tls};
use super::server::Server;
use super::settings::{ServerSettings, Tokens};
use super::{router, sessions};
use crate::model::{Cancel, Secret};
use crate::platform::Clock;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How often a process looks for what is over: sessions, tokens.
const ROUNDS: Duration = Duration::from_secs(30);
/// How long a database that is away is waited for at the start, and when it is asked again.
const STARTING: Duration = Duration::from_secs(30);
const PAUSE_IN_STARTING: Duration = Duration::from_millis(250);
/// How soon an interrupt is noticed.
const NOTICE: Duration = Duration::from_millis(50);
/// How many wrong passwords can come from one address in a second, and how many can be looked at or
/// wrong at once.
const WRONG_PASSWORDS: (u32, u32) = (10, 50);
/// How many passwords are looked at at a time.
const HASHED_AT_A_TIME: usize = 2;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The policy.
    #[error("the policy cannot be used")]
    Policy(#[from] PolicyError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] crate::net::ServerTlsError),
    /// The address cannot be listened at.
    #[error("could not listen at {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No threads.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

/// An open database and what works on it.
pub struct ApiService {
    runtime: Runtime,
    database: Database,
    clock: Arc<dyn Clock>,
}

impl ApiService {
    /// Opens the database at an address, and brings its tables to the form this version wants. One
    /// that is away, or starts, is waited for.
    pub fn open(
        address: &str,
        connections: u32,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServiceError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("api")
            .build()
            .map_err(ServiceError::Runtime)?;
        let database = runtime.block_on(opened(address, connections))?;
        Ok(Self {
            runtime,
            database,
            clock,
        })
    }

    /// Answers requests until cancelled. `ready` is told the address once it listens.
    pub fn serve(
        &self,
        settings: ServerSettings,
        listen: SocketAddr,
        tls_files: Option<&TlsFiles>,
        cancel: &Cancel,
        ready: impl FnOnce(SocketAddr) -> io::Result<()>,
    ) -> Result<(), ServiceError> {
        let policy = AccessPolicy::new(settings.policy.as_deref())?;
        let tls = tls_files.map(tls).transpose()?;
        let authenticator = match settings.tokens {
            Tokens::Builtin => Authenticator::builtin(),
            Tokens::Keystone(settings) => Authenticator::keystone(Keystone::new(settings)),
        };
        let server = Arc::new(Server {
            database: self.database.clone(),
            authenticator,
            policy,
            rate: Rate::new(settings.rate_limit),
            logins: Rate::with_burst(WRONG_PASSWORDS.0, WRONG_PASSWORDS.1),
            hashing: tokio::sync::Semaphore::new(HASHED_AT_A_TIME),
            metrics: Metrics::default(),
            told_away: AtomicI64::new(0),
            clock: Arc::clone(&self.clock),
            body_limit: settings.body_limit,
            session_timeout: settings.session_timeout,
            patience: settings.patience,
            public_url: settings.public_url,
            scheme: if tls.is_some() { "https" } else { "http" },
        });
        let cancel = cancel.clone();
        self.runtime.block_on(async move {
            let refused = |source| ServiceError::Listen {
                address: listen,
                source,
            };
            let listener = TcpListener::bind(listen).await.map_err(refused)?;
            ready(listener.local_addr().map_err(refused)?).map_err(refused)?;
            let rounds = tokio::spawn(rounds(Arc::clone(&server)));
            serve(
                listener,
                tls,
                router::router(Arc::clone(&server)),
                server.patience,
                until(cancel),
            )
            .await;
            rounds.abort();
            server.database.close().await;
            Ok(())
        })
    }

    /// Makes a token. It is seen this once.
    pub fn make_token(&self, new: &NewToken) -> Result<Secret<String>, AccountError> {
        self.runtime
            .block_on(accounts::make_token(&self.database, new, self.clock.now()))
    }

    /// The tokens that hold.
    pub fn tokens(&self) -> Result<Vec<KnownToken>, DatabaseError> {
        self.runtime
            .block_on(accounts::tokens(&self.database, self.clock.now()))
    }

    /// Takes back the token with this name; whether there was one.
    pub fn revoke_token(&self, id: &str) -> Result<bool, DatabaseError> {
        self.runtime.block_on(accounts::revoke(&self.database, id))
    }

    /// Makes a user of a project.
    pub fn make_user(
        &self,
        name: &str,
        project: &str,
        scope: &TokenScope,
        password: &Secret<Vec<u8>>,
    ) -> Result<User, AccountError> {
        self.runtime.block_on(accounts::make_user(
            &self.database,
            name,
            project,
            scope,
            password,
            self.clock.now(),
        ))
    }

    /// All users.
    pub fn users(&self) -> Result<Vec<User>, DatabaseError> {
        self.runtime.block_on(accounts::users(&self.database))
    }

    /// Removes a user with all tokens of that user. Returns whether there was one.
    pub fn remove_user(&self, name: &str) -> Result<bool, DatabaseError> {
        self.runtime
            .block_on(accounts::remove_user(&self.database, name))
    }

    /// Writes every document, one on a line, as Elasticsearch has them.
    pub fn export(&self, output: &mut (dyn Write + Send)) -> Result<Exchanged, ExchangeError> {
        self.runtime
            .block_on(exchange::export(&self.database, output))
    }

    /// Takes in documents as they are exported.
    pub fn import(&self, input: &mut (dyn BufRead + Send)) -> Result<Exchanged, ExchangeError> {
        self.runtime.block_on(exchange::import(
            &self.database,
            input,
            self.clock.now().as_microsecond(),
        ))
    }
}

async fn opened(address: &str, connections: u32) -> Result<Database, DatabaseError> {
    let began = crate::platform::monotonic();
    loop {
        let attempt = async {
            let database = Database::open(address, connections).await?;
            migrate::run(&database).await?;
            Ok::<_, DatabaseError>(database)
        };
        match attempt.await {
            Err(error) if error.is_away() && began.elapsed() < STARTING => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "waiting for the database"
                );
                tokio::time::sleep(PAUSE_IN_STARTING).await;
            }
            result => return result,
        }
    }
}

/// Ends when cancelled. A flag that a signal sets cannot wake anybody, so it is looked at.
async fn until(cancel: Cancel) {
    let mut looks = tokio::time::interval(NOTICE);
    while !cancel.is_requested() {
        looks.tick().await;
    }
}

/// Ends what is over, now and then. Every process does; each thing is over once.
async fn rounds(server: Arc<Server>) {
    let mut rounds = tokio::time::interval(ROUNDS);
    loop {
        rounds.tick().await;
        let now = server.clock.now();
        let patience = i64::try_from(server.session_timeout.as_secs()).unwrap_or(i64::MAX);
        let before = now.as_second().saturating_sub(patience);
        if let Err(error) = sessions::time_out(
            &server.database,
            before,
            now.as_second(),
            now.as_microsecond(),
        )
        .await
        {
            tracing::warn!(%error, "sessions could not be searched for timeouts");
        }
        if let Err(error) = accounts::forget_expired(&server.database, now).await {
            tracing::warn!(%error, "old tokens could not be forgotten");
        }
    }
}
