//! Stores a large file: the blocks that are new and a signature of them, or where that is not worth
//! it the whole of it.

use super::known::Known;
use super::plan::{Piece, Plan};
use super::scan::scan;
use super::{Earlier, block_bytes};
use crate::backup::BackupError;
use crate::backup::archive::{Archive, OpenFile};
use crate::format::frame::FrameError;
use crate::format::signature::{SignatureKey, SignatureWriter};
use crate::format::tar::padding;
use crate::model::{
    Content, DataRun, Entry, Extent, FileOffset, Metadata, SignaturePlace, TreePath,
};
use crate::platform::{FileHandle, Stat};

/// The folder that members of blocks are named in. No reader of files looks into it.
const FOLDER: &str = ".freezer-blocks";

/// Bytes of a signature are read at random like those of a large file: its frames are as short.
const AS_LARGE: u64 = crate::backup::LARGE_FILE_BYTES;

impl Archive<'_> {
    /// Stores a file, and sets the entry's extents and signatures.
    pub(in crate::backup) fn by_blocks(
        &mut self,
        entry: &mut Entry,
        file: &FileHandle,
        stat: &Stat,
        earlier: Option<&Earlier>,
    ) -> Result<(), BackupError> {
        let (runs, shrank) = self.data_of(&entry.path, file, stat);
        let open = OpenFile { file, stat, shrank };
        let known = self
            .blocks
            .streams
            .zip(earlier)
            .and_then(|(streams, earlier)| Some((Known::load(streams, earlier)?, earlier)));
        if let Some((known, earlier)) = known {
            let (progress, halt) = (self.progress, self.halt);
            let plan = scan(file, &runs, &known, |kept| {
                progress.advance(0, kept);
                halt()
            })?;
            let plan = plan.without_crumbs();
            if plan.is_worth_it() {
                let (length, key) = (known.block_bytes, known.key.clone());
                drop(known);
                return self.pieces(
                    entry,
                    &open,
                    &plan,
                    SignatureWriter::new(length, key),
                    earlier,
                );
            }
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| BackupError::Frame(FrameError::Random(error)))?;
        let mut signature = SignatureWriter::new(
            block_bytes(stat.size, self.blocks.options.least_block_bytes),
            SignatureKey(key),
        );
        self.whole(entry, &open, &runs, Some(&mut signature))?;
        self.stream.member_ended()?;
        let signature = signature.finish();
        self.block_member(&entry.metadata, signature.len() as u64)?;
        self.signature(entry, &signature)?;
        self.stream.append_zeros(padding(signature.len() as u64))
    }

    /// Stores what a file has behind its beginning, which a cut-off run has stored. In one member
    /// of blocks, like the new pieces of a plan.
    pub(in crate::backup) fn rest(
        &mut self,
        entry: &mut Entry,
        file: &FileHandle,
        stat: &Stat,
        begun: &[Extent],
    ) -> Result<(), BackupError> {
        let (mut runs, shrank) = self.data_of(&entry.path, file, stat);
        let open = OpenFile { file, stat, shrank };
        let covered = begun.last().map_or(0, Extent::end);
        runs.retain(|run| run.end().is_none_or(|end| end > covered));
        if let Some(first) = runs.first_mut().filter(|first| first.at.0 < covered) {
            let skipped = covered - first.at.0;
            *first = DataRun {
                at: FileOffset(covered),
                length: first.length - skipped,
            };
        }
        let total: u64 = runs.iter().map(|run| run.length).sum();
        if total > 0 {
            self.block_member(&entry.metadata, total)?;
        }
        let mut extents = begun.to_vec();
        let mut stream = self.stream.position();
        for run in &runs {
            extents.push(Extent {
                at: run.at,
                level: self.serial,
                stream,
                length: run.length,
            });
            stream.0 += run.length;
        }
        if let Content::File {
            extents: of_entry, ..
        } = &mut entry.content
        {
            *of_entry = extents;
        }
        self.in_hand = Some(entry.clone()).filter(|_| !shrank);
        for run in &runs {
            self.copy(entry, &open, *run, None)?;
        }
        self.in_hand = None;
        self.stream.append_zeros(padding(total))
    }

    /// Stores the new pieces of a plan in one member, and a signature of them at its end.
    fn pieces(
        &mut self,
        entry: &mut Entry,
        open: &OpenFile<'_>,
        plan: &Plan,
        mut signature: SignatureWriter,
        earlier: &Earlier,
    ) -> Result<(), BackupError> {
        let new_bytes: u64 = plan.new_runs().map(|run| run.length).sum();
        let total = new_bytes + signature.length_for(plan.new_runs().map(|run| run.length));
        if new_bytes > 0 {
            self.block_member(&entry.metadata, total)?;
        }
        let mut extents: Vec<Extent> = Vec::with_capacity(plan.pieces().len());
        for piece in plan.pieces() {
            extents.push(match piece {
                Piece::Kept(extent) => *extent,
                Piece::New(run) => {
                    let stream = self.stream.position();
                    self.copy(entry, open, *run, Some(&mut signature))?;
                    Extent {
                        at: run.at,
                        level: self.serial,
                        stream,
                        length: run.length,
                    }
                }
            });
        }
        let still_needed =
            |place: &&SignaturePlace| extents.iter().any(|extent| extent.level == place.level);
        entry.metadata.signatures = earlier
            .signatures
            .iter()
            .filter(still_needed)
            .copied()
            .collect();
        if let Content::File {
            extents: of_entry, ..
        } = &mut entry.content
        {
            *of_entry = extents;
        }
        if new_bytes > 0 {
            self.signature(entry, &signature.finish())?;
            self.stream.append_zeros(padding(total))?;
        }
        Ok(())
    }

    /// Appends a signature to the stream, and tells the entry where it is.
    fn signature(&mut self, entry: &mut Entry, signature: &[u8]) -> Result<(), BackupError> {
        let place = SignaturePlace {
            level: self.serial,
            stream: self.stream.position(),
            length: signature.len() as u64,
        };
        self.stream.append_of(signature, AS_LARGE)?;
        entry.metadata.signatures.push(place);
        Ok(())
    }

    /// Writes the header of a member that holds `length` bytes and is no file of the tree.
    fn block_member(&mut self, of: &Metadata, length: u64) -> Result<(), BackupError> {
        self.blocks.members += 1;
        let path = format!("{FOLDER}/{}-{}", self.serial.0, self.blocks.members);
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
        self.header(
            &entry,
            None,
            &[DataRun {
                at: FileOffset(0),
                length,
            }],
        )
        .map(drop)
    }
}
