//! Tests of the library and of the program as a whole.

mod backup;
mod catalog;
mod cli;
mod fs;
mod index;
mod oracles;
mod store;
mod support;
mod tar;
