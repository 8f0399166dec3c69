//! The command line: what it takes, prints and returns, run as people run it.
#![expect(clippy::disallowed_methods, reason = "these tests run programs")]

mod excludes;
