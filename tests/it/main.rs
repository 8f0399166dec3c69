//! Tests of the library and of the program as a whole.

mod catalog;
mod fs;
mod index;
mod store;
mod support;
