//! The names in a directory, as GNU tar's incremental archives have them: `tar --incremental -x`
//! removes what is not among them.
//!
//! Layout: the GNU tar manual, "Dumpdir": for each name a code, the name and a NUL, in order of
//! bytes; then one more NUL.

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A directory.
    Directory,
    /// Anything else, with a member in this level.
    Here,
    /// Anything else, without one: it is as an earlier level has it.
    Earlier,
}

impl Held {
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
    /// One without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name, which comes after those before it and has no NUL.
    pub fn push(&mut self, held: Held, name: &[u8]) {
        self.bytes.push(held.code());
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
    }

    /// Says that these names, in their order, have no member in this level. Those that are not
    /// here, or directories, are passed over.
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
                if is_it && self.bytes[at] == Held::Here.code() {
                    self.bytes[at] = Held::Earlier.code();
                }
                at = end + 1;
            }
        }
    }

    /// The value of the record.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{DumpDir, Held};

    #[test]
    fn names_stand_in_order_with_their_codes() {
        let mut names = DumpDir::new();
        for (held, name) in [
            (Held::Here, "a"),
            (Held::Directory, "b"),
            (Held::Here, "c"),
            (Held::Here, "cc"),
            (Held::Earlier, "d"),
        ] {
            names.push(held, name.as_bytes());
        }
        names.are_earlier(["0", "b", "bb", "cc", "z"].into_iter().map(str::as_bytes));
        assert_eq!(names.finish(), b"Ya\0Db\0Yc\0Ncc\0Nd\0\0");
        assert_eq!(DumpDir::new().finish(), b"\0");
    }
}
