//! Every kind of store keeps the contract of `freezer::store::Store`. A new kind adds a line to [`conformance`].

mod conformance;
mod killed;
mod local;
