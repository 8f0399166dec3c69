//! The names in a directory, as in GNU tar's incremental archives. `tar --incremental -x` removes
//! every name that is not among them.
//!
//! Layout: the GNU tar manual, "Dumpdir": for each name, in byte order, a code, the name and a NUL;
//! then one more NUL.

/// The kind of a name in a directory, as the list of names tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpDirCode {
    /// A directory.
    Directory,
    /// Anything else, with a member in this level.
    Here,
    /// Anything else, without a member: it is unchanged since an earlier level.
    Earlier,
}

impl DumpDirCode {
    fn code(self) -> u8 {
        match self {
            Self::Directory => b'D',
            Self::Here => b'Y',
            Self::Earlier => b'N',
        }
    }
}

/// The names in one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpDir {
    bytes: Vec<u8>,
}

impl DumpDir {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name, which must come after all names so far and have no NUL.
    pub fn push(&mut self, code: DumpDirCode, name: &[u8]) {
        self.bytes.push(code.code());
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
    }

    /// Marks names, given in order, as having no member in this level. Skips names that are not in
    /// the list and those of directories.
    pub fn are_earlier<'name>(&mut self, names: impl Iterator<Item = &'name [u8]>) {
        let mut at = 0;
        for name in names {
            while let Some(length) = self
                .bytes
                .get(at..)
                .and_then(|rest| rest.iter().position(|byte| *byte == 0))
            {
                let end = at + length;
                let is_it = match self.bytes[at + 1..end].cmp(name) {
                    std::cmp::Ordering::Less => false,
                    std::cmp::Ordering::Equal => true,
                    std::cmp::Ordering::Greater => break,
                };
                if is_it && self.bytes[at] == DumpDirCode::Here.code() {
                    self.bytes[at] = DumpDirCode::Earlier.code();
                }
                at = end + 1;
            }
        }
    }

    /// Returns the value of the record.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{DumpDir, DumpDirCode};

    #[test]
    fn names_stand_in_order_with_their_codes() {
        let mut names = DumpDir::new();
        for (code, name) in [
            (DumpDirCode::Here, "a"),
            (DumpDirCode::Directory, "b"),
            (DumpDirCode::Here, "c"),
            (DumpDirCode::Here, "cc"),
            (DumpDirCode::Earlier, "d"),
        ] {
            names.push(code, name.as_bytes());
        }
        names.are_earlier(["0", "b", "bb", "cc", "z"].into_iter().map(str::as_bytes));
        assert_eq!(names.finish(), b"Ya\0Db\0Yc\0Ncc\0Nd\0\0");
        assert_eq!(DumpDir::new().finish(), b"\0");
    }
}
