//! Finds where the data of a file is, and where its holes are.

use crate::backup::blocks::Readable;
use crate::backup::read_step::SourceFile;
use crate::backup::source_calls::SourceCaller;
use crate::backup::unread::Unread;
use crate::model::{DataRun, FileOffset, Progress, TreePath, Trouble};
use crate::platform::{FileHandle, Stat};
use std::io;
use std::sync::Arc;

/// Most runs of one file. The rest of a file with more is kept as data, its holes as zeros. An
/// index entry with this many extents stays below the limit of a block.
const MAX_RUNS: usize = 1 << 20;

/// An open file, and where its data is.
pub(super) struct FileData<'file> {
    pub(super) file: &'file SourceFile,
    path: TreePath,
    source: Arc<SourceCaller>,
    pub(super) runs: Vec<DataRun>,
    /// Whether the file has become shorter since it was opened. That was reported.
    pub(super) shrank: bool,
}

impl<'file> FileData<'file> {
    /// Finds the data of a file. Reports to `progress` if the file has become shorter; the lost
    /// part is then kept as a hole.
    pub(super) fn of(
        path: &TreePath,
        file: &'file SourceFile,
        source: &Arc<SourceCaller>,
        progress: &dyn Progress,
    ) -> Self {
        let size_before = file.stat.size;
        let look = {
            let (path, handle, stat) = (path.clone(), Arc::clone(&file.handle), file.stat.clone());
            move || {
                let runs = runs_of(&path, &handle, &stat);
                Ok((runs, handle.stat().map_or(stat.size, |now| now.size)))
            }
        };
        // Reading it will tell why there is no answer.
        let (runs, size) = source
            .ask(path, Some(file.stat.device), look)
            .unwrap_or_else(|_| (vec![whole(&file.stat)], size_before));
        let mut data = Self {
            file,
            path: path.clone(),
            source: Arc::clone(source),
            runs,
            shrank: false,
        };
        if size < size_before {
            progress.trouble(Trouble::new(
                path.clone(),
                Unread::Shrank(size_before - size),
            ));
            data.cut_off(size);
        }
        data
    }

    /// Fills `space` from the file, as [`FileHandle::read_at`] does, unless the file system does
    /// not answer.
    pub(super) fn read_at(&self, space: &mut [u8], at: u64) -> io::Result<usize> {
        let device = Some(self.file.stat.device);
        self.source
            .read_at(&self.path, device, &self.file.handle, space, at)
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

fn whole(stat: &Stat) -> DataRun {
    DataRun {
        at: FileOffset(0),
        length: stat.size,
    }
}

fn runs_of(path: &TreePath, file: &FileHandle, stat: &Stat) -> Vec<DataRun> {
    let mut runs: Vec<DataRun> = Vec::new();
    for run in file.data_runs(stat) {
        match run {
            Ok(run) => runs.push(run),
            Err(error) => {
                // To read all of it loses no byte, only the knowledge of where holes were.
                tracing::warn!(%path, %error, "could not find its holes; it is read as a whole");
                return vec![whole(stat)];
            }
        }
        if runs.len() == MAX_RUNS {
            if let Some(last) = runs.last_mut() {
                tracing::warn!(%path, "has too many holes; the rest of it is kept as data");
                last.length = stat.size - last.at.0;
            }
            break;
        }
    }
    runs
}

impl Readable for FileData<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Self::read_at(self, buffer, offset)
    }
}
