//! How Freezer talks HTTP: one client with our certificates, proxies and patience, for stores, the
//! server and the scheduler alike; and the log-in to OpenStack.
//!
//! It knows neither objects nor jobs. `Http` sends one request and returns one answer, on the
//! caller's thread. `Login` gets tokens and addresses of services, as [`NetSettings`] say. An
//! [`Error`] says what was attempted, and its [`NetErrorKind`] what a caller can do about it; the
//! caller adds the object. `ureq` and `rustls` are named nowhere else. Start reading at `http`.

mod error;
mod http;
mod openstack;
mod pace;
mod percent;
mod plain_hosts;
mod settings;
mod tls;

pub use error::{Error, NetErrorKind};
pub(crate) use http::{Http, HttpReply, MAX_DOCUMENT, RequestBody};
pub(crate) use openstack::{Login, OpenStackService, Pass};
pub(crate) use percent::decode;
pub use plain_hosts::{PlainHost, PlainHosts};
pub use settings::NetSettings;
pub use tls::ServerTlsError;
pub(crate) use tls::server;
pub use ureq::http::Method;
pub(crate) use ureq::http::{HeaderMap, Request, Response, StatusCode, request};
