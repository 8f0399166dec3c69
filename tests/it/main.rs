//! Tests of the library and of the program as a whole.

mod architecture;
mod backup;
mod catalog;
mod cli;
mod format;
mod fs;
mod index;
mod licences;
mod rescue;
#[cfg(unix)]
mod restore;
mod store;
mod support;
mod tar;
