//! The record of a backup: what an agent says of a level it has made.

use super::field::{Documented, WrongField, fields, open_document};
use super::text::{AnyText, FormedText, OneWord, Plain};
use super::words::BackupStatusWords;
use serde_json::Value;

fields! {
    /// The record of a backup as the server stores and answers it.
    pub struct BackupRecord {
        /// The id of the record.
        backup_id: FormedText<AnyText>,
        /// The project of the record.
        project_id: FormedText<AnyText>,
        /// The user who made the record.
        user_id: FormedText<AnyText>,
        /// The name of that user, in version 1.
        user_name: FormedText<AnyText>,
        /// Where the backup is in its life.
        status: FormedText<OneWord<BackupStatusWords>>,
        /// Keys of the agent; there can be any.
        backup_metadata: BackupMetadata,
    }
    more
}

open_document!(BackupRecord, "a backup");

fields! {
    /// What an agent says of a backup: its flat document.
    pub struct BackupMetadata {
        /// Where in the storage the backup is.
        container: FormedText<Plain>,
        /// The host whose backup it is.
        hostname: FormedText<Plain>,
        /// The name of the backup.
        backup_name: FormedText<Plain>,
        /// Where the backup is in its life. Agents say it; the server keeps it beside.
        status: FormedText<OneWord<BackupStatusWords>>,
        /// What was backed up.
        path_to_backup: Value,
        /// The second since 1970 in which the backup began.
        time_stamp: i64,
        /// The level, 0 for a full backup.
        curr_backup_level: Value,
        /// The id of the level in its store.
        level_id: Value,
        /// What the agent did.
        action: Value,
        /// The id of a record that is to be changed. Agents of the original say it.
        backup_id: Value,
        /// Records to remove. Agents of the original say them.
        deleted_freezer_backup_ids: Value,
        /// The job that made the backup.
        job_id: Value,
        /// The session that the job was in.
        session_id: Value,
        /// The start of that session, counted from 1.
        session_tag: Value,
        /// The run and the place of the action in it.
        run_id: Value,
        /// What the agent ended with.
        exit_code: Value,
        /// Seconds that the action took.
        duration: Value,
        /// How often the action was tried.
        tries: Value,
        /// What somebody should look at.
        warning: Value,
        /// The end of the agent's log.
        log: Value,
    }
    more
}

open_document!(BackupMetadata, "backup_metadata");

/// While a record has one of these statuses, the backup may have no place yet.
const UNFINISHED: [&str; 3] = ["creating", "error", "deleting"];

impl BackupRecord {
    /// The status of a backup that can be used.
    pub const AVAILABLE: &'static str = "available";
}

impl BackupMetadata {
    /// Names the first of the keys that a record must have and this one lacks.
    ///
    /// # Errors
    ///
    /// [`WrongField`] too where a key is of another type.
    pub fn missing(&self, status: &str) -> Result<Option<&'static str>, WrongField> {
        let needs_place = !UNFINISHED.contains(&status);
        for (key, field, is_needed) in [
            ("container", &self.container, needs_place),
            ("hostname", &self.hostname, needs_place),
            ("backup_name", &self.backup_name, true),
        ] {
            field.check(key)?;
            if is_needed && field.text().is_empty() {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// The second since 1970 of the backup, which some clients send as text.
    pub fn second(&self) -> Option<i64> {
        let mut stamp = self.time_stamp.clone();
        stamp.mend();
        stamp.get().copied()
    }

    /// Reads what an agent has written.
    pub fn of_agent(value: &Value) -> Option<Self> {
        value.as_object().cloned().map(Self::of)
    }
}
