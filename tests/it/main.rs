//! Tests of the library and of the program as a whole.

mod architecture;
mod backup;
mod catalog;
mod cli;
mod format;
mod index;
mod licences;
mod rescue;
mod store;
mod support;
mod tar;
#[cfg(unix)]
mod restore;
mod fs;
mod index;
mod store;
mod support;
