//! Tests of the library and of the program as a whole.

mod cli;
mod store;
mod support;
