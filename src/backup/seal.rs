//! Compresses and encrypts frames, on several threads.

use super::checkpoint::Mark;
use super::error::BackupError;
use super::stream::RawFrame;
use crate::format::frame::{Encoder, Sealer, StoredFrame};
use crate::model::{FrameNo, StreamOffset};
use crossbeam_channel::{Receiver, Sender};

/// Most frames that a thread seals together if they are waiting: their encryption shares the AES
/// unit of the processor.
const SEALED_TOGETHER: usize = 4;

/// A thread adds no further frame once it has this many bytes: memory holds all of them.
const SEALED_TOGETHER_BYTES: usize = 2 << 20;

/// A frame as it is stored, and its place in the stream.
#[derive(Debug)]
pub(super) struct SealedFrame {
    pub(super) number: FrameNo,
    pub(super) start: StreamOffset,
    pub(super) stored: StoredFrame,
    pub(super) mark: Option<Mark>,
}

/// The channels that connect a sealing thread to its neighbours.
#[derive(Clone)]
pub(super) struct SealChannels {
    pub(super) frames: Receiver<RawFrame>,
    pub(super) sealed: Sender<SealedFrame>,
    /// Takes the buffers of sealed frames back to the stream.
    pub(super) free: Sender<Vec<u8>>,
}

/// Seals frames until there are no more. Each sealing thread runs this.
pub(super) fn seal(
    channels: &SealChannels,
    sealer: &Sealer,
    mut encoder: Encoder,
) -> Result<(), BackupError> {
    while let Ok(first) = channels.frames.recv() {
        let batch = batch_from(first, &channels.frames);
        let raw: Vec<(FrameNo, &[u8])> = batch
            .iter()
            .map(|frame| (frame.number, &frame.bytes[..]))
            .collect();
        let stored = sealer
            .seal_data(&mut encoder, &raw)
            .map_err(BackupError::Frame)?;
        for (frame, stored) in batch.into_iter().zip(stored) {
            // The buffer is dropped if enough free ones are waiting.
            let _full = channels.free.try_send(frame.bytes);
            let sealed = SealedFrame {
                number: frame.number,
                start: frame.start,
                stored,
                mark: frame.mark,
            };
            channels
                .sealed
                .send(sealed)
                .map_err(|_| BackupError::Stopped)?;
        }
    }
    Ok(())
}

/// Returns `first` and the frames that wait behind it, within the limits above.
fn batch_from(first: RawFrame, frames: &Receiver<RawFrame>) -> Vec<RawFrame> {
    let mut bytes = first.bytes.len();
    let mut batch = vec![first];
    while batch.len() < SEALED_TOGETHER
        && bytes < SEALED_TOGETHER_BYTES
        && let Ok(next) = frames.try_recv()
    {
        bytes += next.bytes.len();
        batch.push(next);
    }
    batch
}
