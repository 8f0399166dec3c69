//! `freezer job`.

use super::{
    ListOptions, ServerOptions, connect, edit, field, read_document, second, show, told, wanted,
};
use crate::cli::failure::{Outcome, Usage};
use crate::cli::output::{Column, Format};
use crate::cli::session::Session;
use crate::model::job::{
    Action, AgentOptions, Course, Document, Documented, Field, Job, JobEvent, RunResult, Words,
};
use crate::sched::connection::{ApiConnection, Resource};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Jobs: what a node does when
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
        /// Those of this client alone
        #[arg(long, value_name = "CLIENT-ID")]
        client: Option<String>,
        /// Those of all projects, for who may see them
        #[arg(long)]
        all_projects: bool,
    },
    /// Show one job
    #[command(after_help = "Example:\n  freezer job show 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Show {
        /// The job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Print one job as a file that `create` and `update` take
    #[command(
        after_help = "Example:\n  freezer job get 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 > job.json"
    )]
    Get {
        /// The job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Make a job out of a file, and print its id
    #[command(after_help = "Examples:
  freezer job create --file job.json --client tecs_web1
  freezer job create --edit

A file is JSON, as the original has it:
  {\"description\": \"nightly\", \"job_schedule\": {\"schedule_interval\": \"1 day\"},
   \"job_actions\": [{\"freezer_action\": {\"action\": \"backup\", \"backup_name\": \"home\", \"path_to_backup\": \"/home\"}}]}")]
    Create {
        /// The file; - is standard input
        #[arg(long, value_name = "FILE", required_unless_present = "edit")]
        file: Option<PathBuf>,
        /// Write it in an editor ($VISUAL, $EDITOR), beginning with the file or a template
        #[arg(long)]
        edit: bool,
        /// The client that does it [default: what the file says]
        #[arg(long, value_name = "CLIENT-ID")]
        client: Option<String>,
    },
    /// Change a job: what the file says is put over what there is
    #[command(
        after_help = "Examples:\n  freezer job update 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 patch.json\n  freezer job update 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 --edit"
    )]
    Update {
        /// The job
        #[arg(value_name = "JOB-ID")]
        id: String,
        /// The file; - is standard input
        #[arg(value_name = "FILE", required_unless_present = "edit")]
        file: Option<PathBuf>,
        /// Change it in an editor
        #[arg(long, conflicts_with = "file")]
        edit: bool,
    },
    /// Have a job scheduled, or run at once where it has no timetable
    #[command(after_help = "Example:\n  freezer job start 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Start {
        /// The job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Have a job no longer run; a run under way goes on to its end
    #[command(after_help = "Example:\n  freezer job stop 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Stop {
        /// The job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// End a run that is under way, and have the job no longer run
    #[command(after_help = "Example:\n  freezer job abort 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Abort {
        /// The job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
    /// Remove a job
    #[command(after_help = "Example:\n  freezer job delete 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7")]
    Delete {
        /// The job
        #[arg(value_name = "JOB-ID")]
        id: String,
    },
}

const JOBS: Resource = Resource::Jobs;

pub(in crate::cli) fn run(arguments: Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let server = connect(&arguments.server, session)?;
    match arguments.command {
        Command::List {
            part,
            client,
            all_projects,
        } => list(&server, &part, client.as_deref(), all_projects, session)?,
        Command::Show { id } => {
            let job = wanted(&server, JOBS, &id)?;
            let rows = details(&Job::leniently_of(job.clone()), session);
            show(&job, &rows, session)?;
        }
        Command::Get { id } => {
            let job = wanted(&server, JOBS, &id)?;
            session.output.line(serde_json::to_string_pretty(&job)?)?;
        }
        Command::Create { file, edit, client } => {
            let given = file.as_deref().map(read_document).transpose()?;
            let job = match (given, edit) {
                (Some(job), false) => job,
                (given, _) => {
                    let client = client.as_deref().unwrap_or("PROJECT_HOSTNAME");
                    let text = match given {
                        Some(job) => serde_json::to_string_pretty(&as_new(job))?,
                        None => edit::template(client),
                    };
                    edit::edit("job", &text, session)?
                }
            };
            // As it is: what is wrong in it, the server says.
            let mut job = Job::of(job.as_object().cloned().unwrap_or_default());
            if let Some(client) = client {
                job.client_id = client.into();
            }
            if job.client_id.text().is_empty() {
                return Err(Usage::new("the job does not say which client does it")
                    .hint("name it: --client CLIENT-ID")
                    .into());
            }
            let id = server.create(JOBS, &Value::Object(job.document()))?;
            told("created", JOBS, &id, session)?;
        }
        Command::Update { id, file, edit } => {
            let patch = match file {
                Some(file) if !edit => read_document(&file)?,
                _ => {
                    let job = wanted(&server, JOBS, &id)?;
                    edit::edit(
                        "job",
                        &serde_json::to_string_pretty(&changeable(job))?,
                        session,
                    )?
                }
            };
            server.update(JOBS, &id, &patch, None)?;
            told("changed", JOBS, &id, session)?;
        }
        Command::Start { id } => event(&server, &id, JobEvent::Start, session)?,
        Command::Stop { id } => event(&server, &id, JobEvent::Stop, session)?,
        Command::Abort { id } => event(&server, &id, JobEvent::Abort, session)?,
        Command::Delete { id } => {
            server.delete(JOBS, &id)?;
            told("deleted", JOBS, &id, session)?;
        }
    }
    Ok(Outcome::Done)
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
        let of_client = Job {
            client_id: client.into(),
            ..Job::default()
        };
        let conditions = search.as_object_mut().and_then(|search| {
            search
                .entry("match")
                .or_insert_with(|| json!([]))
                .as_array_mut()
        });
        conditions
            .into_iter()
            .for_each(|conditions| conditions.push(json!(of_client)));
    }
    let more = if all_projects {
        "&all_projects=True"
    } else {
        ""
    };
    let jobs = server.list(JOBS, &search, part.page(), more)?;
    if session.output.format == Format::Json {
        return Ok(session.output.json(&jobs)?);
    }
    let rows: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let job = Job::leniently_of(job);
            let course = job
                .schedule()
                .map_or_else(Default::default, |one| one.course.clone());
            [
                field(&job.job_id),
                field(&job.description),
                field(&job.client_id),
                job.job_actions
                    .get()
                    .map_or(0, |list| list.0.len())
                    .to_string(),
                timetable(&job),
                field(&course.status),
                field(&course.event),
                field(&course.result),
                second(&course.time_ended, session),
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

/// When a job runs, in a few words.
fn timetable(job: &Job) -> String {
    let Some(schedule) = job.schedule() else {
        return String::new();
    };
    let when = &schedule.when;
    if !when.schedule_date.text().is_empty() {
        return format!("at {}", when.schedule_date.text());
    }
    if !when.schedule_interval.text().is_empty() {
        let interval = when.schedule_interval.text();
        return format!("every {interval}").replace("every continuous", "continuous");
    }
    let fields: Vec<String> = when
        .calendar()
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name} {text}"))
        .collect();
    if fields.is_empty() {
        "once".to_owned()
    } else {
        fields.join(", ")
    }
}

fn details(job: &Job, session: &Session) -> Vec<(&'static str, String)> {
    let schedule = job.schedule().cloned().unwrap_or_default();
    let (when, course) = (&schedule.when, &schedule.course);
    let mut rows = vec![
        ("job", field(&job.job_id)),
        ("description", field(&job.description)),
        ("client", field(&job.client_id)),
        ("user", field(&job.user_id)),
        ("session", field(&job.session_id)),
        ("when", timetable(job)),
        ("from", field(&when.schedule_start_date)),
        ("until", field(&when.schedule_end_date)),
        ("status", field(&course.status)),
        ("event", field(&course.event)),
        ("result", field(&course.result)),
        ("process", field(&course.current_pid)),
        ("started", second(&course.time_started, session)),
        ("ended", second(&course.time_ended, session)),
    ];
    for action in job.actions() {
        let options = action.options().cloned().unwrap_or_default();
        let what = [
            field(&options.action),
            field(&options.backup_name),
            field(&options.path_to_backup),
        ];
        let what = what.join(" ");
        rows.push((
            "action",
            format!("{}  ({})", what.trim_end(), field(&action.action_id)),
        ));
    }
    rows
}

fn event(
    server: &ApiConnection,
    id: &str,
    event: JobEvent,
    session: &mut Session,
) -> anyhow::Result<()> {
    let said = server.event(id, event.word())?;
    let done = if said == RunResult::Success.word() {
        format!("{} requested", event.word())
    } else {
        said
    };
    told(&done, JOBS, id, session)
}

fn document_of(value: Value) -> Document {
    value.as_object().cloned().unwrap_or_default()
}

/// A job as a new one is made of it: without what the server writes itself, and how the job went.
fn as_new(job: Value) -> Value {
    let mut job = Job::of(document_of(job));
    job.job_id = Field::Absent;
    job.project_id = Field::Absent;
    job.user_id = Field::Absent;
    job._version = Field::Absent;
    job.user_credentials = Field::Absent;
    job.session_id = Field::Absent;
    job.session_tag = Field::Absent;
    job.session_name = Field::Absent;
    if let Some(schedule) = job.job_schedule.get_mut() {
        schedule.course = Course::default();
    }
    Value::Object(job.document())
}

/// What of a job a person changes.
fn changeable(job: Value) -> Value {
    let job = Job::of(document_of(job));
    let mut left = Job {
        description: job.description,
        client_id: job.client_id,
        job_schedule: job.job_schedule,
        job_actions: job.job_actions,
        ..Job::default()
    };
    if let Some(schedule) = left.job_schedule.get_mut() {
        *schedule = std::mem::take(schedule).only_when();
    }
    for action in left
        .job_actions
        .get_mut()
        .into_iter()
        .flat_map(|list| &mut list.0)
    {
        if let Some(action) = action.get_mut() {
            *action = changeable_action(std::mem::take(action));
        }
    }
    Value::Object(left.document())
}

/// What of an action a person changes. Without its id it can be changed: it becomes another one.
fn changeable_action(action: Action) -> Action {
    let mut left = Action {
        freezer_action: action.freezer_action,
        max_retries: action.max_retries,
        max_retries_interval: action.max_retries_interval,
        mandatory: action.mandatory,
        ..Action::default()
    };
    if let Some(options) = left.freezer_action.get_mut() {
        let mut said = options.document();
        said.retain(|_, value| !value.is_null());
        *options = AgentOptions::of(said);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::{as_new, changeable, timetable};
    use crate::model::job::{Documented, Job};
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
            let job = Job::leniently_of(json!({ "job_schedule": schedule }));
            assert_eq!(timetable(&job), told);
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
