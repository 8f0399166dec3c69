//! Tests of the library and of the program as a whole.

mod catalog;
mod cli;
mod index;
mod store;
mod support;
