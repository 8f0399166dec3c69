//! What a user can ask for: the options of every command, and the layers (command line,
//! environment, configuration files) that their values come from.

pub(in crate::cli) mod effort;
pub(in crate::cli) mod layers;
pub(in crate::cli) mod not_empty;
pub(in crate::cli) mod original;
pub(in crate::cli) mod retention;
pub(in crate::cli) mod store_options;
