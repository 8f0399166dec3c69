//! What the program has to know of the typed arguments before clap reads them.

use crate::cli::options::setting::find;
use clap::Command;
use std::ffi::{OsStr, OsString};

/// The typed arguments, without `--action` and flags that were taken back, and what they hold.
#[derive(Default)]
pub(in crate::cli) struct TypedScan {
    pub(in crate::cli) arguments: Vec<OsString>,
    /// The command, and its place among `arguments`.
    pub(in crate::cli) command: Option<(usize, String)>,
    /// The value of `--config`.
    pub(in crate::cli) config: Option<OsString>,
    /// The value of `--action`.
    pub(in crate::cli) action: Option<OsString>,
    /// Long names of flags that `--no-FLAG` took back.
    pub(in crate::cli) taken_back: Vec<String>,
    /// Whether `--store` is typed.
    pub(in crate::cli) names_a_store: bool,
    /// Whether help or the version is asked for.
    pub(in crate::cli) asks_for_help: bool,
}

impl TypedScan {
    /// Looks through what the user typed, the program's name first.
    pub(in crate::cli) fn of(typed: Vec<OsString>, program: &Command) -> Self {
        let mut scan = Self::default();
        let mut typed = typed.into_iter();
        scan.arguments.extend(typed.next());
        while let Some(argument) = typed.next() {
            let text = argument.to_string_lossy().into_owned();
            if text == "--" {
                scan.arguments.push(argument);
                break;
            }
            scan.asks_for_help |= matches!(text.as_str(), "-h" | "--help" | "-V" | "--version");
            match read_word(&text, program) {
                TypedWord::Word if scan.command.is_none() => {
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
                TypedWord::TakenBack(name) => scan.taken_back.push(name),
                TypedWord::Word | TypedWord::Alone => scan.arguments.push(argument),
                TypedWord::WithValue { long, value } => {
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

/// One typed argument, as far as [`TypedScan`] looks into it.
enum TypedWord<'text> {
    /// A command or a value.
    Word,
    /// A flag, or options that hold their value.
    Alone,
    /// An option with a value, here or in the next argument.
    WithValue {
        long: &'text str,
        value: Option<&'text str>,
    },
    /// `--no-FLAG`: the flag's long name.
    TakenBack(String),
}

fn read_word<'text>(text: &'text str, program: &'text Command) -> TypedWord<'text> {
    if let Some(name) = text.strip_prefix("--") {
        read_long(name, program)
    } else if let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) {
        read_letters(letters, program)
    } else {
        TypedWord::Word
    }
}

fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    std::iter::once(program).chain(program.get_subcommands())
}

/// Reads what follows `--`.
fn read_long<'text>(name: &'text str, program: &'text Command) -> TypedWord<'text> {
    let long = |name: &str| commands(program).find_map(|command| find(command, name));
    let (name, value) = name
        .split_once('=')
        .map_or((name, None), |(name, value)| (name, Some(value)));
    if name == "action" {
        return TypedWord::WithValue {
            long: "action",
            value,
        };
    }
    match long(name) {
        Some(argument) if argument.get_action().takes_values() => TypedWord::WithValue {
            long: argument.get_long().unwrap_or_default(),
            value,
        },
        Some(_) => TypedWord::Alone,
        None => {
            let flag = name
                .strip_prefix("no")
                .map(|flag| flag.strip_prefix('-').unwrap_or(flag));
            let known =
                |flag: &&str| long(flag).is_some_and(|flag| !flag.get_action().takes_values());
            flag.filter(known).map_or(TypedWord::Alone, |flag| {
                TypedWord::TakenBack(flag.to_owned())
            })
        }
    }
}

/// Reads the letters that follow `-`: short options, the last of which may take a value.
fn read_letters<'text>(letters: &str, program: &'text Command) -> TypedWord<'text> {
    let short = |name: char| {
        commands(program)
            .flat_map(Command::get_arguments)
            .find(|argument| argument.get_short() == Some(name))
    };
    let with_value = letters.char_indices().find_map(|(at, letter)| {
        let argument = short(letter).filter(|argument| argument.get_action().takes_values())?;
        Some((
            argument.get_long().unwrap_or_default(),
            at + letter.len_utf8(),
        ))
    });
    match with_value {
        Some((long, end)) if end == letters.len() => TypedWord::WithValue { long, value: None },
        _ => TypedWord::Alone,
    }
}
