//! Configuration files: `key = value` lines, as the original Freezer's job files have them.
//!
//! There is one format: that of the files that users and the original's scheduler have.
//!
//! - Keys are the long names of options, with `-` or `_`.
//! - A line that begins with `#` or `;` is a comment.
//! - A section `[storage:NAME]` describes a store. Other `[sections]` have no meaning.
//! - An indented line continues the value above it.
//! - `%` may be doubled, as Python's reader requires it.
//! - A value may stand in double quotes, and may begin with `~/`.
//! - `False`, `None` and an empty value mean the same as no line.

use super::{Setting, SettingOrigin};
use crate::model::{Advice, Exit};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The largest configuration file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The file could not be read.
    #[error("could not read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line breaks the format.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The rule that it breaks.
        why: &'static str,
    },
}

impl Advice for ConfigFileError {
    fn exit(&self) -> Option<Exit> {
        Some(Exit::Usage)
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Read { .. } => Some("name a file that you may read: --config FILE"),
            Self::Line { .. } => Some(
                "correct the line: the keys are the long names of options, one `name = value` on \
                 a line",
            ),
        }
    }
}

/// Reads a file. A `~/` at the start of a value stands for `home`.
///
/// # Errors
///
/// [`ConfigFileError`], also if the file does not exist.
pub fn read(path: &Path, home: Option<&PathBuf>) -> Result<Vec<Setting>, ConfigFileError> {
    let refuse = |source| ConfigFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(refuse)?;
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES + 1), &mut text)
        .map_err(refuse)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(refuse(io::ErrorKind::FileTooLarge.into()));
    }
    let settings = parse(&text).map_err(|(line, why)| ConfigFileError::Line {
        path: path.to_owned(),
        line,
        why,
    })?;
    let setting = |ConfigLine {
                       number: line,
                       section,
                       name,
                       value,
                   }: ConfigLine| {
        let value = match (value.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest).into_os_string(),
            _ => OsString::from(value),
        };
        Setting {
            section,
            name,
            value,
            origin: SettingOrigin::File {
                path: path.to_owned(),
                line,
            },
        }
    };
    Ok(settings.into_iter().map(setting).collect())
}

/// A setting, and the number of its line, from 1.
struct ConfigLine {
    number: usize,
    section: Option<String>,
    name: String,
    value: String,
}

/// The number of a line, and the rule that it breaks.
type BadLine = (usize, &'static str);

fn parse(text: &str) -> Result<Vec<ConfigLine>, BadLine> {
    let mut settings: Vec<ConfigLine> = Vec::new();
    let mut section = None;
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = content.strip_prefix('[') {
            let name = header
                .strip_suffix(']')
                .ok_or((number, "write a section as [name]"))?;
            section = match name.strip_prefix("storage:").map(str::trim) {
                Some("") => return Err((number, "write a store as [storage:name]")),
                store => store.map(str::to_owned),
            };
            continue;
        }
        if line.starts_with(char::is_whitespace) {
            // Each further line is a value of its own: this is for options that can be given
            // several times.
            let name = settings
                .last()
                .ok_or((
                    number,
                    "an indented line continues the value above it, and there is none",
                ))?
                .name
                .clone();
            settings.push(ConfigLine {
                number,
                section: section.clone(),
                name,
                value: value_of(content, number)?,
            });
            continue;
        }
        let (name, value) = content
            .split_once(['=', ':'])
            .ok_or((number, "write a line as name = value"))?;
        let name = name.trim().to_lowercase().replace('_', "-");
        settings.push(ConfigLine {
            number,
            section: section.clone(),
            name,
            value: value_of(value.trim(), number)?,
        });
    }
    settings.retain(|line| !matches!(line.value.as_str(), "" | "False" | "false" | "None"));
    Ok(settings)
}

fn value_of(text: &str, line: usize) -> Result<String, BadLine> {
    if text.contains("%(") {
        return Err((
            line,
            "freezer does not replace %(name)s: write the value itself, or %% for a %",
        ));
    }
    let bare = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    Ok(bare.replace("%%", "%"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn settings(text: &str) -> Vec<(String, String)> {
        parse(text)
            .expect("a good file")
            .into_iter()
            .map(|line| (line.name, line.value))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_job_file_of_the_original_is_read() {
        let text = "[job]\naction = backup\npath_to_backup: /srv/a b\nBackup_Name=docs\n[other]\
            \nincremental = False\n\
                    max_level = None\nlog_file = /var/log/50%%.log\n";
        let expected = pairs(&[
            ("action", "backup"),
            ("path-to-backup", "/srv/a b"),
            ("backup-name", "docs"),
            ("log-file", "/var/log/50%.log"),
        ]);
        assert_eq!(settings(text), expected);
    }

    #[test]
    fn a_value_on_several_lines_is_given_several_times() {
        assert_eq!(
            settings("exclude = *.o\n  *.tmp\n\n# not this\n\t\"*.a b\"\n"),
            pairs(&[
                ("exclude", "*.o"),
                ("exclude", "*.tmp"),
                ("exclude", "*.a b")
            ])
        );
    }

    #[test]
    fn a_section_of_a_store_is_told_from_others() {
        let text = "quiet = true\n[storage:near]\nstorage = local\ncontainer = /srv/b\n[job]\
            \nexclude = *.o\n[storage: far]\ncontainer=c\n";
        let lines = parse(text).expect("a good file");
        let sections: Vec<_> = lines
            .iter()
            .map(|line| (line.section.as_deref(), line.name.as_str()))
            .collect();
        let expected = [
            (None, "quiet"),
            (Some("near"), "storage"),
            (Some("near"), "container"),
            (None, "exclude"),
            (Some("far"), "container"),
        ];
        assert_eq!(sections, expected);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (text, line) in [
            ("\nstore\n", 2),
            ("[a\n", 1),
            ("# x\n  y\n", 2),
            ("[storage:]\n", 1),
            ("a = %(b)s\n", 1),
        ] {
            assert_eq!(parse(text).err().expect(text).0, line, "{text:?}");
        }
    }
}
