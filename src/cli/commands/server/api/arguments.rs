//! The arguments of `freezer api`.

use crate::api::TokenScope;
use crate::cli::options::times::{days, hours, up_to};
use crate::config::{ByteSize, TimeLength};
use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Run the server for clients, jobs, sessions and records of backups
///
/// Serves versions 1 and 2 of the Freezer API. Any number of servers can share one PostgreSQL or
/// MySQL database; without --database, one server keeps everything in a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer api --dev                         a server to try out, with a token
  freezer api --listen 0.0.0.0:9090 --database-file /etc/freezer/database
  freezer api add-user ann --project tecs --password-file ann
  freezer api add-token --project tecs --client tecs_web1")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub(super) database: DatabaseArguments,

    /// Make an admin token if there is none, and print it: for a server to try out. Listens only on
    /// 127.0.0.1 unless --listen says otherwise
    #[arg(long)]
    pub(super) dev: bool,

    /// The address to listen on; port 0 picks a free port [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,

    /// The address by which clients know the server [default: the one they use]
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,

    /// Listen with TLS: a file with the certificate and its chain, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_certificate: Option<PathBuf>,

    /// A file with the key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(super) tls_key: Option<PathBuf>,

    /// A file with rules that replace the default ones: lines "NAME": "RULE", as in the original's
    /// policy.yaml
    #[arg(long, value_name = "FILE")]
    pub(super) policy_file: Option<PathBuf>,

    /// Accept the tokens of this Keystone, and none of this server's own
    #[arg(long, value_name = "URL", requires = "keystone_password_file")]
    pub(super) keystone_url: Option<String>,

    /// Name of the service user that asks Keystone about tokens
    #[arg(
        long,
        value_name = "NAME",
        default_value = "freezer",
        requires = "keystone_url"
    )]
    pub(super) keystone_user: String,

    /// Project of the service user
    #[arg(
        long,
        value_name = "NAME",
        default_value = "service",
        requires = "keystone_url"
    )]
    pub(super) keystone_project: String,

    /// Domain of the service user and of its project
    #[arg(
        long,
        value_name = "NAME",
        default_value = "Default",
        requires = "keystone_url"
    )]
    pub(super) keystone_domain: String,

    /// A file whose first line is the password of the service user
    #[arg(long, value_name = "FILE", requires = "keystone_url")]
    pub(super) keystone_password_file: Option<PathBuf>,

    /// Largest body of a request, in bytes or with a unit
    #[arg(long, value_name = "SIZE", default_value = "4M")]
    pub(super) body_limit: ByteSize,

    /// Largest number of requests per second with one token [default: no limit]
    #[arg(long, value_name = "NUMBER")]
    pub(super) rate_limit: Option<u32>,

    /// Drop a client that takes longer than this for the head or the body of a request, or takes
    /// nothing of an answer for this long (30s, 2m; a number alone counts seconds; 1s to 1h)
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        value_parser = up_to(Duration::from_hours(1))
    )]
    pub(super) client_timeout: TimeLength,

    /// End a session whose nodes have not all reported after this time (24h, 2d; a number alone
    /// counts hours)
    #[arg(long, value_name = "HOURS", default_value = "24h", value_parser = hours)]
    pub(super) session_timeout: TimeLength,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Args)]
pub(super) struct DatabaseArguments {
    /// The database: sqlite:FILE, postgres://USER@HOST/NAME or mysql://USER@HOST/NAME
    /// [default: sqlite:~/.local/share/freezer/api.sqlite]
    #[arg(
        long,
        value_name = "URL",
        global = true,
        conflicts_with = "database_file"
    )]
    pub(super) database: Option<String>,

    /// A file whose first line is the address of the database: for an address with a password
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) database_file: Option<PathBuf>,

    /// Largest number of connections to the database at a time, 1–1000
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=1000),
        global = true
    )]
    pub(super) database_connections: u32,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring the tables to the form that this version needs; a server does so when it starts
    #[command(after_help = "Example:\n  freezer api migrate --database-file /etc/freezer/database")]
    Migrate,
    /// Print every document on a line of its own, as the original keeps them in Elasticsearch
    #[command(after_help = "Example:\n  freezer api export > freezer.ndjson")]
    Export,
    /// Import documents of freezer api export, or dumped from Elasticsearch; existing ones stay
    #[command(after_help = "Example:\n  freezer api import freezer.ndjson")]
    Import {
        /// A file with a document on each line
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show the users
    #[command(after_help = "Example:\n  freezer api users --json")]
    Users,
    /// Add a user, who can get tokens with a name and a password
    #[command(
        after_help = "Example:\n  freezer api add-user ann --project tecs --password-file ann"
    )]
    AddUser {
        /// Name of the user
        #[arg(value_name = "NAME")]
        name: String,
        /// Name of the project
        #[arg(long, value_name = "NAME", default_value = "default")]
        project: String,
        /// What the user may do: admin everything in all projects, project everything in the
        /// project, reader only read in it
        #[arg(
            long,
            value_name = "SCOPE",
            value_enum,
            default_value = "project",
            hide_possible_values = true
        )]
        scope: AccountScope,
        /// A file whose first line is the password [default: asked for on the terminal]
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove a user, and revoke the tokens that were got with the password
    #[command(after_help = "Example:\n  freezer api remove-user ann")]
    RemoveUser {
        /// Name of the user
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show the valid tokens
    #[command(after_help = "Example:\n  freezer api tokens")]
    Tokens,
    /// Make a token, and print it
    #[command(
        after_help = "Examples:\n  freezer api add-token --project tecs --days 90 --comment 'the \
            dashboard'\n  freezer api add-token --project tecs --client tecs_web1"
    )]
    AddToken {
        /// Name of the project
        #[arg(long, value_name = "NAME", default_value = "default")]
        project: String,
        /// What the token allows: admin everything in all projects, project everything in the
        /// project, reader only reading in it
        #[arg(
            long,
            value_name = "SCOPE",
            value_enum,
            default_value = "project",
            conflicts_with = "client",
            hide_possible_values = true
        )]
        scope: AccountScope,
        /// Make a token for this node only: it may register, get its jobs, report their results and
        /// record its backups
        #[arg(long, value_name = "CLIENT-ID")]
        client: Option<String>,
        /// How long the token is valid (90, 90d, 12h; a number alone counts days) [default: for
        /// ever]
        #[arg(long, value_name = "DAYS", value_parser = days)]
        days: Option<TimeLength>,
        /// A note about the token, for freezer api tokens
        #[arg(long, value_name = "TEXT", default_value = "")]
        comment: String,
    },
    /// Revoke a token
    #[command(after_help = "Example:\n  freezer api revoke-token 1a2b3c4d5e6f")]
    RevokeToken {
        /// Name of the token, as freezer api tokens shows it
        #[arg(value_name = "NAME")]
        id: String,
    },
}

/// What a user or a token may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum AccountScope {
    /// Everything in all projects
    Admin,
    /// Everything in the project
    Project,
    /// Only reading in the project
    Reader,
}

impl From<AccountScope> for TokenScope {
    fn from(scope: AccountScope) -> Self {
        match scope {
            AccountScope::Admin => Self::Admin,
            AccountScope::Project => Self::Project,
            AccountScope::Reader => Self::Reader,
        }
    }
}
