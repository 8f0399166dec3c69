//! Options about the server that a command talks to.

use clap::Args;
use std::path::PathBuf;

/// The server that a command talks to, and the token and project it uses.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The server")]
pub(in crate::cli) struct ServerOptions {
    /// Address of the Freezer API [default: from Keystone's catalog or OS_BACKUP_URL if OS_AUTH_URL
    /// or OS_CLOUD is set, else the server that freezer api --dev runs; environment:
    /// FREEZER_API_URL]
    #[arg(long, value_name = "URL", global = true)]
    pub(in crate::cli) api_url: Option<String>,

    /// A file whose first line is a token of the server [environment: FREEZER_API_TOKEN_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    pub(in crate::cli) api_token_file: Option<PathBuf>,

    /// Id of the project [default: that of the token; environment: FREEZER_API_PROJECT]
    #[arg(long, value_name = "ID", global = true)]
    pub(in crate::cli) api_project: Option<String>,
}
