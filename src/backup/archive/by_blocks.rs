//! Stores a large file: its new blocks and a signature of them, or the whole file where that is not
//! worth it.

use super::Archive;
use super::data_runs::FileData;
use super::file_hash::FileHash;
use crate::backup::blocks::{
    BlockPlan, EarlierVersion, KnownBlocks, PlannedPiece, Scanned, block_bytes, scan,
};
use crate::backup::error::BackupError;
use crate::backup::read_step::SourceFile;
use crate::backup::stream::LARGE_FILE_BYTES;
use crate::format::frame::FrameError;
use crate::format::signature::{SignatureKey, SignatureWriter};
use crate::format::tar::padding;
use crate::model::{
    Content, DataRun, Entry, Extent, FileOffset, Metadata, SignaturePlace, TreePath,
};

/// The folder in the names of members that hold blocks. No reader of files looks into it.
const FOLDER: &str = ".freezer-blocks";

/// The size that a file has whose content is read like a signature: in pieces, from short frames.
const AS_LARGE: u64 = LARGE_FILE_BYTES;

impl Archive<'_> {
    /// Stores a file, and sets the entry's extents and signatures.
    pub(super) fn by_blocks(
        &mut self,
        entry: &mut Entry,
        file: &SourceFile,
        earlier: Option<&EarlierVersion>,
    ) -> Result<(), BackupError> {
        let data = FileData::of(&entry.path, file, &self.source, self.progress);
        if let Some(earlier) = earlier
            && let Some(known) = KnownBlocks::load(self.blocks.streams, earlier)
        {
            let mut hash = FileHash::new(&self.level.hashing);
            let plan = self.plan(&data, &known, &mut hash)?;
            if plan.is_worth_it() {
                let signature = SignatureWriter::new(known.block_bytes, known.key.clone());
                drop(known);
                self.hash = Some(hash);
                return self.pieces(entry, &data, &plan, signature, earlier);
            }
        }
        self.whole_with_signature(entry, &data)
    }

    fn plan(
        &self,
        data: &FileData<'_>,
        known: &KnownBlocks,
        hash: &mut FileHash,
    ) -> Result<BlockPlan, BackupError> {
        let plan = scan(data, &data.runs, known, |scanned| match scanned {
            Scanned::Kept(bytes) => {
                self.progress.advance(0, bytes);
                self.stop.check()
            }
            Scanned::Data(at, data) => {
                hash.compare(at, data);
                Ok(())
            }
            Scanned::Unreadable => {
                hash.give_up();
                Ok(())
            }
        })?;
        Ok(plan.without_crumbs())
    }

    /// Stores a whole file, and behind it a member with the signature of all its blocks.
    fn whole_with_signature(
        &mut self,
        entry: &mut Entry,
        data: &FileData<'_>,
    ) -> Result<(), BackupError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| BackupError::Frame(FrameError::Random(error)))?;
        let block_bytes = block_bytes(data.file.stat.size, self.blocks.options.least_block_bytes);
        let mut signature = SignatureWriter::new(block_bytes, SignatureKey(key));
        self.whole(entry, data, Some(&mut signature))?;
        self.stream.member_ended()?;
        let signature = signature.finish();
        self.block_member(&entry.metadata, signature.len() as u64)?;
        self.signature(entry, &signature)?;
        self.stream.append_zeros(padding(signature.len() as u64))
    }

    /// Stores a file behind its beginning, which an interrupted run has stored in the extents
    /// `begun`. The rest is one member of blocks.
    pub(super) fn rest(
        &mut self,
        entry: &mut Entry,
        file: &SourceFile,
        begun: Vec<Extent>,
    ) -> Result<(), BackupError> {
        let mut data = FileData::of(&entry.path, file, &self.source, self.progress);
        let mut hash = FileHash::new(&self.level.hashing);
        hash.read(&data, &begun);
        self.hash = Some(hash);
        let covered = begun.last().map_or(0, Extent::end);
        skip_to(&mut data.runs, covered);
        let total: u64 = data.runs.iter().map(|run| run.length).sum();
        if total > 0 {
            self.block_member(&entry.metadata, total)?;
        }
        set_all_extents(entry, begun);
        self.set_extents(entry, &data.runs);
        self.in_hand = Some(entry.clone()).filter(|_| !data.shrank);
        for run in &data.runs {
            self.copy(entry, &data, *run, None)?;
        }
        self.in_hand = None;
        self.stream.append_zeros(padding(total))
    }

    /// Stores the new pieces of a plan in one member, with a signature of them at its end.
    fn pieces(
        &mut self,
        entry: &mut Entry,
        data: &FileData<'_>,
        plan: &BlockPlan,
        mut signature: SignatureWriter,
        earlier: &EarlierVersion,
    ) -> Result<(), BackupError> {
        let new_bytes: u64 = plan.new_runs().map(|run| run.length).sum();
        let total = new_bytes + signature.length_for(plan.new_runs().map(|run| run.length));
        if new_bytes > 0 {
            self.block_member(&entry.metadata, total)?;
        }
        let mut extents: Vec<Extent> = Vec::with_capacity(plan.pieces().len());
        for piece in plan.pieces() {
            extents.push(match piece {
                PlannedPiece::Kept(extent) => *extent,
                PlannedPiece::New(run) => {
                    let stream = self.stream.position();
                    self.copy(entry, data, *run, Some(&mut signature))?;
                    Extent {
                        at: run.at,
                        level: self.level.serial,
                        stream,
                        length: run.length,
                    }
                }
            });
        }
        let is_needed =
            |place: &&SignaturePlace| extents.iter().any(|extent| extent.level == place.level);
        let needed = earlier.signatures.iter().filter(is_needed);
        entry.metadata.signatures = needed.copied().collect();
        set_all_extents(entry, extents);
        if new_bytes > 0 {
            self.signature(entry, &signature.finish())?;
            self.stream.append_zeros(padding(total))?;
        }
        Ok(())
    }

    /// Appends a signature to the stream, and notes its place in the entry.
    fn signature(&mut self, entry: &mut Entry, signature: &[u8]) -> Result<(), BackupError> {
        let place = SignaturePlace {
            level: self.level.serial,
            stream: self.stream.position(),
            length: signature.len() as u64,
        };
        self.stream.append_of(signature, AS_LARGE)?;
        entry.metadata.signatures.push(place);
        Ok(())
    }

    /// Writes the header of a member of `length` bytes that is no file of the tree.
    fn block_member(&mut self, of: &Metadata, length: u64) -> Result<(), BackupError> {
        self.blocks.count += 1;
        let path = format!("{FOLDER}/{}-{}", self.level.serial.0, self.blocks.count);
        let Some(path) = TreePath::parse(path.as_bytes()) else {
            return Ok(());
        };
        let metadata = Metadata {
            mode: 0o600,
            owner: of.owner.clone(),
            mtime: of.mtime,
            ..Metadata::default()
        };
        let content = Content::File {
            size: length,
            extents: Vec::new(),
        };
        let entry = Entry {
            path,
            metadata,
            content,
            link_to: None,
        };
        let at = FileOffset(0);
        self.header(&entry, None, &[DataRun { at, length }])
            .map(drop)
    }
}

/// Drops the data before `covered`.
fn skip_to(runs: &mut Vec<DataRun>, covered: u64) {
    runs.retain(|run| run.end().is_none_or(|end| end > covered));
    if let Some(first) = runs.first_mut().filter(|first| first.at.0 < covered) {
        let skipped = covered - first.at.0;
        *first = DataRun {
            at: FileOffset(covered),
            length: first.length - skipped,
        };
    }
}

fn set_all_extents(entry: &mut Entry, all: Vec<Extent>) {
    if let Content::File { extents, .. } = &mut entry.content {
        *extents = all;
    }
}

#[cfg(test)]
mod tests {
    use super::skip_to;
    use crate::model::{DataRun, FileOffset};

    #[test]
    fn the_rest_of_a_file_begins_where_the_stored_part_ends() {
        let rest = |covered| -> Vec<(u64, u64)> {
            let mut runs: Vec<DataRun> = [(0, 10), (20, 10), (40, 10)]
                .map(|(at, length)| DataRun {
                    at: FileOffset(at),
                    length,
                })
                .to_vec();
            skip_to(&mut runs, covered);
            runs.iter().map(|run| (run.at.0, run.length)).collect()
        };
        assert_eq!(rest(0), [(0, 10), (20, 10), (40, 10)]);
        assert_eq!(rest(10), [(20, 10), (40, 10)]);
        assert_eq!(rest(25), [(25, 5), (40, 10)]);
        assert_eq!(rest(30), [(40, 10)]);
        assert_eq!(rest(50), []);
    }
}
