//! S3: buckets of Amazon and of every server with the same interface.
//!
//! One request for one call. `bucket` finds the bucket and sends requests, `credentials` has what
//! signs them: the search for credentials and the signatures are OpenDAL's (`reqsign`).
//! docs/design/0008-stores.md says why no more of it is used. `retention` is object lock, `page` a
//! page of a listing.

mod bucket;
mod credentials;
mod page;
mod retention;

use super::address::{Address, IfMissing};
use super::error::network;
use super::object_server::{
    self as server, Header, ObjectRequest, ObjectServer, PageProgress, in_query,
};
use super::{
    Error, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store, StoreSettings,
    check_prefix,
};
use crate::net::{Method, RequestBody};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bucket::Bucket;
use page::ListingPage;
use retention::ObjectLocks;

/// The keys that may come after `?` in `s3://bucket/prefix?…`.
pub(super) const KEYS: [&str; 4] = ["endpoint", "profile", "region", "style"];

/// How many objects one page of a listing has.
const PAGE: usize = 1000;

/// Objects below a prefix of a bucket.
pub(super) struct S3 {
    bucket: Bucket,
    location: String,
    retention: ObjectLocks,
}

impl S3 {
    /// Opens `s3://bucket/prefix`. Asks the server nothing, unless the bucket is to be made where
    /// there is none.
    pub(super) fn open(
        address: &Address,
        settings: &StoreSettings,
        if_missing: IfMissing,
    ) -> Result<Self, Error> {
        let store = Self {
            bucket: Bucket::find(address, settings)?,
            location: address.to_string(),
            retention: ObjectLocks::new(settings.object_lock().cloned()),
        };
        if if_missing == IfMissing::Create {
            store.make_bucket()?;
            store.retention.check(&store.bucket)?;
        }
        Ok(store)
    }

    fn make_bucket(&self) -> Result<(), Error> {
        let ask = |method| ObjectRequest::new(Operation::Open, None, method, String::new());
        if self.bucket.send(&ask(Method::HEAD))?.status != 404 {
            // An account that may not look at the bucket may still write to it: the first object
            // tells.
            return Ok(());
        }
        let elsewhere = format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.bucket.region
        );
        let body = match self.bucket.region.as_str() {
            "us-east-1" => RequestBody::Bytes(&[]),
            _ => RequestBody::Bytes(elsewhere.as_bytes()),
        };
        let make = ask(Method::PUT)
            .with(self.retention.headers_of_bucket())
            .sending(body);
        let made = self.bucket.send(&make)?;
        if made.is_done() || made.status == 409 {
            Ok(())
        } else {
            Err(network(Operation::Open, None)(made.refusal()))
        }
    }

    /// Returns what is sent with an object: its sum, and how long it is locked.
    fn headers(&self, name: &ObjectName, body: &Rope) -> Vec<Header> {
        let mut headers = vec![("content-md5", BASE64.encode(server::md5_of(body)))];
        headers.extend(self.retention.headers_of(name));
        headers
    }

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        let headers = self.headers(name, body);
        let reply = server::send_unless_there(&self.bucket, name, body, headers)?;
        match reply.status {
            // Servers that do not know this header for a PUT.
            400 | 501 => self.put(name, body).map(|()| true),
            _ => server::was_stored(reply, name),
        }
    }

    fn page(&self, prefix: &str, token: Option<&str>) -> Result<Option<ListingPage>, Error> {
        let below = in_query(&format!("{}{prefix}", self.bucket.prefix));
        let mut path = format!("/?list-type=2&max-keys={PAGE}&prefix={below}");
        if let Some(token) = token {
            path.push_str("&continuation-token=");
            path.push_str(&in_query(token));
        }
        let Some(text) = server::page(&self.bucket, path)? else {
            return Ok(None);
        };
        let text = String::from_utf8(text).map_err(server::unreadable)?;
        ListingPage::parse(&text)
            .map(Some)
            .map_err(server::unreadable)
    }
}

impl Store for S3 {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        server::put(&self.bucket, name, body, self.headers(name, body))
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        server::read(&self.bucket, name, wanted, take)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        check_prefix(prefix)?;
        let mut token: Option<String> = None;
        let mut progress = PageProgress::default();
        loop {
            let Some(page) = self.page(prefix, token.as_deref())? else {
                return Ok(());
            };
            progress.note(page.objects.last().map(|object| object.key.as_str()))?;
            for object in page.objects {
                if let Some(name) = server::listed(&self.bucket.prefix, prefix, &object.key)?
                    && !found(ObjectInfo {
                        name,
                        length: object.size,
                    })
                {
                    return Ok(());
                }
            }
            if !page.truncated {
                return Ok(());
            }
            token = Some(PageProgress::next_token(token.as_deref(), page.next)?);
        }
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        match self.retention.path_to_remove(&self.bucket, name)? {
            Some(path) => server::delete(&self.bucket, name, path),
            None => Ok(()),
        }
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn powers(&self) -> Powers<'_> {
        Powers {
            put_unless_there: Some(Box::new(|name, body| self.put_unless_there(name, body))),
            held_until: Some(Box::new(|name| {
                self.retention.held_until(&self.bucket, name)
            })),
            ..Powers::none()
        }
    }
}
