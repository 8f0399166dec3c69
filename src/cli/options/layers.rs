//! Puts the settings of files and environment under the command line.
//!
//! A setting becomes an argument `--name=value` before what the user typed, and clap lets the later
//! one win: so an option has one name, one parser and one help text wherever it is given, and the
//! command line always wins. Options that can be given several times add up.

use crate::cli::options::original;
use crate::cli::options::store_options::{NamedStore, SECRETS};
use crate::cli::show::failure::Usage;
use crate::config::{self, Environment, Origin, Setting};
use clap::builder::Resettable;
use clap::{Arg, Command};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What is to be read by clap, and what is beside it.
pub(in crate::cli) struct Layered {
    pub(in crate::cli) arguments: Vec<OsString>,
    /// The stores that sections of the configuration describe.
    pub(in crate::cli) stores: Vec<NamedStore>,
    /// Files with secrets in them that others may read.
    pub(in crate::cli) open_files: BTreeSet<PathBuf>,
}

/// What the user typed (the program's name first), with the settings put where what is typed wins
/// over them.
///
/// Stores are told of by one layer alone: those of another are not added to them.
///
/// Takes the form of the original too, which has no commands: `--action restore` is `restore`,
/// given here or in a file. `--no-FLAG` and `--noFLAG` take back a flag that a file gives.
pub(in crate::cli) fn layer(
    typed: Vec<OsString>,
    program: &Command,
    environment: &Environment,
) -> anyhow::Result<Layered> {
    refuse_secrets(&typed)?;
    let mut scan = Scan::of(typed, program);
    let settings = settings(scan.config.as_deref(), environment)?;
    let open_files = open_files(&settings);
    let (sections, mut settings): (Vec<Setting>, Vec<Setting>) = settings
        .into_iter()
        .partition(|setting| setting.section.is_some());
    let stores = NamedStore::read(sections)?;
    one_layer_of_stores(&mut settings, !stores.is_empty(), &scan, program);
    if scan.command.is_none() {
        let action = scan.action.take().or_else(|| last_action(&settings));
        if let Some(action) = action.filter(|_| !scan.asks_for_help) {
            let command = command_of(&action)?;
            if command == "prune" {
                // The original asks nobody.
                scan.arguments.insert(1, "--yes".into());
            }
            if command != "backup" {
                // The original's scheduler gives it for every action; only a backup has metadata.
                leave_out_metadata(&mut scan.arguments);
            }
            scan.arguments.insert(1, command.into());
            scan.command = Some((1, command.to_owned()));
        }
    }
    let Some((position, name)) = scan.command else {
        return Ok(Layered {
            arguments: scan.arguments,
            stores,
            open_files,
        });
    };
    let Some(command) = program.find_subcommand(&name) else {
        return Ok(Layered {
            arguments: scan.arguments,
            stores,
            open_files,
        });
    };
    let (mut for_all, mut for_command) = (Vec::new(), Vec::new());
    for setting in settings {
        let flag_taken_back = scan.taken_back.contains(&setting.name);
        if flag_taken_back || matches!(setting.name.as_str(), "action" | "config") {
            continue;
        }
        if let Some(argument) = find(program, &setting.name) {
            for_all.push(as_argument(argument, &setting)?);
        } else if let Some(argument) = find(command, &setting.name) {
            for_command.push(as_argument(argument, &setting)?);
        } else if !program
            .get_subcommands()
            .any(|other| find(other, &setting.name).is_some())
        {
            return Err(unknown(program, &setting));
        }
    }
    let for_all = for_all.into_iter().flatten();
    let for_command = for_command.into_iter().flatten();
    let mut layered = scan.arguments;
    layered.splice(position + 1..position + 1, for_command);
    layered.splice(1..1, for_all);
    Ok(Layered {
        arguments: layered,
        stores,
        open_files,
    })
}

/// Which files hold secrets and can be read by others than their owner.
fn open_files(settings: &[Setting]) -> BTreeSet<PathBuf> {
    let secrets = settings
        .iter()
        .filter(|setting| SECRETS.contains(&setting.name.as_str()));
    let files = secrets.filter_map(|setting| match &setting.origin {
        Origin::File { path, .. } => Some(path.clone()),
        Origin::Environment(_) => None,
    });
    files
        .filter(|path| config::is_open_to_others(path))
        .collect()
}

fn is_store(program: &Command, setting: &Setting) -> bool {
    find(program, &setting.name).is_some_and(|argument| argument.get_long() == Some("store"))
}

/// Leaves of the settings that name stores those of the one layer that counts: none when a store is
/// typed, those of the environment, or of the last file, unless sections describe stores.
fn one_layer_of_stores(
    settings: &mut Vec<Setting>,
    has_sections: bool,
    scan: &Scan,
    program: &Command,
) {
    let origin = settings
        .iter()
        .rev()
        .find(|setting| is_store(program, setting))
        .map(|setting| setting.origin.clone());
    let counts = |other: &Origin| match (&origin, other) {
        (Some(Origin::File { path, .. }), Origin::File { path: other, .. }) => {
            path == other && !has_sections
        }
        (Some(Origin::Environment(name)), Origin::Environment(other)) => name == other,
        _ => false,
    };
    settings.retain(|setting| {
        !is_store(program, setting) || !scan.names_a_store && counts(&setting.origin)
    });
}

/// A secret that is typed can be seen by everyone on the machine.
fn refuse_secrets(typed: &[OsString]) -> Result<(), Usage> {
    let words = typed
        .iter()
        .map(|word| word.to_string_lossy())
        .take_while(|word| word != "--");
    for word in words {
        let name = word
            .strip_prefix("--")
            .map(|option| option.split_once('=').map_or(option, |(name, _)| name));
        if let Some(name) = name.filter(|name| SECRETS.contains(name)) {
            let hint = "write it to a configuration file that only you can read, or set the variable that the store's own tools take it from";
            return Err(Usage::new(format!(
                "--{name} on a command line can be seen by everyone"
            ))
            .hint(hint));
        }
    }
    Ok(())
}

/// The settings of all layers, the ones that win last.
fn settings(named: Option<&OsStr>, environment: &Environment) -> anyhow::Result<Vec<Setting>> {
    let read = |path: &Path| config::file::read(path, environment.home());
    let mut settings = match named
        .map(Path::new)
        .or(environment.config_file().map(|path| path.as_path()))
    {
        Some(path) => read(path)?,
        None => {
            let mut settings = Vec::new();
            for path in environment.default_config_files() {
                match read(&path) {
                    Err(config::file::FileError::Read { source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound => {}
                    read => settings.extend(read?),
                }
            }
            settings
        }
    };
    settings.extend_from_slice(environment.settings());
    Ok(settings)
}

fn last_action(settings: &[Setting]) -> Option<OsString> {
    settings
        .iter()
        .rev()
        .find(|setting| setting.name == "action")
        .map(|setting| setting.value.clone())
}

/// Takes `--metadata-out FILE` out.
fn leave_out_metadata(arguments: &mut Vec<OsString>) {
    while let Some(at) = arguments
        .iter()
        .position(|argument| argument.to_string_lossy().starts_with("--metadata-out"))
    {
        let has_value_behind = arguments
            .get(at)
            .is_some_and(|argument| argument == "--metadata-out")
            && at + 1 < arguments.len();
        arguments.drain(at..=at + usize::from(has_value_behind));
    }
}

/// The command that does what an action of the original does.
fn command_of(action: &OsStr) -> Result<&'static str, Usage> {
    match action.to_str() {
        Some("backup") => Ok("backup"),
        Some("restore") => Ok("restore"),
        Some("info") => Ok("list"),
        Some("admin") => Ok("prune"),
        Some("exec") => Err(Usage::new("the action exec does not exist in this version")
            .hint("run the command itself")),
        _ => Err(
            Usage::new(format!("there is no action {}", action.display()))
                .hint("there are backup, restore, info and admin"),
        ),
    }
}

/// The setting as arguments: none when it switches a flag off.
pub(in crate::cli) fn as_argument(
    argument: &Arg,
    setting: &Setting,
) -> anyhow::Result<Option<OsString>> {
    let long = argument.get_long().unwrap_or(&setting.name);
    let mut text = OsString::from(format!("--{long}"));
    if argument.get_action().takes_values() {
        text.push("=");
        text.push(&setting.value);
    } else {
        match setting
            .value
            .to_str()
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("true" | "yes" | "on" | "1") => {}
            Some("false" | "no" | "off" | "0") => return Ok(None),
            _ => {
                let message = format!(
                    "{} = {}: it is true or false",
                    setting.name,
                    setting.value.display()
                );
                return Err(Usage::new(message)
                    .hint(format!("mend it in {}", setting.origin))
                    .into());
            }
        }
    }
    // Tried alone, so that the message can say where a bad value stands. What it needs or excludes
    // is not there: that is for the whole line.
    let argument = argument.clone().required(false).global(false);
    let argument = argument
        .conflicts_with(Resettable::Reset)
        .requires(Resettable::Reset)
        .overrides_with(Resettable::Reset);
    let alone = Command::new("freezer").no_binary_name(true).arg(argument);
    match alone.try_get_matches_from([&text]) {
        Ok(_) => Ok(Some(text)),
        Err(error) => {
            let why = error.render().to_string();
            let why = why
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            Err(Usage::new(why)
                .hint(format!("mend it in {}", setting.origin))
                .into())
        }
    }
}

pub(in crate::cli) fn unknown(program: &Command, setting: &Setting) -> anyhow::Error {
    let hint = match original::advice(&setting.name) {
        Some(advice) => advice.to_owned(),
        None => {
            let known = program
                .get_subcommands()
                .chain([program])
                .flat_map(Command::get_arguments)
                .filter_map(Arg::get_long);
            match nearest(&setting.name, known) {
                Some(near) => format!("did you mean {near}?"),
                None => {
                    "the keys are the long names of options: see freezer COMMAND --help".to_owned()
                }
            }
        }
    };
    Usage::new(format!(
        "there is no option {} (in {})",
        setting.name, setting.origin
    ))
    .hint(hint)
    .into()
}

/// The name that is most like `name`, if one is like it at all.
pub(in crate::cli) fn nearest<'names>(
    name: &str,
    names: impl Iterator<Item = &'names str>,
) -> Option<&'names str> {
    let mistakes = (name.chars().count() / 3).max(1);
    let scored = names
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, _)| *distance <= mistakes);
    scored
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// The option of a command that goes by this long name.
pub(in crate::cli) fn find<'command>(
    command: &'command Command,
    name: &str,
) -> Option<&'command Arg> {
    command.get_arguments().find(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long() == Some(name)
            || (argument.get_long().is_some() && aliases.contains(&name))
    })
}

/// What must be known of the arguments before clap reads them.
struct Scan {
    arguments: Vec<OsString>,
    /// The command and where it stands.
    command: Option<(usize, String)>,
    config: Option<OsString>,
    action: Option<OsString>,
    /// Flags that were taken back.
    taken_back: Vec<String>,
    /// Whether a store is typed.
    names_a_store: bool,
    asks_for_help: bool,
}

impl Scan {
    fn of(typed: Vec<OsString>, program: &Command) -> Self {
        let mut scan = Self {
            arguments: Vec::new(),
            command: None,
            config: None,
            action: None,
            taken_back: Vec::new(),
            names_a_store: false,
            asks_for_help: false,
        };
        let mut typed = typed.into_iter();
        scan.arguments.extend(typed.next());
        while let Some(argument) = typed.next() {
            let text = argument.to_string_lossy().into_owned();
            if text == "--" {
                scan.arguments.push(argument);
                break;
            }
            scan.asks_for_help |= matches!(text.as_str(), "-h" | "--help" | "-V" | "--version");
            match read_option(&text, program) {
                Token::Word if scan.command.is_none() => {
                    let position = scan.arguments.len();
                    scan.command = program
                        .find_subcommand(&text)
                        .map(|command| (position, command.get_name().to_owned()));
                    let settled = scan.command.is_none();
                    scan.arguments.push(argument);
                    if settled && scan.action.is_none() {
                        // Not a command: clap says so.
                        break;
                    }
                }
                Token::TakenBack(name) => scan.taken_back.push(name),
                Token::Word | Token::Alone => scan.arguments.push(argument),
                Token::WithValue { long, value } => {
                    let next = if value.is_none() { typed.next() } else { None };
                    let value = value
                        .map(|value| OsStr::new(value).to_owned())
                        .or_else(|| next.clone());
                    scan.names_a_store |= long == "store";
                    match long {
                        "action" => scan.action = value,
                        _ => {
                            if long == "config" {
                                scan.config = value;
                            }
                            scan.arguments.push(argument);
                            scan.arguments.extend(next);
                        }
                    }
                }
            }
        }
        scan.arguments.extend(typed);
        scan
    }
}

/// One argument, as far as [`Scan`] cares.
enum Token<'text> {
    /// A command or a value.
    Word,
    /// A flag, or options that hold their value.
    Alone,
    /// An option with a value, here or in the next argument.
    WithValue {
        long: &'text str,
        value: Option<&'text str>,
    },
    /// `--no-FLAG`.
    TakenBack(String),
}

fn read_option<'text>(text: &'text str, program: &'text Command) -> Token<'text> {
    let commands = || std::iter::once(program).chain(program.get_subcommands());
    let long = |name: &str| commands().find_map(|command| find(command, name));
    let short = |name: char| {
        commands()
            .flat_map(Command::get_arguments)
            .find(|argument| argument.get_short() == Some(name))
    };
    if let Some(name) = text.strip_prefix("--") {
        let (name, value) = name
            .split_once('=')
            .map_or((name, None), |(name, value)| (name, Some(value)));
        if name == "action" {
            return Token::WithValue {
                long: "action",
                value,
            };
        }
        match long(name) {
            Some(argument) if argument.get_action().takes_values() => Token::WithValue {
                long: argument.get_long().unwrap_or_default(),
                value,
            },
            Some(_) => Token::Alone,
            None => {
                let flag = name
                    .strip_prefix("no")
                    .map(|flag| flag.strip_prefix('-').unwrap_or(flag));
                let known =
                    |flag: &&str| long(flag).is_some_and(|flag| !flag.get_action().takes_values());
                flag.filter(known)
                    .map_or(Token::Alone, |flag| Token::TakenBack(flag.to_owned()))
            }
        }
    } else if let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) {
        let with_value = letters.char_indices().find_map(|(at, letter)| {
            let argument = short(letter).filter(|argument| argument.get_action().takes_values())?;
            Some((
                argument.get_long().unwrap_or_default(),
                at + letter.len_utf8(),
            ))
        });
        match with_value {
            Some((long, end)) if end == letters.len() => Token::WithValue { long, value: None },
            _ => Token::Alone,
        }
    } else {
        Token::Word
    }
}
