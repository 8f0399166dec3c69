//! Kinds of stores that OpenDAL implements: WebDAV, Azure blobs, Google Cloud Storage. Each is an
//! address and credentials here; OpenDAL does the rest over our own HTTP ([`transport`]). The
//! records docs/design/0008-stores.md and 0022-opendal.md say why other kinds are not OpenDAL's.

mod flat_page;
mod multistatus;
mod transport;

use super::address::{Address, IfMissing};
use super::error::{about, network};
use super::folder_rows::FolderRow;
use super::folders;
use super::runtime::block_on;
use super::selection::{cut, length_of};
use super::{
    Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, PutUnlessThere, Rope, Selection,
    Store, StoreSettings,
};
use crate::net::{Http, MAX_DOCUMENT};
use bytes::Bytes;
use opendal_core::{
    Builder, ErrorKind as OpenDalKind, HttpTransporter, Metadata, OperationContext, Operator,
};
#[cfg(feature = "azblob")]
use opendal_service_azblob::Azblob;
#[cfg(feature = "gcs")]
use opendal_service_gcs::Gcs;
use opendal_service_webdav::Webdav;
use std::future::Future;
use transport::{RequestPurpose, Transport};

/// The keys that may come after `?` in `webdav://user@host:port/folder?…`.
pub(super) const WEBDAV_KEYS: [&str; 1] = ["tls"];

/// The keys that may come after `?` in `azblob://container/prefix?…`.
#[cfg(feature = "azblob")]
pub(super) const AZBLOB_KEYS: [&str; 2] = ["account", "endpoint"];

/// The keys that may come after `?` in `gcs://bucket/prefix?…`.
#[cfg(feature = "gcs")]
pub(super) const GCS_KEYS: [&str; 1] = ["endpoint"];

/// How many names may follow each other that are not after the ones before.
#[cfg(any(feature = "azblob", feature = "gcs"))]
const MOST_IDLE: u32 = 100_000;

/// A store that OpenDAL reads and writes.
pub(super) struct OpenDal {
    operator: Operator,
    listing: Shows,
    location: String,
}

/// What one request for a listing returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// All objects whose names begin with a prefix, in order, in pages.
    #[cfg(any(feature = "azblob", feature = "gcs"))]
    Names,
    /// The contents of one folder, in any order.
    Folders,
}

/// Opens `webdav://user@host:port/folder`. The folder is made where it is to be.
pub(super) fn webdav(
    address: &Address,
    settings: &StoreSettings,
    if_missing: IfMissing,
) -> Result<OpenDal, Error> {
    let scheme = match address.query.get("tls").map(String::as_str) {
        None | Some("yes") => "https",
        Some("no") => "http",
        Some(other) => return Err(failed(format!("tls={other} is unknown; it is yes or no"))),
    };
    let port = address
        .port
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let endpoint = format!("{scheme}://{}{port}", address.host);
    let mut service = Webdav::default()
        .endpoint(&endpoint)
        .root(&root(address)?)
        .disable_create_dir(true);
    if let Some(user) = address
        .user
        .as_deref()
        .or_else(|| settings.variable("WEBDAV_USERNAME"))
    {
        service = service
            .username(user)
            .password(settings.variable("WEBDAV_PASSWORD").unwrap_or_default());
    }
    if let Some(token) = settings.variable("WEBDAV_TOKEN") {
        service = service.token(token);
    }
    let store = OpenDal::new(service, Shows::Folders, address, settings)?;
    if if_missing == IfMissing::Create {
        store.make_folder("/")?;
    }
    Ok(store)
}

/// Opens `azblob://container/prefix`. The container has to be there.
#[cfg(feature = "azblob")]
pub(super) fn azblob(
    address: &Address,
    settings: &StoreSettings,
    _: IfMissing,
) -> Result<OpenDal, Error> {
    let of = |key: &str, names: [&str; 2]| {
        let variable = || names.iter().find_map(|name| settings.variable(name));
        address.query.get(key).map(String::as_str).or_else(variable)
    };
    let account = of(
        "account",
        ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"],
    );
    let account = account.ok_or_else(|| {
        failed("no account is named; set AZURE_STORAGE_ACCOUNT, or add ?account=NAME")
    })?;
    let endpoint = of(
        "endpoint",
        ["AZURE_STORAGE_ENDPOINT", "AZURE_STORAGE_SERVICE_ENDPOINT"],
    );
    let endpoint = endpoint.map_or_else(
        || format!("https://{account}.blob.core.windows.net"),
        str::to_owned,
    );
    let service = Azblob::default()
        .container(&address.host)
        .root(&root(address)?)
        .endpoint(&endpoint)
        .account_name(account);
    let service = match (
        of("", ["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]),
        settings.variable("AZURE_STORAGE_SAS_TOKEN"),
    ) {
        (Some(key), _) => service.account_key(key),
        (None, Some(token)) => service.sas_token(token.trim_start_matches('?')),
        (None, None) => {
            return Err(failed(
                "no credentials are set; set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN",
            ));
        }
    };
    OpenDal::new(service, Shows::Names, address, settings)
}

/// Opens `gcs://bucket/prefix`. The bucket has to be there.
#[cfg(feature = "gcs")]
pub(super) fn gcs(
    address: &Address,
    settings: &StoreSettings,
    _: IfMissing,
) -> Result<OpenDal, Error> {
    let mut service = Gcs::default()
        .bucket(&address.host)
        .root(&root(address)?)
        .disable_config_load();
    if let Some(endpoint) = address
        .query
        .get("endpoint")
        .map(String::as_str)
        .or_else(|| settings.variable("GOOGLE_STORAGE_ENDPOINT"))
    {
        service = service.endpoint(endpoint);
    }
    if let Some(path) = settings.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        let key = std::fs::read(path).map_err(|error| {
            failed(format!("could not read the credentials in {path}: {error}"))
        })?;
        service = service.credential(&base64(&key)).disable_vm_metadata();
    } else if let Some(token) = settings.variable("GOOGLE_OAUTH_ACCESS_TOKEN") {
        service = service.token(token.to_owned()).disable_vm_metadata();
    }
    OpenDal::new(service, Shows::Names, address, settings)
}

fn failed(why: impl Into<String>) -> Error {
    Error::of_store(ErrorKind::Failed, Operation::Open).because(why.into())
}

#[cfg(feature = "gcs")]
fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Returns the root of a store as OpenDAL writes it: the prefix of all names after a slash.
fn root(address: &Address) -> Result<String, Error> {
    Ok(format!("/{}", address.prefix().map_err(failed)?))
}

impl OpenDal {
    fn new(
        service: impl Builder,
        listing: Shows,
        address: &Address,
        settings: &StoreSettings,
    ) -> Result<Self, Error> {
        let http = HttpTransporter::new(Transport::new(
            Http::new(settings.network()).map_err(network(Operation::Open, None))?,
            address.prefix().map_err(failed)?,
        ));
        let operator = Operator::new(service).map_err(|error| failed(error.message()))?;
        let operator = operator.with_context(OperationContext::default().with_http_transport(http));
        Ok(Self {
            operator,
            listing,
            location: address.to_string(),
        })
    }

    /// Runs a call of OpenDAL. An answer that is longer than `limit` is refused.
    fn call<T>(
        &self,
        verb: Operation,
        object: Option<&ObjectName>,
        limit: u64,
        work: impl Future<Output = opendal_core::Result<T>>,
    ) -> Result<T, Error> {
        let (outcome, trouble) =
            transport::during(RequestPurpose::new(verb, object, limit), || block_on(work));
        // The last answer of the server tells more than the error of OpenDAL, which may also
        // contain the request with its signature.
        outcome.map_err(|error| {
            trouble.unwrap_or_else(|| {
                about(kind_of(error.kind(), error.is_temporary()), verb, object)
                    .because(error.message().to_owned())
            })
        })
    }

    fn stat(&self, verb: Operation, name: &ObjectName) -> Result<Metadata, Error> {
        self.call(
            verb,
            Some(name),
            MAX_DOCUMENT,
            self.operator.stat(name.as_str()),
        )
    }

    /// Reads exactly `length` bytes from `offset` on.
    fn part(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let error = |kind| Error::new(kind, Operation::Get, name);
        if length == 0 {
            let there = self.stat(Operation::Get, name)?;
            return match there.content_length() {
                // A folder is not an object.
                _ if !there.is_file() => Err(error(ErrorKind::Missing)),
                whole if offset <= whole => Ok(Vec::new()),
                _ => Err(error(ErrorKind::Short)),
            };
        }
        let end = offset.saturating_add(length as u64);
        let read = self.call(Operation::Get, Some(name), length as u64, async {
            self.operator
                .read_with(name.as_str())
                .range(offset..end)
                .await
        })?;
        if read.len() == length {
            Ok(Vec::from(read.to_bytes()))
        } else {
            Err(error(ErrorKind::Short))
        }
    }

    fn write(&self, name: &ObjectName, body: Vec<Bytes>) -> Result<(), Error> {
        self.call(
            Operation::Put,
            Some(name),
            MAX_DOCUMENT,
            self.operator.write(name.as_str(), body),
        )
        .map(drop)
    }

    /// Makes a folder and those above it, unless they are there.
    fn make_folder(&self, folder: &str) -> Result<(), Error> {
        let make = || {
            self.call(
                Operation::Put,
                None,
                MAX_DOCUMENT,
                self.operator.create_dir(folder),
            )
        };
        // Apache refuses a folder that another client makes at the same moment; then it is there.
        for _ in 0..folder.split('/').count() {
            match make() {
                Err(error) if error.kind() == ErrorKind::Denied => {}
                made => return made,
            }
        }
        make()
    }

    /// Hands over the contents of a folder. WebDAV has no pages: they come in one answer, whose
    /// length is bounded.
    fn folder(
        &self,
        below: &str,
        take: &mut dyn FnMut(Option<FolderRow>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let entries = self.call(
            Operation::List,
            None,
            transport::MAX_FOLDER,
            self.operator
                .list(if below.is_empty() { "/" } else { below }),
        )?;
        let row = |entry: opendal_core::Entry| {
            let name = entry.path().strip_prefix(below)?;
            match name.strip_suffix('/') {
                Some(folder) => FolderRow::folder(folder),
                None => FolderRow::object(name, entry.metadata().content_length()),
            }
        };
        entries.into_iter().try_for_each(|entry| take(row(entry)))
    }

    #[cfg(any(feature = "azblob", feature = "gcs"))]
    fn names(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        use futures_core::Stream;
        super::check_prefix(prefix)?;
        let path = if prefix.is_empty() { "/" } else { prefix };
        let mut lister = self.call(Operation::List, None, MAX_DOCUMENT, async {
            self.operator.lister_with(path).recursive(true).await
        })?;
        let (mut last, mut idle) = (String::new(), 0);
        loop {
            let next =
                std::future::poll_fn(|context| std::pin::Pin::new(&mut lister).poll_next(context));
            let Some(entry) = self.call(Operation::List, None, MAX_DOCUMENT, async {
                next.await.transpose()
            })?
            else {
                return Ok(());
            };
            if *last < *entry.path() {
                entry.path().clone_into(&mut last);
                idle = 0;
            } else {
                idle += 1;
            }
            if idle > MOST_IDLE {
                let why = "the server lists the same names again and again";
                return Err(about(ErrorKind::Failed, Operation::List, None).because(why));
            }
            // Names that no object can have belong to other programs.
            if let Some(name) = ObjectName::new(entry.path())
                && name.as_str().starts_with(prefix)
                && !found(ObjectInfo {
                    name,
                    length: entry.metadata().content_length(),
                })
            {
                return Ok(());
            }
        }
    }

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        let pieces = copy_of(body);
        let written = async {
            match self
                .operator
                .write_with(name.as_str(), pieces)
                .if_not_exists(true)
                .await
            {
                Err(error)
                    if matches!(
                        error.kind(),
                        OpenDalKind::ConditionNotMatch | OpenDalKind::AlreadyExists
                    ) =>
                {
                    Ok(false)
                }
                written => written.map(|_| true),
            }
        };
        self.call(Operation::Put, Some(name), MAX_DOCUMENT, written)
    }
}

impl Store for OpenDal {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        let pieces = copy_of(body);
        if self.listing != Shows::Folders {
            return self.write(name, pieces);
        }
        match self.write(name, pieces.clone()) {
            // Servers answer 404 or 409 where the folder is missing.
            Err(error) if matches!(error.kind(), ErrorKind::Missing | ErrorKind::Unavailable) => {
                self.make_folder(
                    name.as_str()
                        .rsplit_once('/')
                        .map_or("/", |(folder, _)| &name.as_str()[..=folder.len()]),
                )?;
                self.write(name, pieces)
            }
            written => written,
        }
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        match wanted {
            Selection::Whole { limit } => {
                let read = self.operator.read(name.as_str());
                let read = self.call(Operation::Get, Some(name), limit, read)?;
                take(Vec::from(read.to_bytes()));
            }
            // OpenDAL hands a part over when all of it is there.
            Selection::Pieces { offset, lengths } => {
                let length = length_of(name, offset, lengths)?;
                cut(self.part(name, offset, length)?, lengths, take);
            }
        }
        Ok(())
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        match self.listing {
            #[cfg(any(feature = "azblob", feature = "gcs"))]
            Shows::Names => self.names(prefix, found),
            Shows::Folders => {
                folders::list(prefix, &mut |below, take| self.folder(below, take), found)
            }
        }
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        // WebDAV removes a folder with all that is in it.
        if self.listing == Shows::Folders {
            match self.stat(Operation::Delete, name) {
                Ok(there) if there.is_file() => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Missing => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.call(
            Operation::Delete,
            Some(name),
            MAX_DOCUMENT,
            self.operator.delete(name.as_str()),
        )
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn powers(&self) -> Powers<'_> {
        let can_refuse = self.operator.info().capability().write_with_if_not_exists;
        Powers {
            put_unless_there: can_refuse.then(|| -> PutUnlessThere<'_> {
                Box::new(|name, body| self.put_unless_there(name, body))
            }),
            ..Powers::none()
        }
    }
}

/// Copies a body into buffers that OpenDAL can own.
fn copy_of(body: &Rope) -> Vec<Bytes> {
    body.iter()
        .map(|piece| Bytes::copy_from_slice(piece))
        .collect()
}

/// Returns the kind for an error of OpenDAL that no answer explains.
fn kind_of(kind: OpenDalKind, is_temporary: bool) -> ErrorKind {
    match kind {
        _ if is_temporary => ErrorKind::Unavailable,
        OpenDalKind::RateLimited => ErrorKind::Unavailable,
        OpenDalKind::NotFound => ErrorKind::Missing,
        OpenDalKind::PermissionDenied => ErrorKind::Denied,
        OpenDalKind::RangeNotSatisfied => ErrorKind::Short,
        _ => ErrorKind::Failed,
    }
}
