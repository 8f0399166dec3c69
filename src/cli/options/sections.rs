//! Stores that sections `[storage:NAME]` of a configuration describe.

use crate::cli::options::not_empty;
use crate::cli::options::setting::{as_argument, find, unknown};
use crate::cli::options::stores::StoreOptions;
use crate::config::Setting;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;

/// A store that a section `[storage:NAME]` of a configuration describes: where it is, and what it
/// is opened with.
pub(in crate::cli) struct NamedStore {
    pub(in crate::cli) name: String,
    pub(in crate::cli) store: Option<OsString>,
    pub(in crate::cli) options: StoreOptions,
}

/// What may stand in such a section.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, args_override_self = true)]
struct Section {
    #[arg(long, alias = "container")]
    store: Option<OsString>,
    #[command(flatten)]
    options: StoreOptions,
}

impl NamedStore {
    /// Reads what the sections say, in the order in which they begin.
    pub(in crate::cli) fn read(settings: Vec<Setting>) -> anyhow::Result<Vec<Self>> {
        let program = not_empty::everywhere(Section::command());
        let mut sections: Vec<(String, Vec<OsString>)> = Vec::new();
        for setting in settings {
            let Some(name) = setting.section.clone() else {
                continue;
            };
            let argument =
                find(&program, &setting.name).ok_or_else(|| unknown(&program, &setting))?;
            let argument = as_argument(argument, &setting)?;
            match sections.iter_mut().find(|(other, _)| *other == name) {
                Some((_, arguments)) => arguments.extend(argument),
                None => sections.push((name, argument.into_iter().collect())),
            }
        }
        sections
            .into_iter()
            .map(|(name, arguments)| {
                let Section { store, options } = Section::try_parse_from(arguments)?;
                Ok(Self {
                    name,
                    store,
                    options,
                })
            })
            .collect()
    }
}
