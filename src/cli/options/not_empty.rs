//! The rule that no argument is empty.
//!
//! A script that writes `"$FILE"` and has not set the variable passes an empty argument. As a path
//! in a backup that would mean the root, and so everything; as a store or a name, the default. The
//! rule applies to every argument of the program, so that a new one has it too.

use clap::builder::{
    OsStringValueParser, PathBufValueParser, StringValueParser, TypedValueParser, ValueParser,
};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Refuses empty values of texts and paths, in a command and all below it.
///
/// Does not touch arguments whose default is empty (a comment), nor values of other types: their
/// parsers refuse an empty text.
pub(in crate::cli) fn everywhere(command: Command) -> Command {
    command.mut_args(refusing).mut_subcommands(everywhere)
}

fn refusing(argument: Arg) -> Arg {
    let takes_any_text = argument.get_action().takes_values()
        && argument.get_value_parser().possible_values().is_none();
    let may_be_empty = argument
        .get_default_values()
        .iter()
        .any(|value| value.is_empty());
    if !takes_any_text || may_be_empty {
        return argument;
    }
    match parser_for(&argument) {
        Some(parser) => argument.value_parser(parser),
        None => argument,
    }
}

fn parser_for(argument: &Arg) -> Option<ValueParser> {
    let parsed = argument.get_value_parser().type_id();
    if parsed == TypeId::of::<OsString>() {
        Some(NotEmpty(OsStringValueParser::new()).into())
    } else if parsed == TypeId::of::<PathBuf>() {
        Some(NotEmpty(PathBufValueParser::new()).into())
    } else if parsed == TypeId::of::<String>() {
        Some(NotEmpty(StringValueParser::new()).into())
    } else {
        None
    }
}

/// Parses a value that is not empty.
#[derive(Clone)]
struct NotEmpty<P>(P);

impl<P: TypedValueParser> TypedValueParser for NotEmpty<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        if !value.is_empty() {
            return self.0.parse_ref(command, argument, value);
        }
        let name = argument.map_or_else(|| "an argument".to_owned(), |it| format!("'{it}'"));
        let message = format!(
            "{name} is empty: is a variable of a script not set?\n\n  tip: an empty argument never \
             means everything or the default; leave it out for that\n"
        );
        Err(clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(command))
    }
}

#[cfg(test)]
mod tests {
    use super::everywhere;
    use crate::cli::arguments::Arguments;
    use clap::{Arg, ArgAction, Command, CommandFactory};

    /// A comment may be empty. Secrets come only from files, where an empty value means no value.
    const MAY_BE_EMPTY: [&str; 3] = ["comment", "secret_key", "os_password"];

    fn all(command: &Command) -> Vec<(String, Arg)> {
        let name = command.get_name().to_owned();
        let own = command
            .get_arguments()
            .map(|argument| (name.clone(), argument.clone()));
        own.chain(command.get_subcommands().flat_map(all)).collect()
    }

    #[test]
    fn no_argument_of_any_command_takes_an_empty_value() {
        let program = everywhere(Arguments::command());
        let mut can_be_empty = Vec::new();
        for (command, argument) in all(&program) {
            let id = argument.get_id().to_string();
            let takes_values = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
            if !takes_values || MAY_BE_EMPTY.contains(&id.as_str()) {
                continue;
            }
            // Tried alone: what it needs or excludes is not there.
            let alone = argument
                .long("it")
                .required(false)
                .required_unless_present(clap::builder::Resettable::Reset)
                .global(false)
                .conflicts_with(clap::builder::Resettable::Reset)
                .requires(clap::builder::Resettable::Reset)
                .overrides_with(clap::builder::Resettable::Reset);
            let result = Command::new("freezer")
                .no_binary_name(true)
                .disable_help_flag(true)
                .arg(alone)
                .try_get_matches_from(["--it="]);
            if result.is_ok() {
                can_be_empty.push(format!("{command}: {id}"));
            }
        }
        assert_eq!(can_be_empty, Vec::<String>::new());
    }
}
