//! The house rules that a program can hold: circles, names, words, columns, links and the map.
//!
//! Which module may name which is in `architecture.rs`. Lists that are called `NOT_YET` are what is
//! still to be put in order: they only get shorter, and each is removed when it is empty.

mod circles;
mod columns;
mod links;
mod map;
mod names;
pub mod source;
mod words;
