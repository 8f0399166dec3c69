//! The `freezer` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    freezer::cli::run(std::env::args_os().collect())
}
