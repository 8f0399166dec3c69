//! Tests of the library and of the program as a whole.

mod architecture;
mod cli;
mod licences;
mod store;
mod support;
