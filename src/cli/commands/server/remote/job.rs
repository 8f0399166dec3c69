//! `freezer job`.

use super::documents::{DocumentList, Documents};
use super::job_document::{edited, new_job};
use super::list_options::ListOptions;
use super::show::{field, second, tell, wanted};
use crate::cli::open::json_file::read_document;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::Column;
use crate::model::job::{Documented, Job, JobEvent, RunResult, Words};
use crate::model::printable_json;
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
    #[command(after_help = "Examples:\n  freezer job list --client tecs_web1\
            \n  freezer job list --search nightly --json")]
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
   \"job_actions\": [{\"freezer_action\": {\"action\": \"backup\", \"backup_name\": \"home\", \
       \"path_to_backup\": \"/home\"}}]}")]
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
        after_help = "Examples:\n  freezer job update 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 patch.json\
            \n  freezer job update 0c9f1d7f5cf44ee5a06f1f2bd7bfa9a7 --edit"
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

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    let documents = Documents {
        server: &server,
        resource: JOBS,
    };
    match arguments.command {
        Command::List {
            part,
            client,
            all_projects,
        } => {
            let mut list = DocumentList::new(&part, columns(), row);
            if let Some(client) = client.as_deref() {
                list.search = of_client(list.search, client);
            }
            if all_projects {
                list.more = "&all_projects=True";
            }
            documents.list(list, session)?;
        }
        Command::Show { id } => documents.show(&id, details, session)?,
        Command::Get { id } => {
            let job = wanted(&server, JOBS, &id)?;
            let text = serde_json::to_string_pretty(&job)?;
            session.output.line(printable_json(&text))?;
        }
        Command::Create { file, edit, client } => {
            let file = file.as_deref().map(read_document).transpose()?;
            let job = new_job(file, edit, client, session)?;
            documents.create_from(&Value::Object(job.document()), session)?;
        }
        Command::Update { id, file, edit } => {
            let patch = match file {
                Some(file) if !edit => read_document(&file)?,
                _ => edited(wanted(&server, JOBS, &id)?, session)?,
            };
            documents.update(&id, &patch, session)?;
        }
        Command::Start { id } => event(&server, &id, JobEvent::Start, session)?,
        Command::Stop { id } => event(&server, &id, JobEvent::Stop, session)?,
        Command::Abort { id } => event(&server, &id, JobEvent::Abort, session)?,
        Command::Delete { id } => documents.delete(&id, session)?,
    }
    Ok(Completion::Done)
}

/// Returns a search for jobs of one client alone.
fn of_client(mut search: Value, client: &str) -> Value {
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
    search
}

fn columns() -> [Column; 9] {
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
    columns
}

fn row(job: Value, session: &Session) -> [String; 9] {
    let job = Job::leniently_of(job);
    let actions = job.job_actions.get().map_or(0, |list| list.0.len());
    let schedule = job.schedule().cloned().unwrap_or_default();
    let course = &schedule.course;
    [
        field(&job.job_id),
        field(&job.description),
        field(&job.client_id),
        actions.to_string(),
        timetable(&job),
        field(&course.status),
        field(&course.event),
        field(&course.result),
        second(&course.time_ended, session),
    ]
}

/// Says in a few words when a job runs.
fn timetable(job: &Job) -> String {
    let Some(schedule) = job.schedule() else {
        return String::new();
    };
    let when = &schedule.when;
    let (date, interval) = (when.schedule_date.text(), when.schedule_interval.text());
    if !date.is_empty() {
        return format!("at {date}");
    }
    if !interval.is_empty() {
        return format!("every {interval}").replace("every continuous", "continuous");
    }
    let set = when
        .calendar()
        .into_iter()
        .filter(|(_, text)| !text.is_empty());
    let fields: Vec<String> = set.map(|(name, text)| format!("{name} {text}")).collect();
    if fields.is_empty() {
        "once".to_owned()
    } else {
        fields.join(", ")
    }
}

fn details(job: Value, session: &Session) -> Vec<(&'static str, String)> {
    let job = Job::leniently_of(job);
    let schedule = job.schedule().cloned().unwrap_or_default();
    let (when, course) = (&schedule.when, &schedule.course);
    let mut rows = vec![
        ("job", field(&job.job_id)),
        ("description", field(&job.description)),
        ("client", field(&job.client_id)),
        ("user", field(&job.user_id)),
        ("session", field(&job.session_id)),
        ("when", timetable(&job)),
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
        ]
        .join(" ");
        let id = field(&action.action_id);
        rows.push(("action", format!("{}  ({id})", what.trim_end())));
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
    tell(&done, JOBS, id, session)
}

#[cfg(test)]
mod tests {
    use super::timetable;
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
}
