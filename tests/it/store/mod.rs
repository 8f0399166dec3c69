//! Every kind of store keeps the contract of `freezer::store::Store`. A new kind adds a line to
//! [`conformance`].

mod conformance;
#[cfg(unix)]
mod faults;
mod killed;
#[cfg(unix)]
mod large_object;
#[cfg(unix)]
mod lies;
#[cfg(unix)]
mod listing_lies;
mod local;
#[cfg(unix)]
mod locked;
#[cfg(unix)]
mod mortal;
#[cfg(unix)]
mod mounted;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod remote;
