//! What a user can ask for: the options of every command, and the layers that their values come
//! from (command line, environment, configuration files).

pub(in crate::cli) mod action;
pub(in crate::cli) mod change;
pub(in crate::cli) mod common;
pub(in crate::cli) mod effort;
pub(in crate::cli) mod foreign_words;
pub(in crate::cli) mod layers;
pub(in crate::cli) mod not_empty;
pub(in crate::cli) mod original;
pub(in crate::cli) mod rates;
pub(in crate::cli) mod retention;
pub(in crate::cli) mod scan;
pub(in crate::cli) mod sections;
pub(in crate::cli) mod server;
pub(in crate::cli) mod setting;
pub(in crate::cli) mod stores;
pub(in crate::cli) mod times;
pub(in crate::cli) mod wait;
