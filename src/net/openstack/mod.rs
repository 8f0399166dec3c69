//! The log-in to OpenStack: Keystone v3, the scheme of Swift's own, and `clouds.yaml`.

mod clouds;
mod keystone;
mod login;
mod section;
mod service;

pub(crate) use login::{Login, Pass};
pub(crate) use service::OpenStackService;
