//! Finds where the data of a file is, and where its holes are.

use crate::backup::read_step::SourceFile;
use crate::backup::unread::Unread;
use crate::model::{DataRun, FileOffset, Progress, TreePath, Trouble};

/// Most runs of one file. The rest of a file with more is kept as data, its holes as zeros. An
/// index entry with this many extents stays below the limit of a block.
const MAX_RUNS: usize = 1 << 20;

/// An open file, and where its data is.
pub(super) struct FileData<'file> {
    pub(super) file: &'file SourceFile,
    pub(super) runs: Vec<DataRun>,
    /// Whether the file has become shorter since it was opened. That was reported.
    pub(super) shrank: bool,
}

impl<'file> FileData<'file> {
    /// Finds the data of a file. Reports to `progress` if the file has become shorter; the lost
    /// part is then kept as a hole.
    pub(super) fn of(path: &TreePath, file: &'file SourceFile, progress: &dyn Progress) -> Self {
        let mut data = Self {
            file,
            runs: runs_of(path, file),
            shrank: false,
        };
        let size_before = file.stat.size;
        let size = file.handle.stat().map_or(size_before, |now| now.size);
        if size < size_before {
            progress.trouble(Trouble::new(
                path.clone(),
                Unread::Shrank(size_before - size),
            ));
            data.cut_off(size);
        }
        data
    }

    /// Drops the data from `size` on: the system reports a lost part like a hole, if at all.
    fn cut_off(&mut self, size: u64) {
        self.runs.retain(|run| run.at.0 < size);
        if let Some(last) = self.runs.last_mut() {
            last.length = last.length.min(size - last.at.0);
        }
        self.shrank = true;
    }
}

fn runs_of(path: &TreePath, file: &SourceFile) -> Vec<DataRun> {
    let mut runs: Vec<DataRun> = Vec::new();
    for run in file.handle.data_runs(&file.stat) {
        match run {
            Ok(run) => runs.push(run),
            Err(error) => {
                // To read all of it loses no byte, only the knowledge of where holes were.
                tracing::warn!(%path, %error, "could not find its holes; it is read as a whole");
                return vec![DataRun {
                    at: FileOffset(0),
                    length: file.stat.size,
                }];
            }
        }
        if runs.len() == MAX_RUNS {
            if let Some(last) = runs.last_mut() {
                tracing::warn!(%path, "has too many holes; the rest of it is kept as data");
                last.length = file.stat.size - last.at.0;
            }
            break;
        }
    }
    runs
}
