//! OpenStack Swift.
//!
//! One request for one call, on a container or below a prefix of one. `container` sends them: the
//! log-in is `net`'s, and a token that the server refuses in the middle of a run is renewed once
//! and the call made again. `large_object` makes a level one object for other programs.

mod container;
mod large_object;

use super::address::{Address, IfMissing};
use super::error::network;
use super::object_server::{self as server, ObjectServer};
use super::{
    Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store,
    StoreSettings, check_prefix,
};
use crate::net::HttpReply;
use container::Container;
use md5::{Digest, Md5};
use std::fmt::Write;

/// The keys that may come after `?` in `swift:container/prefix?…`.
pub(super) const KEYS: [&str; 3] = ["cloud", "interface", "region"];

/// Objects below a prefix of a container.
pub(super) struct Swift {
    container: Container,
    location: String,
}

impl Swift {
    /// Opens `swift:container/prefix`. Where a container may be made, it is, and the server's
    /// limits are looked at.
    pub(super) fn open(
        address: &Address,
        settings: &StoreSettings,
        if_missing: IfMissing,
    ) -> Result<Self, Error> {
        let container = Container::find(address, settings)?;
        if if_missing == IfMissing::Create {
            container.make()?;
            if let Some(wanted) = settings.segment_bytes() {
                let most = container.info()?.swift.max_file_size;
                if let Some(most) = most.filter(|most| wanted > *most) {
                    return Err(Error::of_store(ErrorKind::Failed, Operation::Open).because(format!(
                        "segments of {wanted} bytes are more than the server takes in one object: \
                         {most} bytes"
                    )));
                }
            }
        }
        Ok(Self {
            container,
            location: address.to_string(),
        })
    }

    /// Sends an object with its sum, with which the server checks it.
    fn write(
        &self,
        name: &ObjectName,
        body: &Rope,
        wish: Option<(&'static str, String)>,
    ) -> Result<HttpReply, Error> {
        let mut digest = Md5::new();
        body.iter().for_each(|piece| digest.update(piece));
        let mut etag = String::new();
        digest.finalize().iter().for_each(|byte| {
            write!(etag, "{byte:02x}").expect("a String takes all that is written");
        });
        let mut headers = vec![("etag", etag)];
        headers.extend(wish);
        server::put(&self.container, name, body, headers)
    }

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        let reply = self.write(name, body, Some(("if-none-match", "*".to_owned())))?;
        match reply.status {
            412 => Ok(false),
            _ => reply
                .finish()
                .map_err(network(Operation::Put, Some(name)))
                .map(|()| true),
        }
    }
}

impl Store for Swift {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.write(name, body, None)?
            .finish()
            .map_err(network(Operation::Put, Some(name)))
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        server::read(&self.container, name, wanted, take)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        check_prefix(prefix)?;
        let mut outcome = Ok(());
        self.container
            .each(prefix, &mut |key, object| match server::listed(
                &self.container.prefix,
                prefix,
                key,
            ) {
                Ok(None) => true,
                Ok(Some(name)) => found(ObjectInfo {
                    name,
                    length: object.bytes,
                }),
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            })?;
        outcome
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        server::delete(&self.container, name, self.container.path_of(name))
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn powers(&self) -> Powers<'_> {
        Powers {
            put_unless_there: Some(Box::new(|name, body| self.put_unless_there(name, body))),
            join: Some(Box::new(|whole, parts, count| {
                large_object::join(&self.container, whole, parts, count)
            })),
            ..Powers::none()
        }
    }
}
