//! Tests of the library and of the program as a whole.

#![allow(clippy::too_many_lines, reason = "a test may tell a long story")]

mod advisories;
mod api;
mod architecture;
mod backup;
mod catalog;
mod cli;
#[cfg(unix)]
mod crash;
#[cfg(unix)]
mod damage;
mod format;
mod fs;
mod house;
#[cfg(unix)]
mod independent;
mod index;
mod licences;
#[cfg(unix)]
mod old_bytes;
mod oracles;
mod promises;
#[cfg(unix)]
mod rescue;
#[cfg(unix)]
mod restore;
#[cfg(unix)]
mod sched;
mod store;
mod support;
mod tar;
mod units;
#[cfg(unix)]
mod upkeep;
#[cfg(unix)]
mod vectors;
