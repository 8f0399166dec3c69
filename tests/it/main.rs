//! Tests of the library and of the program as a whole.

mod backup;
mod catalog;
mod cli;
mod index;
#[cfg(unix)]
mod restore;
mod store;
mod support;
mod tar;
