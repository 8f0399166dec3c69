//! Writing a document in the user's editor.

use crate::cli::open::session::Session;
use crate::platform::durable::{self, Sharing};
use crate::platform::process;
use anyhow::{Context, bail};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

/// The editor, if neither $VISUAL nor $EDITOR is set.
const USUAL: &str = "vi";

/// Returns the text that a new job begins with.
pub(super) fn template(client: &str) -> String {
    format!(
        r#"// A job. Lines that begin with // are ignored. Save the file and leave the editor to make the job;
// an empty file makes none.
// job_schedule: "schedule_interval" ("1 day", "12 hours", "continuous"), or cron fields
// ("schedule_hour": "3", "schedule_day_of_week": "mon-fri"), or "schedule_date" for one run;
// "schedule_start_date" and "schedule_end_date" limit them. {{}} runs the job once, now.
// Actions: backup, restore, info, admin, exec, mount, umount, check, prune, repack, repair, sync.
// Options of an action have their long names.
{{
  "description": "",
  "client_id": "{client}",
  "job_schedule": {{
    "schedule_interval": "1 day"
  }},
  "job_actions": [
    {{
      "freezer_action": {{
        "action": "backup",
        "backup_name": "home",
        "path_to_backup": "/home",
        "storage": "local",
        "container": "/srv/backup"
      }},
      "max_retries": 2,
      "max_retries_interval": 60,
      "mandatory": false
    }}
  ]
}}
"#
    )
}

/// Lets the user edit a text, and parses the result. A text that cannot be used stays in its file.
pub(super) fn edit(what: &str, text: &str, session: &Session) -> anyhow::Result<Value> {
    let file = std::env::temp_dir().join(format!("freezer-{what}-{}.json", std::process::id()));
    let made = durable::create_file(&file, Sharing::private())
        .and_then(|mut opened| opened.write_all(text.as_bytes()));
    made.with_context(|| format!("could not write {}", file.display()))?;
    let edited = run_editor(&file, session).and_then(|()| Ok(std::fs::read_to_string(&file)?));
    let parsed = edited.and_then(|edited| {
        if edited == text {
            bail!("the text was not changed, so nothing was done");
        }
        parse(&edited)
    });
    match parsed {
        Ok(document) => {
            std::fs::remove_file(&file)
                .with_context(|| format!("could not remove {}", file.display()))?;
            Ok(document)
        }
        // The typed text is not lost.
        Err(error) => Err(error.context(format!(
            "nothing was sent; the text is in {}",
            file.display()
        ))),
    }
}

fn run_editor(file: &Path, session: &Session) -> anyhow::Result<()> {
    let editor = session.environment.editor().unwrap_or(USUAL);
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(USUAL);
    let arguments = words.map(OsStr::new).chain([file.as_os_str()]);
    let status = process::run_attached(program.as_ref(), arguments)
        .with_context(|| format!("could not start the editor {program}"))?;
    if !status.success() {
        bail!("the editor {program} ended with {status}");
    }
    Ok(())
}

/// Parses a JSON object with lines of comments.
fn parse(text: &str) -> anyhow::Result<Value> {
    // Comments become blank lines, so that errors name the right line.
    let lines: Vec<&str> = text
        .lines()
        .map(|line| {
            if line.trim_start().starts_with("//") {
                ""
            } else {
                line
            }
        })
        .collect();
    let text = lines.join("\n");
    if text.trim().is_empty() {
        bail!("the text is empty");
    }
    let document: Value = serde_json::from_str(&text).context("the text is not JSON")?;
    if document.is_object() {
        Ok(document)
    } else {
        bail!("the text is not a JSON object")
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, template};
    use crate::model::job::{Action, Documented, Job};

    #[test]
    fn the_template_is_a_job() {
        let template = parse(&template("tecs_vm")).expect("JSON");
        let job = Job::leniently_of(template);
        job.check("").expect("the server takes it");
        let options = job.actions().filter_map(Action::options);
        let actions: Vec<_> = options.map(|options| options.action.text()).collect();
        assert_eq!((job.client_id.text(), actions), ("tecs_vm", vec!["backup"]));
    }

    #[test]
    fn an_empty_text_and_one_that_is_no_object_are_refused() {
        for text in ["", "// only\n", "[]", "{"] {
            parse(text).expect_err(text);
        }
    }
}
