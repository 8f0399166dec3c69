//! An action: what a job does, one thing each.

use super::field::{Document, Documented, Field, FieldKind, WrongField, fields, open_document};
use super::text::{AnyText, FormedText, GivenId, OneWord, Plain};
use super::words::{ActionWords, ModeWords};
use serde_json::{Value, json};

fields! {
    /// An action. The server keeps keys that it does not know.
    pub struct Action {
        /// The id of the action.
        action_id: FormedText<GivenId>,
        /// The project of the action.
        project_id: FormedText<AnyText>,
        /// The user who made the action.
        user_id: FormedText<AnyText>,
        /// Options of the agent by their names with underscores; there can be any.
        freezer_action: AgentOptions,
        /// How often a failed action is tried again.
        max_retries: i64,
        /// Seconds between two tries.
        max_retries_interval: i64,
        /// Whether the action is done even where an earlier one has failed.
        mandatory: bool,
        /// How urgent the action is, where its options do not say.
        priority: Value,
    }
    more
}

open_document!(Action, "an action");

impl Action {
    /// How often a failed action is tried again, when the client does not say.
    pub const USUAL_RETRIES: i64 = 5;
    /// Seconds between two tries, when the client does not say.
    pub const USUAL_INTERVAL: i64 = 6;

    /// Sees to it that what readers rely on is there, and is not null.
    pub fn fill(&mut self) {
        self.max_retries.fill(Self::USUAL_RETRIES);
        self.max_retries_interval.fill(Self::USUAL_INTERVAL);
        self.mandatory.fill(false);
        if let Some(options) = self.freezer_action.get_mut() {
            options.fill();
        }
    }

    /// Its options.
    pub fn options(&self) -> Option<&AgentOptions> {
        self.freezer_action.get()
    }

    /// How urgent it is: the larger the sooner.
    pub fn urgency(&self) -> Option<i64> {
        let number = |field: &Field<Value>| match field {
            Field::Is(Value::String(text)) => text.trim().parse().ok(),
            Field::Is(value) => value.as_i64(),
            Field::Absent | Field::Null | Field::Odd(_) => None,
        };
        self.options()
            .and_then(|options| number(&options.priority))
            .or_else(|| number(&self.priority))
    }

    /// Merges a patch: objects key by key however deep, all other values replaced.
    pub fn merge(&mut self, patch: &Document) {
        let mut document = self.document();
        merge(&mut document, patch);
        *self = Self::of(document);
    }
}

fn merge(into: &mut Document, patch: &Document) {
    for (key, value) in patch {
        match (into.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(old), new) => *old = new.clone(),
            (None, new) => {
                into.insert(key.clone(), new.clone());
            }
        }
    }
}

fields! {
    /// Options of the agent: `freezer_action`. Of most the server checks nothing.
    pub struct AgentOptions {
        /// What the agent does.
        action: FormedText<OneWord<ActionWords>>,
        /// The application that the agent sees to.
        mode: FormedText<OneWord<ModeWords>>,
        /// The file or directory to back up.
        path_to_backup: FormedText<Plain>,
        /// The name of the backup.
        backup_name: FormedText<Plain>,
        /// Where in the storage backups are kept.
        container: FormedText<Plain>,
        /// The directory to restore into.
        restore_abs_path: FormedText<Plain>,
        /// Whether only backups that Freezer made are removed.
        cindernative_freezer_only: bool,
        /// The kind of the storage.
        storage: Value,
        /// How the backup is made.
        engine_name: Value,
        /// Seconds that OpenStack has for an operation.
        timeout: Value,
        /// How urgent the action is: the larger the sooner.
        priority: Value,
        /// Where the agent logs.
        log_file: Value,
        /// The host whose backup is meant.
        hostname: Value,
        /// The point in time that is meant.
        restore_from_date: Value,
        /// The command of `exec`.
        command: Value,
        /// The program to run before the action.
        pre_script: Value,
        /// The program to run after the action.
        post_script: Value,
        /// Seconds after which the action is ended.
        time_limit: Value,
        /// Where to mount.
        mount_point: Value,
        /// The trust of a central client.
        trust_id: Value,
        /// The store to copy from.
        from: Value,
        /// The store to copy to.
        to: Value,
        /// Whether files that are there are replaced.
        overwrite: Value,
    }
    more
}

open_document!(AgentOptions, "freezer_action");

/// The long names of the agent's options that run a command of the user.
pub const COMMAND_OPTIONS: [&str; 2] = ["password-command", "encrypt-pass-command"];

/// Returns whether an option of an action would make the agent run a command. Whoever may write
/// jobs may not for that reason run programs on the nodes.
pub fn runs_command(key: &str) -> bool {
    let name = key.to_ascii_lowercase().replace('_', "-");
    COMMAND_OPTIONS.contains(&name.as_str())
}

impl AgentOptions {
    /// Sees to it that the keys which the original's server always answers are there.
    fn fill(&mut self) {
        fn always<T>(field: &mut Field<T>) {
            if field.is_absent() {
                *field = Field::Null;
            }
        }
        always(&mut self.action);
        always(&mut self.mode);
        always(&mut self.backup_name);
        always(&mut self.container);
        always(&mut self.path_to_backup);
        always(&mut self.timeout);
        always(&mut self.priority);
        always(&mut self.log_file);
    }

    /// Checks the options of an action that is part of a job.
    ///
    /// # Errors
    ///
    /// [`WrongField`] for the first option that breaks its rule.
    pub fn check_in_job(&self) -> Result<(), WrongField> {
        self.check_fields(Self::WITHIN)
    }

    /// The action; a backup where nothing else is said.
    pub fn action_or_backup(&self) -> &str {
        match self.action.text() {
            "" => "backup",
            action => action,
        }
    }

    /// Takes out what the scheduler does itself, which is no option of the agent.
    pub fn drop_own_of_scheduler(&mut self) {
        self.action = Field::Absent;
        for own in [
            &mut self.command,
            &mut self.pre_script,
            &mut self.post_script,
            &mut self.time_limit,
            &mut self.priority,
            &mut self.mount_point,
            &mut self.trust_id,
            &mut self.from,
            &mut self.to,
        ] {
            *own = Field::Absent;
        }
    }

    /// The first option that is an empty text, or has one in its list.
    pub fn blank(&self) -> Option<String> {
        let is_blank = |value: &Value| match value {
            Value::Array(parts) => parts.iter().any(|part| part == ""),
            value => value == "",
        };
        let options = self.document();
        let mut blank = options.into_iter().filter(|(_, value)| is_blank(value));
        blank.next().map(|(key, _)| key)
    }

    /// Takes what is absent or null from other options.
    pub fn take_defaults(&mut self, defaults: &Document) {
        let mut document = self.document();
        for (key, value) in defaults {
            let option = document.entry(key).or_insert(Value::Null);
            if option.is_null() {
                *option = value.clone();
            }
        }
        *self = Self::of(document);
    }

    /// Whether two sets of options say the same. A key without a value is as if it were not there:
    /// the original's web interface leaves out of an action what is empty or false, and sends it in
    /// the job that names the action.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |options: &Self| -> Document {
            let mut options = options.document();
            options.retain(|_, value| {
                !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
            });
            options
        };
        said(self) == said(other)
    }
}

/// The actions of a job, in their order. The server checks each where it makes the job.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ActionList(pub Vec<Field<Action>>);

impl ActionList {
    /// The entries that are objects.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.0.iter().filter_map(Field::get)
    }

    /// The ids of the actions.
    pub fn ids(&self) -> Vec<String> {
        let ids = self.actions().map(|action| action.action_id.text());
        ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
    }
}

impl FieldKind for ActionList {
    fn must() -> String {
        "must be a list".to_owned()
    }

    fn schema() -> Value {
        let mut properties = Action::properties();
        properties.insert(
            "freezer_action".to_owned(),
            json!({ "type": "object", "properties": AgentOptions::properties() }),
        );
        json!({ "type": "array", "items": { "type": "object", "properties": properties } })
    }

    fn mend(&mut self) {
        self.0.iter_mut().for_each(Field::mend);
    }
}
