//! The store that people name: the text after `--store`.

pub use super::address::IfMissing;

use super::address::Address;
use super::file_url::{file_url, folder_of_url};
use super::in_order::InOrder;
use super::limit::Limit;
use super::local::Local;
use super::retry::{Persistence, Retry};
use super::s3::S3;
use super::sftp::Sftp;
use super::swift::Swift;
use super::{Error, Operation, Store, StoreSettings};
use super::{opendal, s3, sftp, swift};
use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A place where a store is or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// Somewhere else.
    Remote(Remote),
}

/// A place that is reached over a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    kind: &'static RemoteKind,
    address: Address,
}

/// A kind of store in a network. A new one is a file beside this one, and an entry in [`KINDS`].
struct RemoteKind {
    scheme: &'static str,
    /// The beginning of its URLs, as people write it.
    form: &'static str,
    /// The keys that may come after `?` in its URLs.
    keys: &'static [&'static str],
    /// The meaning of the path of its URLs.
    path: PathIs,
    open: Open,
}

type Open = fn(&Address, &StoreSettings, IfMissing) -> Result<Box<dyn Store>, Error>;

/// The meaning of the path of a URL.
#[derive(PartialEq, Eq)]
enum PathIs {
    /// The names of its objects begin with it.
    Prefix,
    /// It is the folder of the objects.
    Folder,
}

/// Every kind of store in a network that this build can open.
static KINDS: &[RemoteKind] = &[
    #[cfg(feature = "azblob")]
    RemoteKind {
        scheme: "azblob",
        form: "azblob://",
        keys: &opendal::AZBLOB_KEYS,
        path: PathIs::Prefix,
        open: |at, with, how| Ok(Box::new(opendal::azblob(at, with, how)?)),
    },
    #[cfg(feature = "gcs")]
    RemoteKind {
        scheme: "gcs",
        form: "gcs://",
        keys: &opendal::GCS_KEYS,
        path: PathIs::Prefix,
        open: |at, with, how| Ok(Box::new(opendal::gcs(at, with, how)?)),
    },
    RemoteKind {
        scheme: "s3",
        form: "s3://",
        keys: &s3::KEYS,
        path: PathIs::Prefix,
        open: |at, with, how| Ok(Box::new(S3::open(at, with, how)?)),
    },
    RemoteKind {
        scheme: "sftp",
        form: "sftp://",
        keys: &sftp::KEYS,
        path: PathIs::Folder,
        open: |at, with, how| Ok(Box::new(Sftp::open(at, with, how)?)),
    },
    RemoteKind {
        scheme: "swift",
        form: "swift:",
        keys: &swift::KEYS,
        path: PathIs::Prefix,
        open: |at, with, how| Ok(Box::new(Swift::open(at, with, how)?)),
    },
    RemoteKind {
        scheme: "webdav",
        form: "webdav://",
        keys: &opendal::WEBDAV_KEYS,
        path: PathIs::Prefix,
        open: |at, with, how| Ok(Box::new(opendal::webdav(at, with, how)?)),
    },
];

impl PartialEq for RemoteKind {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme
    }
}

impl Eq for RemoteKind {}

impl fmt::Debug for RemoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme)
    }
}

/// A text does not name a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A kind of store that this program cannot open.
    #[error(
        "freezer cannot open {scheme}:// stores; it opens paths, {openable}{feature}",
        scheme = .0,
        openable = openable(),
        feature = feature(.0)
    )]
    Unsupported(String),
    /// A URL that breaks a rule.
    #[error("{text:?} is not a store: {why}")]
    Malformed {
        /// The text.
        text: String,
        /// The rule that it breaks.
        why: String,
    },
}

/// Lists the URLs that this build opens, as people write them.
fn openable() -> String {
    let kinds = KINDS.iter().map(|kind| kind.form);
    let mut forms: Vec<&str> = std::iter::once("file://").chain(kinds).collect();
    forms.sort_unstable();
    let last = forms.pop().unwrap_or_default();
    format!("{} and {last}", forms.join(", "))
}

/// Says what opens a kind that this build leaves out.
fn feature(scheme: &str) -> String {
    match scheme {
        "azblob" | "gcs" => format!("; a build with the feature {scheme} opens {scheme}://"),
        _ => String::new(),
    }
}

/// Schemes that are recognised even without `//` after them.
const KNOWN_SCHEMES: [&str; 18] = [
    "azblob", "file", "gcs", "swift", "s3", "sftp", "ssh", "ftp", "ftps", "http", "https",
    "webdav", "gs", "azure", "b2", "rclone", "rest", "rsync",
];

impl Location {
    /// Reads a path as it is, a `file:` URL (`file:///srv/a%20b`), or the URL of a store in a
    /// network.
    ///
    /// A path that would read as a URL can be written with `./` before it. The path need not exist,
    /// and may be relative.
    pub fn parse(text: &OsStr) -> Result<Self, LocationError> {
        let malformed = |why: String| LocationError::Malformed {
            text: without_secrets(&text.to_string_lossy()),
            why,
        };
        if text.is_empty() {
            return Err(malformed("it is empty".to_owned()));
        }
        match text.to_str().and_then(scheme) {
            None => Ok(Self::Folder(PathBuf::from(text))),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => folder_of_url(rest)
                .map(Self::Folder)
                .map_err(|why| malformed(why.to_owned())),
            Some((scheme, rest)) => {
                let kind = KINDS
                    .iter()
                    .find(|kind| kind.scheme.eq_ignore_ascii_case(scheme));
                let kind =
                    kind.ok_or_else(|| LocationError::Unsupported(scheme.to_ascii_lowercase()))?;
                let address = Address::parse(kind.scheme, rest, kind.keys).map_err(malformed)?;
                if kind.path == PathIs::Prefix {
                    address.prefix().map_err(|why| malformed(why.to_owned()))?;
                }
                Ok(Self::Remote(Remote { kind, address }))
            }
        }
    }

    /// Opens the store. One in a network tries again after failures that can pass, and keeps to the
    /// bandwidth that is set.
    pub fn open(
        &self,
        if_missing: IfMissing,
        settings: &StoreSettings,
    ) -> Result<Arc<dyn Store>, Error> {
        match (self, if_missing) {
            (Self::Folder(path), IfMissing::Refuse) => Ok(Arc::new(Local::open(path)?)),
            (Self::Folder(path), IfMissing::Create) => Ok(Arc::new(Local::create(path)?)),
            (Self::Remote(Remote { kind, address }), _) => {
                let persistence = Persistence::new(settings.retry_for(), settings.cancel().clone());
                let open = || (kind.open)(address, settings, if_missing);
                let store =
                    persistence.attempt(|| self.to_string(), Operation::Open, None, open)?;
                let store = Limit::new(
                    InOrder::new(store),
                    settings.upload_limit(),
                    settings.download_limit(),
                    settings.cancel().clone(),
                );
                Ok(Arc::new(Retry::with_persistence(store, persistence)))
            }
        }
    }
}

/// Returns a URL that is refused without what may be a secret in it: the password of its user, and
/// the values after `?`.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once(':') else {
        return url.to_owned();
    };
    let slashes = if rest.starts_with("//") { "//" } else { "" };
    let rest = rest.strip_prefix(slashes).unwrap_or(rest);
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let named = authority
        .rsplit_once('@')
        .and_then(|(user, host)| Some((user.split_once(':')?.0, host)));
    let rest = match named {
        Some((user, host)) => format!("{user}:***@{host}{path}"),
        None => rest.to_owned(),
    };
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((key, "")) => format!("{key}="),
        Some((key, _)) => format!("{key}=***"),
        None => "***".to_owned(),
    };
    let query = query.map(|query| {
        let pairs: Vec<String> = query.split('&').map(hidden).collect();
        format!("?{}", pairs.join("&"))
    });
    format!("{scheme}:{slashes}{rest}{}", query.unwrap_or_default())
}

impl Location {
    /// Returns the place as [`Store::location`] of a store there says it. A folder is named by its
    /// absolute path, so that the place is the same from every working directory.
    ///
    /// # Errors
    ///
    /// When the working directory cannot be found out.
    pub fn place(&self) -> std::io::Result<String> {
        Ok(match self {
            Self::Folder(path) => file_url(&std::path::absolute(path)?),
            Self::Remote(_) => self.to_string(),
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Remote(remote) => remote.address.fmt(f),
        }
    }
}

/// Splits the scheme off, if the text has one. A single letter is a drive of Windows.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let legal = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let meant = rest.starts_with("//")
        || KNOWN_SCHEMES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme));
    (legal && meant).then_some((scheme, rest))
}

#[cfg(all(test, unix))]
mod tests {
    use super::{IfMissing, Location, LocationError, without_secrets};
    use crate::store::file_url::file_url;
    use crate::store::{ErrorKind, StoreSettings};
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::PathBuf;

    fn folder(text: &str) -> PathBuf {
        match Location::parse(text.as_ref()) {
            Ok(Location::Folder(path)) => path,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        for path in [
            "/srv/backups",
            "backups",
            "./swift:x",
            "a%20b",
            "a:b",
            "C:\\b",
            "/a?b#c",
        ] {
            assert_eq!(folder(path), PathBuf::from(path));
        }
        let bytes = OsStr::from_bytes(b"/srv/\xff");
        assert_eq!(Location::parse(bytes), Ok(Location::Folder(bytes.into())));
    }

    #[test]
    fn a_file_url_is_decoded() {
        assert_eq!(folder("file:///srv/a%20b%25"), PathBuf::from("/srv/a b%"));
        assert_eq!(folder("FILE://localhost/srv"), PathBuf::from("/srv"));
        assert_eq!(folder("file:/srv"), PathBuf::from("/srv"));
        assert_eq!(
            folder("file:///%FF"),
            PathBuf::from(OsStr::from_bytes(b"/\xff"))
        );
    }

    #[test]
    fn what_this_build_cannot_open_is_refused_by_name() {
        for (text, scheme) in [
            ("rclone:backups", "rclone"),
            ("FTP://host/x", "ftp"),
            ("new+kind://x", "new+kind"),
        ] {
            assert_eq!(
                Location::parse(text.as_ref()),
                Err(LocationError::Unsupported(scheme.to_owned()))
            );
        }
    }

    #[test]
    fn a_refusal_names_what_can_be_opened() {
        let text = LocationError::Unsupported("ftp".to_owned()).to_string();
        let begin = "freezer cannot open ftp:// stores; it opens paths, ";
        assert!(text.starts_with(begin), "{text}");
        for form in ["file://", "s3://", "sftp://", "swift:", " and webdav://"] {
            assert!(text.contains(form), "{form}: {text}");
        }
        assert!(text.ends_with("webdav://"), "{text}");
    }

    #[test]
    fn a_store_in_a_network_is_shown_as_it_can_be_written() {
        for (text, shown) in [
            ("S3://bucket/x/?region=r", "s3://bucket/x?region=r"),
            (
                "sftp://me@host:2222/srv/b?key=/home/me/.ssh/id",
                "sftp://me@host:2222/srv/b?key=/home/me/.ssh/id",
            ),
            ("sftp://host/~/b", "sftp://host/~/b"),
            ("swift:backups", "swift://backups"),
            ("swift://a%20b/c/d", "swift://a%20b/c/d"),
        ] {
            let location =
                Location::parse(text.as_ref()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(location.to_string(), shown);
            assert_eq!(Location::parse(shown.as_ref()), Ok(location));
        }
        for text in [
            "s3:",
            "s3://bucket/a/../b",
            "s3://bucket?colour=red",
            "swift:c/a:b",
        ] {
            assert!(
                matches!(
                    Location::parse(text.as_ref()),
                    Err(LocationError::Malformed { .. })
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let error = Location::parse("s3://me:hunter2@bucket/x".as_ref())
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("s3://me:***@bucket/x") && !error.contains("hunter2"),
            "{error}"
        );
        for (url, shown) in [
            ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
            ("s3:AK:hunter2@bucket/p", "s3:AK:***@bucket/p"),
            (
                "swift:x?password=hunter2&cloud=",
                "swift:x?password=***&cloud=",
            ),
            ("s3://b?hunter2", "s3://b?***"),
            ("/a path/b:c", "/a path/b:c"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn a_broken_file_url_is_refused() {
        for text in [
            "",
            "file:",
            "file:srv",
            "file://srv",
            "file://host/srv",
            "file:///a%zz",
            "file:///a?b",
            "file:///a#b",
            "file:///%00",
        ] {
            assert!(
                matches!(
                    Location::parse(text.as_ref()),
                    Err(LocationError::Malformed { .. })
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn a_store_that_is_not_there_is_refused_or_made_as_asked_and_tells_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::Folder(folder.path().join("a b"));
        assert_eq!(
            location
                .open(IfMissing::Refuse, &StoreSettings::default())
                .err()
                .map(|error| error.kind()),
            Some(ErrorKind::Missing)
        );
        let store = location
            .open(IfMissing::Create, &StoreSettings::default())
            .expect("made");
        assert_eq!(
            Location::parse(store.location().as_ref()),
            Ok(location.clone())
        );
        location
            .open(IfMissing::Refuse, &StoreSettings::default())
            .expect("there");
    }

    proptest::proptest! {
        #[test]
        fn the_url_of_any_path_leads_back_to_it(bytes in proptest::collection::vec(1_u8.., 0..40)) {
            let path = PathBuf::from(OsString::from_vec([b"/", &bytes[..]].concat()));
            proptest::prop_assert_eq!(folder(&file_url(&path)), path);
        }
    }
}
