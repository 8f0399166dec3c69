//! Tests of the library and of the program as a whole.

mod catalog;
mod index;
mod store;
