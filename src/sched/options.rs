//! How an action becomes a configuration file and arguments.
//!
//! Options go into a file that only the agent can read, never onto a command line: some are
//! secrets. What has no name as an option (a backup to check, where to mount) is an argument of its
//! own behind `--`, and never read by a shell.

use super::order::AgentKind;
use crate::model::job::{AgentOptions, Document, Documented, Field, runs_command};
use serde_json::Value;

/// The plan for an action.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ActionPlan {
    /// By the agent, with these arguments, in which `None` is the configuration file.
    Agent {
        arguments: Vec<Argument>,
        config: String,
    },
    /// By programs, each of which reads what the one before it writes.
    Pipeline(Vec<Vec<String>>),
}

/// An argument of the agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Word(String),
    /// The path of the configuration file.
    Config,
    /// The path of the file that the backup's metadata is to be written to.
    MetadataOut,
}

/// An action that cannot be done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OptionError {
    #[error(
        "the action {0:?} is not known; the actions are backup, restore, info, admin, exec, mount, \
         umount, check, prune, repack, repair and sync"
    )]
    Action(String),
    #[error("the action {0} needs the option {1}")]
    Missing(&'static str, &'static str),
    #[error("the option {0} cannot hold a line break or a zero")]
    Control(String),
    #[error("the option {0} must be a text, a number, true, false or a list of them")]
    Kind(String),
    #[error("{0:?} cannot be the name of an option: names have letters, digits, _ and -")]
    Name(String),
    #[error(
        "the option {0} runs a command, and an action may name none but those of exec, pre_script \
         and post_script: set it in the node's own configuration"
    )]
    RunsCommand(String),
    #[error("the option {0} is empty: leave it out for the default")]
    Blank(String),
    #[error("a quotation mark of the command is not closed")]
    Quote,
    #[error("a program of the command is missing: nothing stands before or after a |")]
    Empty,
}

/// Plans an action.
pub(super) fn plan(options: &AgentOptions, agent: AgentKind) -> Result<ActionPlan, OptionError> {
    if options.action_or_backup() == EXEC {
        let command = options.command.loose_text();
        return if command.trim().is_empty() {
            Err(OptionError::Missing(EXEC, "command"))
        } else {
            Ok(ActionPlan::Pipeline(pipeline(command)?))
        };
    }
    let arguments;
    let mut config = options.clone();
    match agent {
        AgentKind::Original => {
            arguments = vec![
                word("--metadata-out"),
                word("-"),
                word("--config"),
                Argument::Config,
            ];
            (config.command, config.time_limit) = (Field::Absent, Field::Absent);
        }
        AgentKind::Freezer => {
            config.drop_own_of_scheduler();
            // An empty name would mean all backups, and an empty rule of retention none.
            if let Some(blank) = config.blank() {
                return Err(OptionError::Blank(blank));
            }
            let command = AgentCommand::of(options)?;
            command.said.leave_out(&mut config);
            arguments = command.arguments();
        }
    }
    // The header ends whatever section the node's own file ends with.
    Ok(ActionPlan::Agent {
        arguments,
        config: format!("[action]\n{}", lines(&config.document(), agent)?),
    })
}

/// The action that is a command, and none of the agent's.
const EXEC: &str = "exec";

fn word(word: &str) -> Argument {
    Argument::Word(word.to_owned())
}

/// Options that the arguments of a command say, and that the configuration file leaves out.
#[derive(Clone, Copy)]
enum SaidByArguments {
    Nothing,
    /// That the backups of all hosts are meant.
    AllHosts,
    /// Which backup is meant.
    Backup,
    /// Which point in time of which backup is meant.
    Point,
}

impl SaidByArguments {
    fn leave_out(self, config: &mut AgentOptions) {
        if matches!(self, Self::Point) {
            config.restore_from_date = Field::Absent;
        }
        if matches!(self, Self::Point | Self::Backup) {
            config.backup_name = Field::Absent;
        }
        if !matches!(self, Self::Nothing) {
            config.hostname = Field::Absent;
        }
    }
}

/// A command of `freezer`.
struct AgentCommand {
    words: &'static [&'static str],
    /// Arguments that have no name as an option.
    after: Vec<Argument>,
    said: SaidByArguments,
    tells_metadata: bool,
}

impl AgentCommand {
    fn new(words: &'static [&'static str]) -> Self {
        Self {
            words,
            after: Vec::new(),
            said: SaidByArguments::Nothing,
            tells_metadata: false,
        }
    }

    fn says(self, said: SaidByArguments, after: Vec<Argument>) -> Self {
        Self {
            after,
            said,
            ..self
        }
    }

    /// The command of an action.
    fn of(options: &AgentOptions) -> Result<Self, OptionError> {
        use SaidByArguments::{AllHosts, Backup, Point};
        let names_backup = !options.backup_name.text().is_empty();
        let backup = |action| match names_backup {
            true => Ok(word(&reference(options))),
            false => Err(OptionError::Missing(action, "backup_name")),
        };
        let path = |action| match options.mount_point.loose_text() {
            "" => Err(OptionError::Missing(action, "mount_point")),
            path => Ok(word(path)),
        };
        Ok(match options.action_or_backup() {
            "backup" => Self {
                tells_metadata: true,
                ..Self::new(&["backup"])
            },
            "restore" => Self::new(&["restore"]),
            "info" => Self::new(&["list"]).says(Backup, vec![]),
            "admin" | "prune" => Self::new(&["prune", "--yes"]),
            "check" if names_backup => {
                Self::new(&["check"]).says(Point, vec![word(&reference(options))])
            }
            "check" => Self::new(&["check"]),
            "repack" if names_backup => {
                Self::new(&["repack", "--yes"]).says(Backup, vec![word(&reference(options))])
            }
            "repack" => Self::new(&["repack", "--yes", "--all"]).says(AllHosts, vec![]),
            // Not with --yes: whether a point in time that cannot be opened is removed is for
            // somebody to say.
            "repair" => Self::new(&["repair"]).says(Backup, vec![backup("repair")?]),
            "mount" => Self::new(&["mount"]).says(Point, vec![backup("mount")?, path("mount")?]),
            "umount" => Self::new(&["umount"]).says(Backup, vec![path("umount")?]),
            "sync" => Self::new(&["sync"]).says(Backup, pair(options)?),
            other => return Err(OptionError::Action(other.to_owned())),
        })
    }

    fn arguments(self) -> Vec<Argument> {
        let mut arguments: Vec<Argument> = self.words.iter().map(|text| word(text)).collect();
        arguments.extend([word("--config"), Argument::Config]);
        if self.tells_metadata {
            arguments.extend([word("--metadata-out"), Argument::MetadataOut]);
        }
        if !self.after.is_empty() {
            arguments.push(word("--"));
            arguments.extend(self.after);
        }
        arguments
    }
}

/// The stores that are to be the same, and the backup if not all are meant.
fn pair(options: &AgentOptions) -> Result<Vec<Argument>, OptionError> {
    let mut words = Vec::new();
    for (name, option) in [("from", &options.from), ("to", &options.to)] {
        match option.loose_text() {
            "" => return Err(OptionError::Missing("sync", name)),
            store => words.push(word(store)),
        }
    }
    if !options.backup_name.text().is_empty() {
        words.push(word(&reference(options)));
    }
    Ok(words)
}

/// `HOST/NAME@DATE`, of what is said.
fn reference(options: &AgentOptions) -> String {
    let mut name = options.backup_name.text().to_owned();
    let host = options.hostname.loose_text();
    if !host.is_empty() && !name.contains('/') {
        name = format!("{host}/{name}");
    }
    match options.restore_from_date.loose_text() {
        "" => name,
        date => format!("{name}@{date}"),
    }
}

/// The lines of a configuration file.
fn lines(options: &Document, agent: AgentKind) -> Result<String, OptionError> {
    let mut lines = String::new();
    for (key, value) in options.iter().filter(|(_, value)| !value.is_null()) {
        if key.is_empty()
            || !key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        {
            return Err(OptionError::Name(key.clone()));
        }
        if agent == AgentKind::Freezer && runs_command(key) {
            return Err(OptionError::RunsCommand(key.clone()));
        }
        match value {
            Value::Array(values) if agent == AgentKind::Freezer => {
                for (index, value) in values.iter().enumerate() {
                    let value = scalar(key, value, agent)?;
                    lines.push_str(&if index == 0 {
                        format!("{key} = {value}\n")
                    } else {
                        format!("  {value}\n")
                    });
                }
            }
            value => lines.push_str(&format!("{key} = {}\n", scalar(key, value, agent)?)),
        }
    }
    Ok(lines)
}

fn scalar(key: &str, value: &Value, agent: AgentKind) -> Result<String, OptionError> {
    match value {
        Value::Bool(true) => Ok("True".to_owned()),
        Value::Bool(false) => Ok("False".to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) if text.chars().any(|c| matches!(c, '\n' | '\r' | '\0')) => {
            Err(OptionError::Control(key.to_owned()))
        }
        Value::String(text) => {
            let text = text.replace('%', "%%");
            // Our own reader takes them off again, and leaves everything else as it is.
            Ok(if agent == AgentKind::Freezer {
                format!("\"{text}\"")
            } else {
                text
            })
        }
        _ => Err(OptionError::Kind(key.to_owned())),
    }
}

/// The programs of a command, with their arguments: words apart by blanks, quoted by `'`, `"` and
/// `\` if they have any, and programs apart by `|`. Nothing else means anything.
pub(super) fn pipeline(command: &str) -> Result<Vec<Vec<String>>, OptionError> {
    let mut programs: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        let words = programs.last_mut().ok_or(OptionError::Empty)?;
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word
                .get_or_insert_default()
                .push(characters.next().ok_or(OptionError::Quote)?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, '|') => {
                words.extend(word.take());
                programs.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(OptionError::Quote);
    }
    programs
        .last_mut()
        .into_iter()
        .for_each(|words| words.extend(word.take()));
    if programs.iter().any(Vec::is_empty) {
        Err(OptionError::Empty)
    } else {
        Ok(programs)
    }
}

#[cfg(test)]
mod tests {
    use super::{ActionPlan, Argument, OptionError, pipeline, plan};
    use crate::model::job::{AgentOptions, Documented};
    use crate::sched::order::AgentKind;
    use serde_json::{Value, json};

    fn agent(options: Value) -> (Vec<String>, String) {
        match plan(&AgentOptions::leniently_of(options), AgentKind::Freezer) {
            Ok(ActionPlan::Agent { arguments, config }) => {
                let shown = arguments.into_iter().map(|argument| match argument {
                    Argument::Word(word) => word,
                    Argument::Config => "CONFIG".to_owned(),
                    Argument::MetadataOut => "METADATA".to_owned(),
                });
                (shown.collect(), config)
            }
            other => panic!("{other:?}"),
        }
    }

    fn refused(options: &Value) -> OptionError {
        plan(
            &AgentOptions::leniently_of(options.clone()),
            AgentKind::Freezer,
        )
        .expect_err("it is not as it should be")
    }

    #[test]
    fn options_stand_in_the_file_and_never_on_the_command_line() {
        let (arguments, config) = agent(
            json!({"action": "backup", "backup_name": "b", "path_to_backup": "/x y",
            "secret_key": "50% \"off\"", "max_level": 3, "incremental": true, "mode": null,
            "exclude": ["*.o", "a b"], "priority": 5}),
        );
        assert_eq!(
            arguments,
            ["backup", "--config", "CONFIG", "--metadata-out", "METADATA"]
        );
        assert_eq!(
            config,
            "[action]\nbackup_name = \"b\"\nexclude = \"*.o\"\n  \"a b\"\nincremental = True\
             \nmax_level = 3\npath_to_backup = \"/x y\"\nsecret_key = \"50%% \"off\"\"\n"
        );
    }

    #[test]
    fn every_action_has_its_command() {
        let of = |options| agent(options).0.join(" ");
        assert_eq!(of(json!({"action": "restore"})), "restore --config CONFIG");
        assert_eq!(of(json!({"action": "info"})), "list --config CONFIG");
        assert_eq!(
            of(json!({"action": "admin"})),
            "prune --yes --config CONFIG"
        );
        assert_eq!(of(json!({"action": "check"})), "check --config CONFIG");
        assert_eq!(
            of(json!({"action": "check", "backup_name": "b", "hostname": "h"})),
            "check --config CONFIG -- h/b"
        );
        let mount = json!({
            "action": "mount",
            "backup_name": "--x",
            "restore_from_date": "2026-11-24",
            "mount_point": "/mnt",
        });
        assert_eq!(of(mount), "mount --config CONFIG -- --x@2026-11-24 /mnt");
        assert_eq!(
            of(json!({"action": "umount", "mount_point": "/mnt"})),
            "umount --config CONFIG -- /mnt"
        );
        assert_eq!(
            of(json!({"action": "repack"})),
            "repack --yes --all --config CONFIG"
        );
        assert_eq!(
            of(json!({"action": "repack", "backup_name": "h/b", "below": "70%"})),
            "repack --yes --config CONFIG -- h/b"
        );
        assert_eq!(
            of(json!({"action": "repair", "backup_name": "b", "hostname": "h"})),
            "repair --config CONFIG -- h/b"
        );
        assert_eq!(
            refused(&json!({"action": "repair"})),
            OptionError::Missing("repair", "backup_name")
        );
        assert_eq!(
            refused(&json!({"action": "mount", "backup_name": "b"})),
            OptionError::Missing("mount", "mount_point")
        );
        assert_eq!(
            refused(&json!({"action": "rm -rf"})),
            OptionError::Action("rm -rf".into())
        );
        assert_eq!(
            of(json!({"action": "sync", "from": "/a", "to": "swift:b", "backup_name": "h/x"})),
            "sync --config CONFIG -- /a swift:b h/x"
        );
        assert_eq!(
            refused(&json!({"action": "sync", "from": "/a"})),
            OptionError::Missing("sync", "to")
        );
        assert_eq!(
            refused(&json!({"action": "exec"})),
            OptionError::Missing("exec", "command")
        );
    }

    #[test]
    fn an_empty_option_means_neither_everything_nor_nothing() {
        for options in [
            json!({"action": "repack", "backup_name": ""}),
            json!({"action": "check", "backup_name": ""}),
            json!({"action": "sync", "from": "/a", "to": "/b", "backup_name": ""}),
            json!({"action": "prune", "keep_last": "3", "keep_daily": ""}),
            json!({"action": "prune", "keep_last": "3", "keep_tag": ["release", ""]}),
        ] {
            assert!(
                matches!(refused(&options), OptionError::Blank(_)),
                "{options}"
            );
        }
        // The scheduler reads these as absent.
        let (arguments, _) = agent(json!({"action": "", "pre_script": "", "backup_name": "b"}));
        assert_eq!(arguments.first().map(String::as_str), Some("backup"));
    }

    #[test]
    fn the_original_agent_gets_its_file_as_it_wants_it() {
        let options = json!({
            "action": "restore",
            "backup_name": "50%",
            "overwrite": true,
            "mode": null,
            "max_level": 2,
        });
        let planned = plan(&AgentOptions::leniently_of(options), AgentKind::Original)
            .expect("it can be done");
        let ActionPlan::Agent { arguments, config } = planned else {
            panic!("not the agent")
        };
        assert_eq!((arguments.len(), &arguments[3]), (4, &Argument::Config));
        assert_eq!(
            config,
            "[action]\naction = restore\nbackup_name = 50%%\nmax_level = 2\noverwrite = True\n"
        );
    }

    #[test]
    fn an_action_makes_the_agent_run_no_command() {
        for key in [
            "password_command",
            "password-command",
            "Encrypt_Pass-Command",
        ] {
            assert_eq!(
                refused(&json!({"action": "backup", key: "touch /tmp/x"})),
                OptionError::RunsCommand(key.into())
            );
        }
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        assert_eq!(
            refused(&json!({"backup_name": "x\nstore = /elsewhere"})),
            OptionError::Control("backup_name".into())
        );
        assert_eq!(
            refused(&json!({"a = b\nc": "x"})),
            OptionError::Name("a = b\nc".into())
        );
        assert_eq!(
            refused(&json!({"exclude": ["a", "b\nc"]})),
            OptionError::Control("exclude".into())
        );
        assert_eq!(
            refused(&json!({"x": {"y": 1}})),
            OptionError::Kind("x".into())
        );
    }

    #[test]
    fn a_command_is_words_and_nothing_that_a_shell_would_make_of_them() {
        let words = |command: &str| {
            pipeline(command)
                .expect("good")
                .into_iter()
                .map(|words| words.join("·"))
                .collect::<Vec<_>>()
        };
        assert_eq!(words("a b  c"), ["a·b·c"]);
        assert_eq!(
            words("pg_dump 'my db' | gzip -9 | tee \"a|b\""),
            ["pg_dump·my db", "gzip·-9", "tee·a|b"]
        );
        assert_eq!(
            words(r"echo $HOME; `x` > y \| z '' a\ b"),
            ["echo·$HOME;·`x`·>·y·|·z··a b"]
        );
        for (command, error) in [
            ("a '", OptionError::Quote),
            ("a |", OptionError::Empty),
            ("| a", OptionError::Empty),
            ("a \\", OptionError::Quote),
        ] {
            assert_eq!(pipeline(command), Err(error), "{command}");
        }
    }
}
