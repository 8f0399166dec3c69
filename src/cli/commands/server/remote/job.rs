//! `freezer job`.

use super::edit;
use super::list_options::ListOptions;
use super::show::{count, moment, show, tell, text, wanted};
use crate::cli::open::json_file::read_document;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::output::{Column, OutputForm};
use crate::sched::connection::{ApiConnection, Resource};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Jobs: what a node does and when
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer job create --edit --client tecs_web1
  freezer job list
  freezer job start 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the jobs
    #[command(
        after_help = "Examples:\n  freezer job list --client tecs_web1\n  freezer job list --search nightly --json"
    )]
    List {
        #[command(flatten)]
        part: ListOptions,
        /// Show only the jobs of this client
        #[arg(long, value_name = "CLIENT-ID")]
        client: Option<String>,
        /// Show the jobs of all projects; needs a token that may see them
        #[arg(long)]
        all_projects: bool,
    },
    /// Show one job
    #[command(after_help = "Example:\n  freezer job show 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Show {
        /// Id of the job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Print one job as a file that `create` and `update` take
    #[command(
        after_help = "Example:\n  freezer job get 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 > job.json"
    )]
    Get {
        /// Id of the job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Make a job from a file, and print its id
    #[command(after_help = "Examples:
  freezer job create --file job.json --client tecs_web1
  freezer job create --edit

A file is JSON, as the original has it:
  {\"description\": \"nightly\", \"job_schedule\": {\"schedule_interval\": \"1 day\"},
   \"job_actions\": [{\"freezer_action\": {\"action\": \"backup\", \"backup_name\": \"home\", \"path_to_backup\": \"/home\"}}]}")]
    Create {
        /// The file to read; - is standard input
        #[arg(long, value_name = "FILE", required_unless_present = "edit")]
        file: Option<PathBuf>,
        /// Open the file, or a template, in an editor first ($VISUAL, $EDITOR) [default: vi]
        #[arg(long)]
        edit: bool,
        /// The client that runs the job [default: what the file says]
        #[arg(long, value_name = "CLIENT-ID")]
        client: Option<String>,
    },
    /// Change a job: the values of the file replace those of the job
    #[command(
        after_help = "Examples:\n  freezer job update 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 patch.json\n  freezer job update 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 --edit"
    )]
    Update {
        /// Id of the job
        #[arg(value_name = "JOB-ID")]
        id: String,
        /// The file to read; - is standard input
        #[arg(value_name = "FILE", required_unless_present = "edit")]
        file: Option<PathBuf>,
        /// Change the job in an editor ($VISUAL, $EDITOR) [default: vi]
        #[arg(long, conflicts_with = "file")]
        edit: bool,
    },
    /// Schedule a job, or run it at once if it has no timetable
    #[command(after_help = "Example:\n  freezer job start 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Start {
        /// Id of the job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Stop scheduling a job; a run under way goes on to its end
    #[command(after_help = "Example:\n  freezer job stop 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Stop {
        /// Id of the job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// End a run that is under way, and stop scheduling the job
    #[command(after_help = "Example:\n  freezer job abort 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Abort {
        /// Id of the job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Remove a job
    #[command(after_help = "Example:\n  freezer job delete 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Delete {
        /// Id of the job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
}

const JOBS: Resource = Resource::Jobs;

/// Keys that the server writes. A new job made from an old one does not have them.
const OF_THE_SERVER: [&str; 5] = [
    "job_id",
    "project_id",
    "user_id",
    "_version",
    "user_credentials",
];
/// Keys of the schedule that tell of past runs.
const OF_ITS_RUNS: [&str; 7] = [
    "time_created",
    "time_started",
    "time_ended",
    "event",
    "status",
    "result",
    "current_pid",
];

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    match arguments.command {
        Command::List {
            part,
            client,
            all_projects,
        } => list(&server, &part, client.as_deref(), all_projects, session)?,
        Command::Show { id } => {
            let job = wanted(&server, JOBS, &id)?;
            let rows = details(&job, session);
            show(&job, &rows, session)?;
        }
        Command::Get { id } => {
            let job = wanted(&server, JOBS, &id)?;
            session.output.line(serde_json::to_string_pretty(&job)?)?;
        }
        Command::Create { file, edit, client } => {
            let file = file.as_deref().map(read_document).transpose()?;
            let job = new_job(file, edit, client, session)?;
            let id = server.create(JOBS, &job)?;
            tell("created", JOBS, &id, session)?;
        }
        Command::Update { id, file, edit } => {
            let patch = match file {
                Some(file) if !edit => read_document(&file)?,
                _ => edited(wanted(&server, JOBS, &id)?, session)?,
            };
            server.update(JOBS, &id, &patch, None)?;
            tell("changed", JOBS, &id, session)?;
        }
        Command::Start { id } => event(&server, &id, "start", session)?,
        Command::Stop { id } => event(&server, &id, "stop", session)?,
        Command::Abort { id } => event(&server, &id, "abort", session)?,
        Command::Delete { id } => {
            server.delete(JOBS, &id)?;
            tell("deleted", JOBS, &id, session)?;
        }
    }
    Ok(Completion::Done)
}

/// Returns a new job: the file as it is, or the file or a template after the user has edited it.
fn new_job(
    file: Option<Value>,
    edit: bool,
    client: Option<String>,
    session: &Session,
) -> anyhow::Result<Value> {
    let mut job = match (file, edit) {
        (Some(job), false) => job,
        (file, _) => {
            let client = client.as_deref().unwrap_or("PROJECT_HOSTNAME");
            let text = match file {
                Some(job) => serde_json::to_string_pretty(&as_new(job))?,
                None => edit::template(client),
            };
            edit::edit("job", &text, session)?
        }
    };
    if let Some(client) = client {
        job["client_id"] = client.into();
    }
    let has_client = |job: &Value| {
        let client = job.get("client_id").and_then(Value::as_str);
        client.is_some_and(|client| !client.is_empty())
    };
    if !has_client(&job) {
        return Err(Usage::new("the job does not say which client does it")
            .hint("name it: --client CLIENT-ID")
            .into());
    }
    Ok(job)
}

/// Lets the user edit a job; returns the change.
fn edited(job: Value, session: &Session) -> anyhow::Result<Value> {
    let text = serde_json::to_string_pretty(&changeable(job))?;
    edit::edit("job", &text, session)
}

fn list(
    server: &ApiConnection,
    part: &ListOptions,
    client: Option<&str>,
    all_projects: bool,
    session: &mut Session,
) -> anyhow::Result<()> {
    let mut search = part.search();
    if let Some(client) = client {
        let conditions = search.as_object_mut().and_then(|search| {
            search
                .entry("match")
                .or_insert_with(|| json!([]))
                .as_array_mut()
        });
        conditions
            .into_iter()
            .for_each(|conditions| conditions.push(json!({ "client_id": client })));
    }
    let more = if all_projects {
        "&all_projects=True"
    } else {
        ""
    };
    let jobs = server.list(JOBS, &search, part.page(), more)?;
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(&jobs)?);
    }
    let of_schedule = |job: &Value, key: &str| text(job, &format!("/job_schedule/{key}"));
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            [
                text(job, "/job_id"),
                text(job, "/description"),
                text(job, "/client_id"),
                count(job, "/job_actions"),
                timetable(job),
                of_schedule(job, "status"),
                of_schedule(job, "event"),
                of_schedule(job, "result"),
                moment(job, "/job_schedule/time_ended", session),
            ]
        })
        .collect();
    let mut columns = [
        "JOB",
        "DESCRIPTION",
        "CLIENT",
        "ACTIONS",
        "WHEN",
        "STATUS",
        "EVENT",
        "RESULT",
        "ENDED",
    ]
    .map(Column::text);
    columns[3] = Column::number("ACTIONS");
    Ok(session.output.table(columns, &rows)?)
}

/// Says in a few words when a job runs.
fn timetable(job: &Value) -> String {
    let Some(Value::Object(schedule)) = job.get("job_schedule") else {
        return String::new();
    };
    let text = |key: &str| schedule.get(key).and_then(Value::as_str);
    if let Some(date) = text("schedule_date") {
        return format!("at {date}");
    }
    if let Some(interval) = text("schedule_interval") {
        return format!("every {interval}").replace("every continuous", "continuous");
    }
    let fields: Vec<String> = [
        "year",
        "month",
        "day",
        "week",
        "day_of_week",
        "hour",
        "minute",
        "second",
    ]
    .iter()
    .filter_map(|field| Some(format!("{field} {}", text(&format!("schedule_{field}"))?)))
    .collect();
    if fields.is_empty() {
        "once".to_owned()
    } else {
        fields.join(", ")
    }
}

fn details(job: &Value, session: &Session) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("job", text(job, "/job_id")),
        ("description", text(job, "/description")),
        ("client", text(job, "/client_id")),
        ("user", text(job, "/user_id")),
        ("session", text(job, "/session_id")),
        ("when", timetable(job)),
        ("from", text(job, "/job_schedule/schedule_start_date")),
        ("until", text(job, "/job_schedule/schedule_end_date")),
        ("status", text(job, "/job_schedule/status")),
        ("event", text(job, "/job_schedule/event")),
        ("result", text(job, "/job_schedule/result")),
        ("process", text(job, "/job_schedule/current_pid")),
        (
            "started",
            moment(job, "/job_schedule/time_started", session),
        ),
        ("ended", moment(job, "/job_schedule/time_ended", session)),
    ];
    for action in job
        .get("job_actions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let what: Vec<String> = ["action", "backup_name", "path_to_backup"]
            .iter()
            .map(|key| text(action, &format!("/freezer_action/{key}")))
            .collect();
        rows.push((
            "action",
            format!(
                "{}  ({})",
                what.join(" ").trim_end(),
                text(action, "/action_id")
            ),
        ));
    }
    rows
}

fn event(
    server: &ApiConnection,
    id: &str,
    event: &str,
    session: &mut Session,
) -> anyhow::Result<()> {
    let said = server.event(id, event)?;
    let done = if said == "success" {
        format!("{event} requested")
    } else {
        said
    };
    tell(&done, JOBS, id, session)
}

/// Returns a job without the keys that a new one does not have.
fn as_new(mut job: Value) -> Value {
    if let Value::Object(job) = &mut job {
        job.retain(|key, _| !OF_THE_SERVER.contains(&key.as_str()) && !key.starts_with("session_"));
        if let Some(Value::Object(schedule)) = job.get_mut("job_schedule") {
            schedule.retain(|key, _| !OF_ITS_RUNS.contains(&key.as_str()));
        }
    }
    job
}

/// Returns the part of a job that a user can change.
fn changeable(mut job: Value) -> Value {
    if let Value::Object(job) = &mut job {
        job.retain(|key, _| {
            ["description", "client_id", "job_schedule", "job_actions"].contains(&key.as_str())
        });
        if let Some(Value::Object(schedule)) = job.get_mut("job_schedule") {
            schedule.retain(|key, _| key.starts_with("schedule_"));
        }
        // Without its id an action becomes a new one: the change does not touch other jobs.
        for action in job
            .get_mut("job_actions")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Value::Object(action) = action {
                action.retain(|key, _| {
                    [
                        "freezer_action",
                        "max_retries",
                        "max_retries_interval",
                        "mandatory",
                    ]
                    .contains(&key.as_str())
                });
                if let Some(Value::Object(options)) = action.get_mut("freezer_action") {
                    options.retain(|_, value| !value.is_null());
                }
            }
        }
    }
    job
}

#[cfg(test)]
mod tests {
    use super::{as_new, changeable, timetable};
    use serde_json::json;

    #[test]
    fn a_timetable_is_told_in_a_few_words() {
        for (schedule, told) in [
            (json!({}), "once"),
            (json!({"schedule_interval": "2 days"}), "every 2 days"),
            (json!({"schedule_interval": "continuous"}), "continuous"),
            (
                json!({"schedule_hour": "3", "schedule_day_of_week": "sun"}),
                "day_of_week sun, hour 3",
            ),
            (
                json!({"schedule_date": "2026-11-24T12:00:00Z"}),
                "at 2026-11-24T12:00:00Z",
            ),
        ] {
            assert_eq!(timetable(&json!({ "job_schedule": schedule })), told);
        }
    }

    #[test]
    fn what_the_server_and_runs_wrote_is_no_part_of_a_new_job_or_a_change() {
        let job = json!({"job_id": "j", "user_id": "u", "session_id": "s", "description": "d", "client_id": "c",
            "job_schedule": {"status": "completed", "schedule_interval": "1 days"},
            "job_actions": [{"action_id": "a", "mandatory": true, "freezer_action": {"action": "info", "mode": null}}]});
        assert_eq!(
            as_new(job.clone())["job_schedule"],
            json!({"schedule_interval": "1 days"})
        );
        assert_eq!(
            as_new(job.clone()).as_object().map(|job| job.len()),
            Some(4)
        );
        assert_eq!(
            changeable(job)["job_actions"],
            json!([{"mandatory": true, "freezer_action": {"action": "info"}}])
        );
    }
}
