//! The first bytes of an entry: its version, kind and flags.

use super::{EXTENTS, OLDEST_VERSION, SIGNATURES, VERSION, WHOLE, known_flags};
use crate::index::bytes::Reader;
use crate::index::error::Flaw;
use crate::model::Kind;

/// The kind and the flags of an entry. They decide which fields it has.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    flags: u8,
}

impl Shape {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let version = reader.u8()?;
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            let what =
                format!("this version of freezer does not know entries of version {version}");
            return Err(what.into());
        }
        let kind = kind_of(reader.u8()?)?;
        let flags = reader.u8()?;
        let unknown = flags & !known_flags(version);
        if unknown != 0 {
            let what = format!("this version of freezer does not know the flags {unknown:#04x}");
            return Err(what.into());
        }
        let shape = Self { kind, flags };
        let has_content = shape.has(WHOLE) || shape.has(EXTENTS) || shape.has(SIGNATURES);
        if (shape.has(WHOLE) && shape.has(EXTENTS)) || (kind != Kind::File && has_content) {
            return Err(format!("its flags {flags:#04x} contradict each other or its kind").into());
        }
        Ok(shape)
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Calls `take` if the entry has the field that `flag` stands for.
    pub(super) fn field<T>(
        self,
        flag: u8,
        take: impl FnOnce() -> Result<T, Flaw>,
    ) -> Result<Option<T>, Flaw> {
        self.has(flag).then(take).transpose()
    }
}

fn kind_of(number: u8) -> Result<Kind, Flaw> {
    Ok(match number {
        0 => Kind::File,
        1 => Kind::Directory,
        2 => Kind::Symlink,
        3 => Kind::CharDevice,
        4 => Kind::BlockDevice,
        5 => Kind::Fifo,
        _ => return Err(format!("this version of freezer does not know kind {number}").into()),
    })
}
