//! Compresses and encrypts frames on several threads, and puts them into segments in the order of
//! the stream.

use super::BackupError;
use super::checkpoint::{CheckpointWriter, Mark};
use super::lane::LaneWriter;
use super::stream::RawFrame;
use super::uploads::Uploader;
use crate::catalog::names::{Folder, LevelOf};
use crate::format::frame::{Encoder, Sealer, StoredFrame};
use crate::format::segment::Packer;
use crate::index::{FrameRow, FrameTableWriter, RunRoot};
use crate::model::{FrameNo, StreamOffset};
use crate::store::ObjectName;
use crossbeam_channel::{Receiver, Sender};
use std::collections::BTreeMap;

/// Frames a thread takes at once when they wait already: their encryption shares the AES unit. No
/// more of them than are this long together, since all are held in memory.
const SEALED_TOGETHER: usize = 4;
const SEALED_TOGETHER_BYTES: usize = 2 << 20;

/// A frame as it is stored, and where it belongs.
#[derive(Debug)]
pub(super) struct SealedFrame {
    number: FrameNo,
    start: StreamOffset,
    stored: StoredFrame,
    mark: Option<Mark>,
}

/// Seals frames until there are no more. Run by each sealing thread.
pub(super) fn seal(
    frames: &Receiver<RawFrame>,
    sealed: &Sender<SealedFrame>,
    free: &Sender<Vec<u8>>,
    sealer: &Sealer,
    mut encoder: Encoder,
) -> Result<(), BackupError> {
    while let Ok(first) = frames.recv() {
        let mut batch = vec![first];
        let mut together = batch.iter().map(|frame| frame.bytes.len()).sum::<usize>();
        while batch.len() < SEALED_TOGETHER
            && together < SEALED_TOGETHER_BYTES
            && let Ok(next) = frames.try_recv()
        {
            together += next.bytes.len();
            batch.push(next);
        }
        let raw: Vec<(FrameNo, &[u8])> = batch
            .iter()
            .map(|frame| (frame.number, &frame.bytes[..]))
            .collect();
        let stored = sealer
            .seal_data(&mut encoder, &raw)
            .map_err(BackupError::Frame)?;
        for (
            RawFrame {
                number,
                start,
                bytes,
                mark,
            },
            stored,
        ) in batch.into_iter().zip(stored)
        {
            // A buffer that finds no place among the free ones is dropped.
            let _full = free.try_send(bytes);
            sealed
                .send(SealedFrame {
                    number,
                    start,
                    stored,
                    mark,
                })
                .map_err(|_| BackupError::Stopped)?;
        }
    }
    Ok(())
}

/// What the data lane came to.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) segments: u32,
    pub(super) frame_table: RunRoot,
    pub(super) frame_table_segments: u32,
    /// The newest checkpoint, if there is one.
    pub(super) checkpoint: Option<ObjectName>,
}

/// Puts sealed frames into segments and the frame table until there are no more.
pub(super) fn collect(
    sealed: &Receiver<SealedFrame>,
    of: &LevelOf,
    segment_bytes: u64,
    uploader: &Uploader,
    mut table_lane: LaneWriter<'_>,
    mut checkpoints: CheckpointWriter<'_>,
) -> Result<Collected, BackupError> {
    let mut packer = Packer::new(segment_bytes).of_pieces(uploader.pieces());
    let mut table = FrameTableWriter::new();
    // Frames that overtook another: at most as many as there are in the queues and hands of the
    // sealing threads.
    let mut early: BTreeMap<FrameNo, SealedFrame> = BTreeMap::new();
    let mut next = FrameNo(0);
    while let Ok(frame) = sealed.recv() {
        early.insert(frame.number, frame);
        while let Some(SealedFrame {
            number,
            start,
            stored,
            mark,
        }) = early.remove(&next)
        {
            next.0 += 1;
            let stored_length =
                u32::try_from(stored.bytes.len()).map_err(|_| BackupError::BlockTooLong)?;
            let (place, full) = packer.put(&stored.bytes).map_err(BackupError::Segments)?;
            if let Some(segment) = full {
                uploader.store(of.data_name(Folder::Segments, segment.number), segment.body)?;
            }
            let row = FrameRow {
                number,
                start,
                raw_length: stored.raw_length,
                segment: place.segment,
                offset: place.offset,
                stored_length,
                checksum: stored.checksum,
            };
            table
                .push(&row, &mut table_lane)
                .map_err(BackupError::Index)?;
            if let Some(mark) = mark {
                if let Some(segment) = packer.cut().map_err(BackupError::Segments)? {
                    uploader.store(of.data_name(Folder::Segments, segment.number), segment.body)?;
                }
                let frame_table = table.so_far(&mut table_lane).map_err(BackupError::Index)?;
                let (frame_table_segments, _) = table_lane.flush()?;
                let data = Collected {
                    segments: packer.closed(),
                    frame_table,
                    frame_table_segments,
                    checkpoint: None,
                };
                checkpoints.write(mark, row.end(), data, uploader)?;
            }
        }
    }
    let (last, segments) = packer.finish();
    if let Some(segment) = last {
        uploader.store(of.data_name(Folder::Segments, segment.number), segment.body)?;
    }
    let frame_table = table.finish(&mut table_lane).map_err(BackupError::Index)?;
    Ok(Collected {
        segments,
        frame_table,
        frame_table_segments: table_lane.finish()?,
        checkpoint: checkpoints.last(),
    })
}
