//! Reading a file with many requests at once.

use super::connection::{Awaited, SessionCall};
use super::trouble::SftpTrouble;
use super::wire::{self, Request, SftpAnswer};
use crate::store::selection::length_of;
use crate::store::{Error, ErrorKind, ObjectName, Operation, Selection};
use std::collections::VecDeque;

/// How many bytes one request reads or writes. Every server takes this many.
pub(super) const CHUNK: usize = 32 << 10;

/// How many requests of one call are under way at once.
pub(super) const WINDOW: usize = 64;

/// An answer that is shorter, and than was asked for, is a crumb.
const CRUMB: usize = 512;

/// How many crumbs one read may get. Each costs the requests that were under way behind it.
const MOST_CRUMBS: u32 = 1000;

/// Reads a selection of an open file of `size` bytes and hands its pieces over.
pub(super) fn read_file(
    session: &SessionCall,
    handle: &[u8],
    name: &ObjectName,
    size: u64,
    wanted: Selection<'_>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), Error> {
    let error = |kind| Error::new(kind, Operation::Get, name);
    let whole = [usize::try_from(size).unwrap_or(usize::MAX)];
    let (offset, lengths) = match wanted {
        Selection::Whole { limit } if size > limit => return Err(error(ErrorKind::TooLarge)),
        Selection::Whole { .. } => (0, whole.as_slice()),
        Selection::Pieces { offset, lengths } => (offset, lengths),
    };
    let length = length_of(name, offset, lengths)?;
    if offset + length as u64 > size {
        return Err(error(ErrorKind::Short));
    }
    let mut stream = FileStream {
        session,
        handle,
        offset,
        length,
        asked: 0,
        come: 0,
        under_way: VecDeque::with_capacity(WINDOW),
        rest: Vec::new(),
        crumbs: 0,
    };
    for length in lengths {
        let piece = stream
            .piece(*length)
            .map_err(|trouble| trouble.of(Operation::Get, Some(name)))?
            .ok_or_else(|| error(ErrorKind::Short))?;
        if !take(piece) {
            break;
        }
    }
    Ok(())
}

/// A part of a file, as it comes.
struct FileStream<'call> {
    session: &'call SessionCall,
    handle: &'call [u8],
    /// The offset of the part in the file.
    offset: u64,
    /// The length of the part.
    length: usize,
    /// How many of its bytes were requested.
    asked: usize,
    /// How many of its bytes have come.
    come: usize,
    /// The requests in the order of the file, each with the bytes that it asks for.
    under_way: VecDeque<(usize, Awaited)>,
    /// The bytes that have come and belong to the next piece.
    rest: Vec<u8>,
    /// How many answers brought next to nothing.
    crumbs: u32,
}

impl FileStream<'_> {
    /// Returns the next bytes; `None` when the file ends before them.
    fn piece(&mut self, length: usize) -> Result<Option<Vec<u8>>, SftpTrouble> {
        let mut piece = std::mem::take(&mut self.rest);
        piece.reserve_exact(length.saturating_sub(piece.len()));
        while piece.len() < length {
            match self.next()? {
                Some(data) => piece.extend(data),
                None => return Ok(None),
            }
        }
        self.rest = piece.split_off(length);
        Ok(Some(piece))
    }

    /// Returns the bytes that come next; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Vec<u8>>, SftpTrouble> {
        self.ask()?;
        let Some((count, awaited)) = self.under_way.pop_front() else {
            return Err(SftpTrouble::Odd);
        };
        match awaited.wait()? {
            SftpAnswer::Data(data) if data.len() <= count && !data.is_empty() => {
                self.come += data.len();
                if data.len() < count {
                    self.crumbs += u32::from(data.len() < CRUMB);
                    if self.crumbs > MOST_CRUMBS {
                        return Err(SftpTrouble::Crumbs);
                    }
                    // The later requests are at wrong offsets now: ask again from here.
                    self.under_way.clear();
                    self.asked = self.come;
                }
                Ok(Some(data))
            }
            SftpAnswer::Status {
                code: wire::END, ..
            } => Ok(None),
            SftpAnswer::Status { code, words } => Err(SftpTrouble::Status { code, words }),
            _ => Err(SftpTrouble::Odd),
        }
    }

    /// Sends as many requests as may be under way.
    fn ask(&mut self) -> Result<(), SftpTrouble> {
        while self.under_way.len() < WINDOW && self.asked < self.length {
            let count = CHUNK.min(self.length - self.asked);
            let request = Request::Read {
                handle: self.handle,
                offset: self.offset + self.asked as u64,
                length: u32::try_from(count).unwrap_or(u32::MAX),
            };
            self.under_way
                .push_back((count, self.session.ask(request)?));
            self.asked += count;
        }
        Ok(())
    }
}
