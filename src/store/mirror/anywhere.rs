//! A read from one place of several.

use super::everywhere::spawn;
use super::place::{MirrorPlace, TooSlow};
use crate::store::selection::LeftToRead;
use crate::store::{Error, ErrorKind, ObjectName, Operation, Selection};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// A message from the thread that reads.
enum Message {
    Piece(Vec<u8>),
    Ended(Result<(), Error>),
}

/// A read, owned by a thread that may outlive the call.
struct Errand {
    object: ObjectName,
    limit: Option<u64>,
    offset: u64,
    lengths: Vec<usize>,
}

impl Errand {
    fn new(object: &ObjectName, wanted: Selection<'_>) -> Self {
        let (limit, offset, lengths) = match wanted {
            Selection::Whole { limit } => (Some(limit), 0, Vec::new()),
            Selection::Pieces { offset, lengths } => (None, offset, lengths.to_vec()),
        };
        Self {
            object: object.clone(),
            limit,
            offset,
            lengths,
        }
    }

    fn wanted(&self) -> Selection<'_> {
        match self.limit {
            Some(limit) => Selection::Whole { limit },
            None => Selection::Pieces {
                offset: self.offset,
                lengths: &self.lengths,
            },
        }
    }
}

/// Reads the rest of a selection from one place, and waits at most `patience` for each piece.
pub(super) fn read_from(
    place: &MirrorPlace,
    object: &ObjectName,
    unread: &mut LeftToRead<'_>,
    patience: Option<Duration>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), Error> {
    let error = |kind| Error::new(kind, Operation::Get, object);
    // One piece waits, so a reader that is slow does not fill the memory.
    let (tell, told) = sync_channel(1);
    let (errand, store) = (
        Errand::new(object, unread.wanted()),
        Arc::clone(&place.store),
    );
    let work = move || {
        let outcome = store.read(&errand.object, errand.wanted(), &mut |piece| {
            tell.send(Message::Piece(piece)).is_ok()
        });
        end(&tell, outcome);
    };
    spawn(work).map_err(|why| error(ErrorKind::Failed).because(why))?;
    loop {
        let message = match patience {
            Some(patience) => told.recv_timeout(patience),
            None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(Message::Piece(piece)) => {
                unread.hand_over(piece, take);
                if unread.is_over() {
                    return Ok(());
                }
            }
            Ok(Message::Ended(outcome)) => return outcome,
            Err(RecvTimeoutError::Timeout) => {
                let waited = patience.unwrap_or_default();
                return Err(error(ErrorKind::Unavailable).because(TooSlow::StandsStill(waited)));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(error(ErrorKind::Failed).because("its thread ended"));
            }
        }
    }
}

/// Says how the read ended, if anybody still listens.
fn end(tell: &SyncSender<Message>, outcome: Result<(), Error>) {
    drop(tell.send(Message::Ended(outcome)));
}
