//! How Freezer talks HTTP: one client with our certificates, proxies and patience, for stores, the
//! server and the scheduler alike; and the log-in to OpenStack.
//!
//! It knows neither objects nor jobs. `Http` sends one request and gives one answer, on the
//! caller's thread. `Login` gets tokens and addresses of services, with what [`Settings`] say.
//! An [`Error`] says what was attempted and, by its [`Kind`], what a caller may do about it; the
//! caller adds on what. `ureq` and `rustls` are named nowhere else. Start reading at `http`.

mod error;
mod http;
mod openstack;
mod percent;
mod settings;
mod tls;

pub use error::{Error, Kind};
pub(crate) use http::{Body, Http, MAX_DOCUMENT, Reply};
pub(crate) use openstack::{Login, OpenStackService, Pass};
pub(crate) use percent::decode;
pub use settings::Settings;
pub use tls::ServerTlsError;
pub(crate) use tls::server;
pub use ureq::http::Method;
pub(crate) use ureq::http::{HeaderMap, Request, Response, StatusCode, request};
