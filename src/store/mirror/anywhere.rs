//! A read from one place of several.

use super::everywhere::spawn;
use super::place::{MirrorPlace, TooSlow};
use crate::store::wanted::Unread;
use crate::store::{Error, Kind, ObjectName, Verb, Wanted};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What the thread that reads says.
enum Message {
    Piece(Vec<u8>),
    Ended(Result<(), Error>),
}

/// What is to be read, for a thread that may outlive the call.
struct Errand {
    object: ObjectName,
    limit: Option<u64>,
    offset: u64,
    lengths: Vec<usize>,
}

impl Errand {
    fn new(object: &ObjectName, wanted: Wanted<'_>) -> Self {
        let (limit, offset, lengths) = match wanted {
            Wanted::Whole { limit } => (Some(limit), 0, Vec::new()),
            Wanted::Pieces { offset, lengths } => (None, offset, lengths.to_vec()),
        };
        Self {
            object: object.clone(),
            limit,
            offset,
            lengths,
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        match self.limit {
            Some(limit) => Wanted::Whole { limit },
            None => Wanted::Pieces {
                offset: self.offset,
                lengths: &self.lengths,
            },
        }
    }
}

/// Reads from one place what is left of a read, and waits at most `patience` for each piece.
pub(super) fn read_from(
    place: &MirrorPlace,
    object: &ObjectName,
    unread: &mut Unread<'_>,
    patience: Option<Duration>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), Error> {
    let error = |kind| Error::new(kind, Verb::Get, object);
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
    spawn(work).map_err(|why| error(Kind::Failed).because(why))?;
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
                return Err(error(Kind::Unavailable).because(TooSlow::StandsStill(waited)));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(error(Kind::Failed).because("its thread ended"));
            }
        }
    }
}

/// Says how the read ended, if anybody still listens.
fn end(tell: &SyncSender<Message>, outcome: Result<(), Error>) {
    drop(tell.send(Message::Ended(outcome)));
}
