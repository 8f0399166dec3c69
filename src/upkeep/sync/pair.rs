//! The two stores that a sync joins.

use crate::catalog::Access;

/// A store and the copy of it that is brought up to date.
#[derive(Clone, Copy)]
pub struct Pair<'run> {
    /// The store that levels come from.
    pub from: &'run Access,
    /// The store that they go to: [`Access::copy_at`] of the other.
    pub to: &'run Access,
}
