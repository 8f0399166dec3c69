//! The log-in to OpenStack: Keystone v3, the scheme of Swift's own, and `clouds.yaml`.

mod clouds;
mod login;
mod section;

pub(crate) use login::{Login, Pass, Service};
