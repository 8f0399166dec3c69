//! Which store people mean: the text after `--store`.

use super::local::Local;
use super::{Error, Store, percent};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place where a store is or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
}

/// What to do when there is nothing at the place yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Refuse: for reading.
    Refuse,
    /// Make the place: for the first backup.
    Create,
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A kind of store that this program cannot open.
    #[error("{0}: is not supported by this build yet: use a path or file:///PATH")]
    Unsupported(String),
    /// A `file:` URL that is none.
    #[error("{text:?} is not a store: {why}")]
    Malformed {
        /// The text.
        text: String,
        /// Which rule it breaks.
        why: &'static str,
    },
}

/// Schemes that are taken for one even without `//` after them.
const KNOWN_SCHEMES: [&str; 16] =
    ["file", "swift", "s3", "sftp", "ssh", "ftp", "ftps", "http", "https", "webdav", "gs", "azure", "b2", "rclone", "rest", "rsync"];

impl Location {
    /// Reads a path as it is, or a `file:` URL (`file:///srv/a%20b`).
    ///
    /// A path that would read as a URL can be written with `./` before it. The path need not exist, and may be relative.
    pub fn parse(text: &OsStr) -> Result<Self, LocationError> {
        let malformed = |why| LocationError::Malformed { text: text.to_string_lossy().into_owned(), why };
        if text.is_empty() {
            return Err(malformed("it is empty"));
        }
        match text.to_str().and_then(scheme) {
            None => Ok(Self::Folder(PathBuf::from(text))),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => folder_of_url(rest).map(Self::Folder).map_err(malformed),
            Some((scheme, _)) => Err(LocationError::Unsupported(scheme.to_ascii_lowercase())),
        }
    }

    /// Opens the store.
    pub fn open(&self, if_missing: IfMissing) -> Result<Arc<dyn Store>, Error> {
        match (self, if_missing) {
            (Self::Folder(path), IfMissing::Refuse) => Ok(Arc::new(Local::open(path)?)),
            (Self::Folder(path), IfMissing::Create) => Ok(Arc::new(Local::create(path)?)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The `file:` URL of an absolute path.
pub(super) fn file_url(path: &Path) -> String {
    let keep = |_, byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let path = percent::encode(path.as_os_str().as_encoded_bytes(), keep);
    if path.starts_with('/') { format!("file://{path}") } else { format!("file:///{}", path.replace("%5C", "/")) }
}

/// Splits a scheme off, if the text has one. A single letter is a Windows drive.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let legal = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let meant = rest.starts_with("//") || KNOWN_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
    (legal && meant).then_some((scheme, rest))
}

fn folder_of_url(rest: &str) -> Result<PathBuf, &'static str> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, _) = rest.split_once('/').ok_or("a file URL has three slashes: file:///PATH")?;
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err("a file URL names no other host: file:///PATH");
            }
            rest.get(host.len()..).unwrap_or_default()
        }
    };
    if !path.starts_with('/') {
        return Err("a file URL holds an absolute path: file:///PATH");
    }
    if path.contains(['?', '#']) {
        return Err("? and # are written %3F and %23 in a URL");
    }
    let bytes = percent::decode(path).ok_or("% stands before two hexadecimal digits in a URL; % itself is %25")?;
    if bytes.contains(&0) {
        return Err("a path holds no NUL");
    }
    path_of_bytes(bytes).ok_or("its path is not valid here")
}

#[cfg(unix)]
use unix::path_of_bytes;
#[cfg(windows)]
use windows::path_of_bytes;

#[cfg(unix)]
mod unix {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    pub fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
        Some(OsString::from_vec(bytes).into())
    }
}

#[cfg(windows)]
mod windows {
    use std::path::PathBuf;

    /// `/C:/folder` is `C:/folder`.
    pub fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
        let path = String::from_utf8(bytes).ok()?;
        Some(path.strip_prefix('/').filter(|path| path.as_bytes().get(1) == Some(&b':')).unwrap_or(&path).into())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{IfMissing, Location, LocationError, file_url};
    use crate::store::Kind;
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::PathBuf;

    fn folder(text: &str) -> PathBuf {
        let Location::Folder(path) = Location::parse(text.as_ref()).unwrap_or_else(|error| panic!("{text}: {error}"));
        path
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        for path in ["/srv/backups", "backups", "./swift:x", "a%20b", "a:b", "C:\\b", "/a?b#c"] {
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
        assert_eq!(folder("file:///%FF"), PathBuf::from(OsStr::from_bytes(b"/\xff")));
    }

    #[test]
    fn what_this_build_cannot_open_is_refused_by_name() {
        for (text, scheme) in [("swift:backups", "swift"), ("S3://bucket/x", "s3"), ("new+kind://x", "new+kind")] {
            assert_eq!(Location::parse(text.as_ref()), Err(LocationError::Unsupported(scheme.to_owned())));
        }
        let error = Location::parse("swift:backups".as_ref()).expect_err("refused").to_string();
        assert!(error.starts_with("swift: is not supported by this build yet"), "{error}");
    }

    #[test]
    fn a_broken_file_url_is_refused() {
        for text in ["", "file:", "file:srv", "file://srv", "file://host/srv", "file:///a%zz", "file:///a?b", "file:///a#b", "file:///%00"]
        {
            assert!(matches!(Location::parse(text.as_ref()), Err(LocationError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn a_store_that_is_not_there_is_refused_or_made_as_asked_and_tells_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::Folder(folder.path().join("a b"));
        assert_eq!(location.open(IfMissing::Refuse).err().map(|error| error.kind()), Some(Kind::Missing));
        let store = location.open(IfMissing::Create).expect("made");
        assert_eq!(Location::parse(store.location().as_ref()), Ok(location.clone()));
        location.open(IfMissing::Refuse).expect("there");
    }

    proptest::proptest! {
        #[test]
        fn the_url_of_any_path_leads_back_to_it(bytes in proptest::collection::vec(1_u8.., 0..40)) {
            let path = PathBuf::from(OsString::from_vec([b"/", &bytes[..]].concat()));
            proptest::prop_assert_eq!(folder(&file_url(&path)), path);
        }
    }
}
