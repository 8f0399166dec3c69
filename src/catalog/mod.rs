//! Which backups exist: what a store's object names alone tell.

pub mod names;
