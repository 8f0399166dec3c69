//! File names and paths: any bytes that a Linux file system allows.

use super::printable;
use std::fmt;

/// One path component: any bytes except `/` and NUL; never empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Makes a name, or returns `None` if the bytes break the rule.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        Self::is_legal(&bytes).then_some(Self(bytes))
    }

    /// Returns whether bytes keep the rule of a name, without making one.
    pub fn is_legal(bytes: &[u8]) -> bool {
        !bytes.is_empty()
            && bytes != b"."
            && bytes != b".."
            && !bytes.iter().any(|byte| matches!(byte, 0 | b'/'))
    }

    /// Returns the bytes as the file system has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A path inside a backed-up tree: [`Name`]s joined by `/`, without a leading slash. The root is
/// the empty path.
///
/// `Ord` compares the joined bytes and is good for maps only. The order of a backup, directory by
/// directory, is that of the keys of the index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// Returns the root of the tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path as people and programs write it. Drops leading, doubled and trailing slashes,
    /// and `.`. Returns `None` if the path has `..` or a NUL.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut path = Self(Vec::with_capacity(bytes.len()));
        for part in bytes
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
        {
            if !Name::is_legal(part) {
                return None;
            }
            path.push_bytes(part);
        }
        Some(path)
    }

    /// Appends a component.
    pub fn push(&mut self, name: &Name) {
        self.push_bytes(name.as_bytes());
    }

    fn push_bytes(&mut self, name: &[u8]) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    /// Returns this path with one more component.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let mut path = Self(Vec::with_capacity(self.0.len() + 1 + name.as_bytes().len()));
        path.0.extend_from_slice(&self.0);
        path.push(name);
        path
    }

    /// Returns the directory of this path; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0.get(..end).unwrap_or_default().to_vec()))
    }

    /// Returns the last component; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        self.0
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// Lists the components, the outermost first.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
    }

    /// Returns whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self
                .0
                .strip_prefix(ancestor.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
    }

    /// Returns the joined bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, TreePath};

    #[test]
    fn a_name_that_could_leave_its_directory_is_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0b"] {
            assert!(Name::new(bad).is_none(), "{bad:?}");
        }
        assert!(Name::new(&b"..."[..]).is_some());
        assert!(Name::new(&b"\xff\n"[..]).is_some());
    }

    #[test]
    fn a_path_is_read_as_people_write_it() {
        let path = TreePath::parse(b"/usr//lib/./x/").expect("a legal path");
        assert_eq!(path.as_bytes(), b"usr/lib/x");
        assert_eq!(path.parent().expect("not the root").as_bytes(), b"usr/lib");
        assert_eq!(path.file_name(), b"x");
        assert_eq!(
            TreePath::parse(b"a").expect("legal").parent(),
            Some(TreePath::root())
        );
        assert!(TreePath::parse(b"a/../b").is_none());
        assert!(path.starts_with(&TreePath::parse(b"usr/lib").expect("legal")));
        assert!(!path.starts_with(&TreePath::parse(b"usr/li").expect("legal")));
    }

    #[test]
    fn shown_names_cannot_disturb_a_terminal() {
        let name = Name::new(&b"a\x1b[2J\xff\xc3\xa9\n"[..]).expect("legal");
        assert_eq!(name.to_string(), "a\\u{1b}[2J\\xff\u{e9}\\n");
    }
}
