//! OpenStack Swift.
//!
//! One request for one call, on a container or below a prefix of one. `container` sends them: the
//! log-in is `net`'s, and a token that the server refuses in the middle of a run is renewed once
//! and the call made again. `large_object` makes a level one object for other programs.

mod container;
mod large_object;

use super::address::{Address, IfMissing};
use super::object_server::{self as server, Header, ObjectServer};
use super::{
    Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store,
    StoreSettings, check_prefix,
};
use container::Container;

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

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        let reply = server::send_unless_there(&self.container, name, body, headers(body))?;
        server::was_stored(reply, name)
    }
}

/// Returns what is sent with an object: its sum.
fn headers(body: &Rope) -> Vec<Header> {
    let sum = server::md5_of(body);
    let hex = sum.as_ref().iter().map(|byte| format!("{byte:02x}"));
    vec![("etag", hex.collect())]
}

impl Store for Swift {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        server::put(&self.container, name, body, headers(body))
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
