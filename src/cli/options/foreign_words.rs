//! Commands of other backup programs: whoever types one learns what it is called here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands of restic, borg, kopia, tar and the original, and the command of ours that does the
/// same.
const WORDS: [(&[&str], &str); 16] = [
    (
        &["create", "save", "snapshot", "store"],
        "freezer backup PATH",
    ),
    (&["snapshots", "backups", "points"], "freezer list"),
    (
        &["forget", "delete", "remove", "expire"],
        "freezer prune BACKUP --keep-last N",
    ),
    (&["rm"], "freezer prune BACKUP removes points in time"),
    (&["compact", "gc"], "freezer prune, then freezer repack"),
    (
        &["stats", "info", "size"],
        "freezer list, or freezer du BACKUP",
    ),
    (&["verify", "fsck", "test"], "freezer check --read-data"),
    (
        &["extract", "recover", "checkout"],
        "freezer restore BACKUP [PATH…] --target DIR",
    ),
    (
        &["dump", "print"],
        "freezer cat BACKUP PATH, or freezer export BACKUP for a tar",
    ),
    (&["export-tar", "tar", "archive"], "freezer export BACKUP"),
    (
        &["copy", "cp", "replicate", "clone"],
        "freezer sync FROM TO",
    ),
    (&["unmount", "fusermount"], "freezer umount DIR"),
    (
        &["passwd", "password", "change-passphrase"],
        "freezer key change",
    ),
    (&["break-lock", "force-unlock"], "freezer unlock BACKUP"),
    (&["agent", "daemon", "schedule"], "freezer scheduler start"),
    (&["versions", "log"], "freezer history BACKUP PATH"),
];

/// Returns the refusal of a command that another program has.
pub(in crate::cli) fn refusal(error: &clap::Error) -> Option<String> {
    let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
    else {
        return None;
    };
    let ours = ours(word)?;
    Some(format!(
        "freezer: there is no command {word}\nhint: here it is {ours}"
    ))
}

fn ours(word: &str) -> Option<&'static str> {
    let known = WORDS.iter().find(|(theirs, _)| theirs.contains(&word));
    known.map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use std::collections::BTreeSet;

    #[test]
    fn each_word_has_one_answer_that_is_a_command_of_ours() {
        let mut seen = BTreeSet::new();
        for (words, answer) in WORDS {
            assert!(answer.starts_with("freezer "), "{answer}");
            for word in words {
                assert!(seen.insert(*word), "{word} stands there twice");
            }
        }
    }
}
