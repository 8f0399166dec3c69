//! A log file with a limit: when it is full it is put aside as `FILE.1`, and a new one begins.

use crate::platform::private_file;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How much of a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct LogLimits {
    /// The longest that a file gets, in bytes; 0 for no limit.
    pub(in crate::cli) bytes: u64,
    /// The number of full files that stay beside it; `FILE.1` is the newest.
    pub(in crate::cli) files: u32,
}

/// A log file. Several processes can write to one: the first that finds it full puts it aside, and
/// the others go on with the new one.
#[derive(Debug)]
pub(in crate::cli) struct LogFile {
    path: PathBuf,
    file: File,
    kept: LogLimits,
    /// After a failure to put the file aside, the length in bytes at which to try again.
    again: u64,
}

impl LogFile {
    /// Opens a file to append to it.
    pub(in crate::cli) fn open(path: &Path, kept: LogLimits) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: append_to(path)?,
            kept,
            again: 0,
        })
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    /// Begins a new file. `length` is that of the open one, in bytes.
    fn begin_anew(&mut self, length: u64) -> io::Result<()> {
        // Otherwise another process has put it aside already: one of ours, or logrotate.
        if std::fs::metadata(&self.path).is_ok_and(|there| there.len() == length) {
            remove(&self.aside(self.kept.files))?;
            for number in (1..self.kept.files).rev() {
                rename(&self.aside(number), &self.aside(number + 1))?;
            }
            if self.kept.files == 0 {
                remove(&self.path)?;
            } else {
                rename(&self.path, &self.aside(1))?;
            }
        }
        self.file = append_to(&self.path)?;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.metadata()?.len();
        let is_full = self.kept.bytes > 0
            && length > 0
            && length.saturating_add(bytes.len() as u64) > self.kept.bytes;
        if is_full && length >= self.again {
            match self.begin_anew(length) {
                Ok(()) => self.again = 0,
                Err(error) => {
                    // A log that is too long is better than no log.
                    self.again = length.saturating_add(self.kept.bytes);
                    writeln!(
                        self.file,
                        "this file is full and cannot be put aside: {error}"
                    )?;
                }
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    private_file::append(path)
}

/// Ignores that a file does not exist: it was never needed, or somebody has removed it.
fn if_there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if_there(std::fs::remove_file(path))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if_there(std::fs::rename(from, to))
}

#[cfg(test)]
mod tests {
    use super::{LogFile, LogLimits};
    use std::io::Write;
    use std::path::Path;

    fn files(folder: &Path) -> Vec<(String, u64)> {
        let entries = std::fs::read_dir(folder)
            .expect("there")
            .map(|entry| entry.expect("listed"));
        let mut files: Vec<_> = entries
            .map(|entry| {
                (
                    entry.file_name().into_string().expect("text"),
                    entry.metadata().expect("there").len(),
                )
            })
            .collect();
        files.sort();
        files
    }

    /// Ten bytes, at once, as log events are written.
    fn log_to(log: &mut LogFile, number: u32) {
        log.write_all(format!("{number:09}\n").as_bytes())
            .expect("written");
    }

    fn numbers(folder: &Path, names: &[&str]) -> Vec<u32> {
        let text: String = names
            .iter()
            .map(|name| std::fs::read_to_string(folder.join(name)).expect("there"))
            .collect();
        text.lines()
            .map(|line| line.parse().expect("a number"))
            .collect()
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogFile::open(
            &folder.path().join("log"),
            LogLimits {
                bytes: 100,
                files: 2,
            },
        )
        .expect("opened");
        for number in 0..100 {
            log_to(&mut log, number);
        }
        assert_eq!(
            files(folder.path()),
            [
                ("log".into(), 100),
                ("log.1".into(), 100),
                ("log.2".into(), 100)
            ]
        );
        assert_eq!(
            numbers(folder.path(), &["log.2", "log.1", "log"]),
            (70..100).collect::<Vec<_>>()
        );
        // What was there when it began counts too.
        let mut log = LogFile::open(
            &folder.path().join("log"),
            LogLimits {
                bytes: 100,
                files: 2,
            },
        )
        .expect("opened");
        log_to(&mut log, 100);
        assert_eq!(
            numbers(folder.path(), &["log.2", "log.1", "log"]),
            (80..=100).collect::<Vec<_>>()
        );
    }

    #[test]
    fn without_a_limit_it_grows_and_without_others_it_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogFile::open(
            &folder.path().join("endless"),
            LogLimits { bytes: 0, files: 2 },
        )
        .expect("opened");
        let mut alone = LogFile::open(
            &folder.path().join("alone"),
            LogLimits {
                bytes: 100,
                files: 0,
            },
        )
        .expect("opened");
        for number in 0..55 {
            log_to(&mut log, number);
            log_to(&mut alone, number);
        }
        assert_eq!(
            files(folder.path()),
            [("alone".into(), 50), ("endless".into(), 550)]
        );
        // A line that is longer than a file may be is in one of its own.
        alone
            .write_all("x".repeat(300).as_bytes())
            .expect("written");
        log_to(&mut alone, 1);
        assert_eq!(numbers(folder.path(), &["alone"]), [1]);
    }

    #[test]
    fn processes_that_share_a_file_put_it_aside_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = LogLimits {
            bytes: 100,
            files: 5,
        };
        let [mut one, mut other] =
            [(); 2].map(|()| LogFile::open(&folder.path().join("log"), kept).expect("opened"));
        for number in 0..20 {
            log_to(&mut one, number * 2);
            log_to(&mut other, number * 2 + 1);
        }
        let mut all = numbers(folder.path(), &["log.3", "log.2", "log.1", "log"]);
        all.sort_unstable();
        assert_eq!(
            all,
            (0..40).collect::<Vec<_>>(),
            "{:?}",
            files(folder.path())
        );
    }

    #[test]
    fn what_cannot_be_put_aside_goes_on_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        // A folder that is in the way.
        std::fs::create_dir_all(folder.path().join("log.1/full")).expect("made");
        let mut log = LogFile::open(
            &folder.path().join("log"),
            LogLimits {
                bytes: 100,
                files: 1,
            },
        )
        .expect("opened");
        for number in 0..13 {
            log_to(&mut log, number);
        }
        let text = std::fs::read_to_string(folder.path().join("log")).expect("there");
        assert_eq!(
            text.lines()
                .filter(|line| line.contains("cannot be put aside"))
                .count(),
            1,
            "{text}"
        );
        assert_eq!(text.lines().count(), 14, "{text}");
        std::fs::remove_dir_all(folder.path().join("log.1")).expect("removed");
        for number in 0..20 {
            log_to(&mut log, number);
        }
        assert!(folder.path().join("log.1").is_file(), "it is tried again");
    }
}
