//! Jobs without a server: a folder of job files.

use super::book::Seen;
use super::fields::{Document, text};
use serde_json::Value;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Most bytes of a job file.
const LONGEST: u64 = 4 << 20;

/// The jobs of all files that end in `.conf` or `.json`, or of the one file that this is, and
/// whether these are all: a file that cannot be read is told of and left out. Somebody may be
/// writing it, and its job is not to be forgotten.
///
/// # Errors
///
/// When the folder itself cannot be read: that is no reason to forget its jobs.
pub(super) fn jobs(place: &Path) -> io::Result<(Vec<Document>, Seen)> {
    let mut files: Vec<PathBuf> = if place.is_dir() {
        std::fs::read_dir(place)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?
    } else {
        std::fs::File::open(place)?;
        vec![place.to_owned()]
    };
    files.retain(|file| {
        let extension = file
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        ["conf", "json"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
            || file == place
    });
    files.sort();
    let mut jobs: Vec<Document> = Vec::new();
    let mut seen = Seen::All;
    for file in files {
        match job(&file) {
            Ok(job)
                if jobs
                    .iter()
                    .any(|other| other.get("job_id") == job.get("job_id")) =>
            {
                tracing::warn!(file = %file.display(), job = %text(&job, "job_id"), "another file has a job of this id");
            }
            Ok(job) => jobs.push(job),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "a job file is left out");
                seen = Seen::Some;
            }
        }
    }
    Ok((jobs, seen))
}

/// The job of a file. One without an id is known by the name of its file.
fn job(file: &Path) -> io::Result<Document> {
    let mut content = String::new();
    std::fs::File::open(file)?
        .take(LONGEST)
        .read_to_string(&mut content)?;
    let Value::Object(mut job) = serde_json::from_str(&content)? else {
        return Err(io::Error::other("it holds no JSON object"));
    };
    if text(&job, "job_id").is_empty() {
        let name = file
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        job.insert("job_id".into(), name.into());
    }
    // How it went elsewhere is nothing to go by: what went on here is in the journal.
    if let Some(Value::Object(schedule)) = job.get_mut("job_schedule") {
        schedule.retain(|key, _| key.starts_with("schedule_"));
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::jobs;

    #[test]
    fn a_bad_file_keeps_none_of_the_others_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written")
        };
        write("a.conf", "{\"job_actions\": []}");
        write("b.CONF", "{");
        write(
            "c.json",
            "{\"job_id\": \"x\", \"job_schedule\": {\"status\": \"completed\", \"schedule_interval\": \"1 day\"}}",
        );
        write("d.conf", "{\"job_id\": \"x\"}");
        write("e.txt", "{\"job_id\": \"y\"}");
        write("f.conf", "[1]");
        let (jobs, seen) = jobs(folder.path()).expect("a folder");
        assert_eq!(seen, super::Seen::Some);
        let ids: Vec<_> = jobs
            .iter()
            .map(|job| job["job_id"].as_str().expect("a text"))
            .collect();
        assert_eq!(ids, ["a", "x"]);
        assert_eq!(
            jobs[1]["job_schedule"],
            serde_json::json!({"schedule_interval": "1 day"})
        );
        super::jobs(&folder.path().join("none")).expect_err("no folder");
    }
}
