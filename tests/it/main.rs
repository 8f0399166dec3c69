//! Tests of the library and of the program as a whole.

mod architecture;
mod backup;
mod catalog;
mod cli;
mod index;
mod licences;
mod rescue;
mod store;
mod support;
mod tar;
