//! How an action becomes a configuration file and arguments.
//!
//! Options go into a file that only the agent can read, never onto a command line: some are
//! secrets. What has no name as an option (a backup to check, where to mount) is an argument of its
//! own behind `--`, and never read by a shell.

use super::fields::{Document, text};
use super::order::AgentKind;
use serde_json::Value;

/// What `exec` and the scripts around an action are, and what else is the scheduler's own.
const OWN: [&str; 10] = [
    "action",
    "command",
    "pre_script",
    "post_script",
    "time_limit",
    "priority",
    "mount_point",
    "trust_id",
    "from",
    "to",
];

/// How an action is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
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
        "there is no action {0:?}: there are backup, restore, info, admin, exec, mount, umount, check, prune, repack, repair and sync"
    )]
    Action(String),
    #[error("the action {0} needs the option {1}")]
    Missing(&'static str, &'static str),
    #[error("the option {0} cannot hold a line break or a zero")]
    Control(String),
    #[error("the option {0} is neither text, number, truth nor a list of them")]
    Kind(String),
    #[error("the option {0:?} has no name that an option can have")]
    Name(String),
    #[error("the option {0} is empty: leave it out for the default")]
    Blank(String),
    #[error("a quotation mark of the command is not closed")]
    Quote,
    #[error("a part of the command is empty")]
    Empty,
}

/// How to do an action.
pub(super) fn plan(options: &Document, agent: AgentKind) -> Result<Plan, OptionError> {
    let action = match text(options, "action") {
        "" => "backup",
        action => action,
    };
    if action == "exec" {
        let command = text(options, "command");
        return if command.trim().is_empty() {
            Err(OptionError::Missing("exec", "command"))
        } else {
            Ok(Plan::Pipeline(pipeline(command)?))
        };
    }
    // An empty name would mean all backups, and an empty rule of retention none.
    let blank = |(key, value): (&String, &Value)| {
        let parts = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        let is_blank =
            parts.iter().any(|part| part == "") && key != "action" && !OWN.contains(&key.as_str());
        is_blank.then(|| OptionError::Blank(key.clone()))
    };
    if agent == AgentKind::Freezer
        && let Some(error) = options.iter().find_map(blank)
    {
        return Err(error);
    }
    let word = |word: &str| Argument::Word(word.to_owned());
    if agent == AgentKind::Original {
        let arguments = vec![
            word("--metadata-out"),
            word("-"),
            word("--config"),
            Argument::Config,
        ];
        return Ok(Plan::Agent {
            arguments,
            config: format!(
                "[action]\n{}",
                lines(options, agent, &["command", "time_limit"])?
            ),
        });
    }
    let backup = |name| match text(options, "backup_name") {
        "" => Err(OptionError::Missing(name, "backup_name")),
        _ => Ok(reference(options)),
    };
    let path = |name| match text(options, "mount_point") {
        "" => Err(OptionError::Missing(name, "mount_point")),
        path => Ok(word(path)),
    };
    let (words, after, left_out): (&[&str], Vec<Argument>, &[&str]) = match action {
        "backup" => (&["backup"], vec![], &[]),
        "restore" => (&["restore"], vec![], &[]),
        "info" => (&["list"], vec![], &["backup_name", "hostname"]),
        "admin" | "prune" => (&["prune", "--yes"], vec![], &[]),
        "check" | "repack" if text(options, "backup_name").is_empty() => match action {
            "check" => (&["check"], vec![], &[]),
            _ => (&["repack", "--yes", "--all"], vec![], &["hostname"]),
        },
        "check" => (
            &["check"],
            vec![word(&reference(options))],
            &["backup_name", "hostname", "restore_from_date"],
        ),
        "repack" => (
            &["repack", "--yes"],
            vec![word(&reference(options))],
            &["backup_name", "hostname"],
        ),
        // Not with --yes: whether a point in time that cannot be opened is removed is for somebody
        // to say.
        "repair" => (
            &["repair"],
            vec![word(&backup("repair")?)],
            &["backup_name", "hostname"],
        ),
        "mount" => (
            &["mount"],
            vec![word(&backup("mount")?), path("mount")?],
            &["backup_name", "hostname", "restore_from_date"],
        ),
        "umount" => (
            &["umount"],
            vec![path("umount")?],
            &["backup_name", "hostname"],
        ),
        "sync" => (&["sync"], pair(options)?, &["backup_name", "hostname"]),
        other => return Err(OptionError::Action(other.to_owned())),
    };
    let mut arguments: Vec<Argument> = words.iter().map(|text| word(text)).collect();
    arguments.extend([word("--config"), Argument::Config]);
    if action == "backup" {
        arguments.extend([word("--metadata-out"), Argument::MetadataOut]);
    }
    if !after.is_empty() {
        arguments.push(word("--"));
        arguments.extend(after);
    }
    // The header ends whatever section the node's own file ends with.
    Ok(Plan::Agent {
        arguments,
        config: format!("[action]\n{}", lines(options, agent, left_out)?),
    })
}

/// The stores that are to be the same, and the backup if not all are meant.
fn pair(options: &Document) -> Result<Vec<Argument>, OptionError> {
    let mut words = Vec::new();
    for key in ["from", "to"] {
        match text(options, key) {
            "" => return Err(OptionError::Missing("sync", key)),
            store => words.push(Argument::Word(store.to_owned())),
        }
    }
    if !text(options, "backup_name").is_empty() {
        words.push(Argument::Word(reference(options)));
    }
    Ok(words)
}

/// `HOST/NAME@DATE`, of what is said.
fn reference(options: &Document) -> String {
    let mut name = text(options, "backup_name").to_owned();
    let host = text(options, "hostname");
    if !host.is_empty() && !name.contains('/') {
        name = format!("{host}/{name}");
    }
    match text(options, "restore_from_date") {
        "" => name,
        date => format!("{name}@{date}"),
    }
}

/// The lines of a configuration file.
fn lines(options: &Document, agent: AgentKind, left_out: &[&str]) -> Result<String, OptionError> {
    let mut lines = String::new();
    for (key, value) in options {
        let is_own = agent == AgentKind::Freezer && OWN.contains(&key.as_str());
        if value.is_null() || is_own || left_out.contains(&key.as_str()) {
            continue;
        }
        if key.is_empty()
            || !key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        {
            return Err(OptionError::Name(key.clone()));
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
    use super::{Argument, OptionError, Plan, pipeline, plan};
    use crate::sched::order::AgentKind;
    use serde_json::{Value, json};

    fn agent(options: Value) -> (Vec<String>, String) {
        let options = options.as_object().expect("an object").clone();
        match plan(&options, AgentKind::Freezer) {
            Ok(Plan::Agent { arguments, config }) => {
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
        plan(options.as_object().expect("an object"), AgentKind::Freezer)
            .expect_err("it is not as it should be")
    }

    #[test]
    fn options_stand_in_the_file_and_never_on_the_command_line() {
        let (arguments, config) = agent(
            json!({"action": "backup", "backup_name": "b", "path_to_backup": "/x y", "secret_key": "50% \"off\"",
            "max_level": 3, "incremental": true, "mode": null, "exclude": ["*.o", "a b"], "priority": 5}),
        );
        assert_eq!(
            arguments,
            ["backup", "--config", "CONFIG", "--metadata-out", "METADATA"]
        );
        assert_eq!(
            config,
            "[action]\nbackup_name = \"b\"\nexclude = \"*.o\"\n  \"a b\"\nincremental = True\nmax_level = 3\npath_to_backup = \"/x y\"\nsecret_key = \"50%% \"off\"\"\n"
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
        let mount = json!({"action": "mount", "backup_name": "--x", "restore_from_date": "2026-11-24", "mount_point": "/mnt"});
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
        // What the scheduler itself takes for not given.
        let (arguments, _) = agent(json!({"action": "", "pre_script": "", "backup_name": "b"}));
        assert_eq!(arguments.first().map(String::as_str), Some("backup"));
    }

    #[test]
    fn the_original_agent_gets_its_file_as_it_wants_it() {
        let options = json!({"action": "restore", "backup_name": "50%", "overwrite": true, "mode": null, "max_level": 2});
        let planned = plan(options.as_object().expect("an object"), AgentKind::Original)
            .expect("it can be done");
        let Plan::Agent { arguments, config } = planned else {
            panic!("not the agent")
        };
        assert_eq!((arguments.len(), &arguments[3]), (4, &Argument::Config));
        assert_eq!(
            config,
            "[action]\naction = restore\nbackup_name = 50%%\nmax_level = 2\noverwrite = True\n"
        );
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
