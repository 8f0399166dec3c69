//! Authentication and access: callers and what they may do.
//!
//! A token says who asks ([`Caller`]); [`builtin`] knows the tokens of this server's own users,
//! [`keystone`] those of OpenStack. [`policy`] says what the caller may do. Headers that a proxy or
//! an attacker sends about identities are never read.

pub(super) mod accounts;
mod authenticator;
pub(super) mod caller;
pub(super) mod keystone;
pub(super) mod policy;
pub(super) mod rate;

pub(super) use authenticator::Authenticator;
