//! Packs the frames of one lane into segments and hands those to the upload threads.

use super::error::BackupError;
use super::uploads::{Receipt, Uploader};
use crate::catalog::names::{Folder, LevelOf};
use crate::format::segment::{Packer, Place, Segment};

/// Writes the segments of one lane of a level.
pub(super) struct SegmentWriter<'run> {
    level: &'run LevelOf,
    folder: Folder,
    packer: Packer,
    uploader: Uploader,
}

impl<'run> SegmentWriter<'run> {
    /// Starts a lane. A segment is cut at `limit_bytes`, unless a single frame is longer.
    pub(super) fn new(
        level: &'run LevelOf,
        folder: Folder,
        limit_bytes: u64,
        uploader: Uploader,
    ) -> Self {
        Self {
            level,
            folder,
            packer: Packer::new(limit_bytes).of_pieces(uploader.pieces()),
            uploader,
        }
    }

    /// Appends a frame as it is stored, and returns its place.
    pub(super) fn put(&mut self, frame: &[u8]) -> Result<Place, BackupError> {
        let (place, full) = self.packer.put(frame).map_err(BackupError::Segments)?;
        self.upload(full)?;
        Ok(place)
    }

    /// Closes the current segment and hands it over, whatever its length. Returns how many segments
    /// the lane has.
    pub(super) fn cut(&mut self) -> Result<u32, BackupError> {
        let segment = self.packer.cut().map_err(BackupError::Segments)?;
        self.upload(segment)?;
        Ok(self.packer.closed())
    }

    /// Returns a receipt for everything that this lane, and others with the same uploader, have
    /// handed over.
    pub(super) fn receipt(&self) -> Receipt {
        self.uploader.receipt()
    }

    /// Hands the last segment over, and returns how many segments the lane has.
    pub(super) fn finish(mut self) -> Result<u32, BackupError> {
        let packer = std::mem::replace(&mut self.packer, Packer::new(0));
        let (last, count) = packer.finish();
        self.upload(last)?;
        Ok(count)
    }

    fn upload(&self, segment: Option<Segment>) -> Result<(), BackupError> {
        segment.map_or(Ok(()), |segment| {
            let name = self.level.data_name(self.folder, segment.number);
            self.uploader.store(name, segment.body)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SegmentWriter;
    use crate::backup::uploads::Uploads;
    use crate::catalog::names::{Folder, LevelOf};
    use crate::model::{BackupName, LevelId};
    use crate::store::StoreExt;
    use crate::store::memory::MemoryStore;

    #[test]
    fn segments_hold_all_frames_in_order_and_a_cut_closes_one_early() {
        let level = LevelOf {
            backup: BackupName::new("host", "tree").expect("legal"),
            level: LevelId::new(jiff::Timestamp::UNIX_EPOCH, 1),
        };
        let (uploads, uploader) = Uploads::new();
        let store = MemoryStore::default();
        std::thread::scope(|scope| {
            scope.spawn(|| uploads.serve(&store));
            let mut segments = SegmentWriter::new(&level, Folder::Segments, 10, uploader);
            let mut put = |frame: &[u8]| {
                let place = segments.put(frame).expect("taken");
                (place.segment, place.offset.0)
            };
            assert_eq!(
                [put(b"aaaa"), put(b"bbbb"), put(b"cccc")],
                [(0, 0), (0, 4), (1, 0)]
            );
            assert_eq!(segments.cut().expect("taken"), 2);
            assert_eq!(segments.cut().expect("nothing to cut"), 2);
            assert_eq!(segments.put(b"dd").expect("taken").segment, 2);
            assert_eq!(segments.finish().expect("taken"), 3);
        });
        assert_eq!(uploads.finish().expect("stored"), 14);
        for (number, bytes) in [(0, &b"aaaabbbb"[..]), (1, b"cccc"), (2, b"dd")] {
            let name = level.data_name(Folder::Segments, number);
            assert_eq!(store.get(&name, 99).expect("stored"), bytes);
        }
    }
}
