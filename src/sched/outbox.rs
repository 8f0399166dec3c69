//! Messages about ended runs, kept in files until the server has them.

use crate::platform::durable::replace_file;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// A folder with a file for each message.
#[derive(Clone, Debug)]
pub(super) struct Outbox(PathBuf);

impl Outbox {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Keeps what is to be sent, until it is. A name that is there already is the same thing.
    pub(super) fn put(&self, name: &str, message: &Value) -> io::Result<()> {
        replace_file(
            &self.0.join(format!("{name}.json")),
            message.to_string().as_bytes(),
        )
    }

    /// Returns the files of the messages, the oldest first.
    pub(super) fn kept(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0)
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .collect();
        files.sort();
        files
    }

    /// Reads one; none if it cannot be understood: then it is put aside, where a person can look at
    /// it.
    pub(super) fn read(&self, file: &Path) -> io::Result<Option<Value>> {
        match serde_json::from_slice(&std::fs::read(file)?) {
            Ok(message) => Ok(Some(message)),
            Err(error) => {
                tracing::error!(
                    %error,
                    file = %file.display(),
                    "a message about a run cannot be read; it is renamed to end in .damaged",
                );
                std::fs::rename(file, file.with_extension("damaged"))?;
                Ok(None)
            }
        }
    }

    /// Removes a message that was sent, or that the server refuses.
    pub(super) fn done(&self, file: &Path) {
        if let Err(error) = std::fs::remove_file(file) {
            tracing::error!(%error, file = %file.display(), "a sent message cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outbox;
    use serde_json::json;

    #[test]
    fn messages_are_kept_in_their_order_and_damaged_ones_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = Outbox::at(folder.path().to_owned());
        outbox.put("b", &json!({ "number": 2 })).expect("written");
        outbox.put("a", &json!({ "number": 1 })).expect("written");
        std::fs::write(folder.path().join("c.json"), "{").expect("written");
        std::fs::write(folder.path().join("d.new"), "half").expect("written");
        let kept = outbox.kept();
        let read: Vec<_> = kept
            .iter()
            .map(|file| outbox.read(file).expect("read"))
            .collect();
        assert_eq!(
            read,
            [
                Some(json!({ "number": 1 })),
                Some(json!({ "number": 2 })),
                None
            ]
        );
        assert!(folder.path().join("c.damaged").exists());
        outbox.done(&kept[0]);
        assert_eq!(outbox.kept().len(), 1);
    }
}
