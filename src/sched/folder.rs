//! Jobs without a server: a folder of job files.

use super::book::Sighting;
use crate::model::job::{Documented, Job};
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
pub(super) fn jobs(place: &Path) -> io::Result<(Vec<Job>, Sighting)> {
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
    let mut jobs: Vec<Job> = Vec::new();
    let mut seen = Sighting::All;
    for file in files {
        match job(&file) {
            Ok(job)
                if jobs
                    .iter()
                    .any(|other| other.job_id.text() == job.job_id.text()) =>
            {
                tracing::warn!(
                    file = %file.display(),
                    job = %job.job_id.text(),
                    "a job file is ignored: another file has a job with the same id",
                );
            }
            Ok(job) => jobs.push(job),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "a job file is ignored");
                seen = Sighting::Some;
            }
        }
    }
    Ok((jobs, seen))
}

/// The job of a file. One without an id is known by the name of its file.
fn job(file: &Path) -> io::Result<Job> {
    let mut content = String::new();
    std::fs::File::open(file)?
        .take(LONGEST)
        .read_to_string(&mut content)?;
    let Value::Object(job) = serde_json::from_str(&content)? else {
        return Err(io::Error::other("it holds no JSON object"));
    };
    let mut job = Job::leniently(job);
    if job.job_id.text().is_empty() {
        let name = file
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        job.job_id = name.into();
    }
    // How it went elsewhere is nothing to go by: what went on here is in the journal.
    if let Some(schedule) = job.job_schedule.get_mut() {
        *schedule = std::mem::take(schedule).only_when();
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::jobs;
    use crate::model::job::{Documented, Schedule};

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
            "{\"job_id\": \"x\", \"job_schedule\": {\"status\": \"completed\", \
             \"schedule_interval\": \"1 day\"}}",
        );
        write("d.conf", "{\"job_id\": \"x\"}");
        write("e.txt", "{\"job_id\": \"y\"}");
        write("f.conf", "[1]");
        let (jobs, seen) = jobs(folder.path()).expect("a folder");
        assert_eq!(seen, super::Sighting::Some);
        let ids: Vec<_> = jobs.iter().map(|job| job.job_id.text()).collect();
        assert_eq!(ids, ["a", "x"]);
        assert_eq!(
            jobs[1].schedule().map(Schedule::document),
            serde_json::json!({"schedule_interval": "1 day"})
                .as_object()
                .cloned()
        );
        super::jobs(&folder.path().join("none")).expect_err("no folder");
    }
}
