//! Tests of the library and of the program as a whole.

mod architecture;
mod backup;
mod catalog;
mod cli;
mod format;
mod fs;
mod index;
mod licences;
#[cfg(unix)]
mod restore;
mod rescue;
mod store;
mod support;
mod tar;
