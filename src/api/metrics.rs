//! How many requests there were, how they went and how long they took, for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Up to how many seconds a request took.
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The counts of this process since it began.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Guards the counts, by method, address and status. Addresses are those of the table, so there
    /// is an end to them.
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), Count>>,
}

#[derive(Debug, Default)]
struct Count {
    requests: u64,
    seconds: f64,
    buckets: [u64; BUCKETS.len()],
}

impl Metrics {
    /// Counts one.
    pub(super) fn count(&self, method: &str, path: &'static str, status: u16, took: Duration) {
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        let method = known
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("other");
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let count = requests.entry((method, path, status)).or_default();
        count.requests += 1;
        count.seconds += took.as_secs_f64();
        for (bucket, bound) in count.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(took.as_secs_f64() <= bound);
        }
    }

    /// The page.
    pub(super) fn text(&self, database_up: bool) -> String {
        let mut text = String::from(
            "# HELP freezer_api_database_up Whether the database answers.\
             \n# TYPE freezer_api_database_up gauge\n",
        );
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            writeln!(text, "{arguments}").expect("a String takes all")
        };
        line(format_args!(
            "freezer_api_database_up {}",
            u8::from(database_up)
        ));
        line(format_args!(
            "# HELP freezer_api_request_seconds How long requests took.\
             \n# TYPE freezer_api_request_seconds histogram"
        ));
        for ((method, path, status), count) in
            &*self.requests.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let labels = format!("method=\"{method}\",path=\"{path}\",status=\"{status}\"");
            for (bucket, bound) in count.buckets.iter().zip(BUCKETS) {
                line(format_args!(
                    "freezer_api_request_seconds_bucket{{{labels},le=\"{bound}\"}} {bucket}"
                ));
            }
            line(format_args!(
                "freezer_api_request_seconds_bucket{{{labels},le=\"+Inf\"}} {}",
                count.requests
            ));
            line(format_args!(
                "freezer_api_request_seconds_sum{{{labels}}} {}",
                count.seconds
            ));
            line(format_args!(
                "freezer_api_request_seconds_count{{{labels}}} {}",
                count.requests
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Metrics};

    #[test]
    fn requests_are_counted_by_what_they_were() {
        let metrics = Metrics::default();
        metrics.count("GET", "/jobs", 200, Duration::from_millis(3));
        metrics.count("GET", "/jobs", 200, Duration::from_millis(300));
        metrics.count("BREW", "unknown", 404, Duration::ZERO);
        let text = metrics.text(true);
        assert!(
            text.contains(
                "freezer_api_request_seconds_count{method=\"GET\",path=\"/jobs\",status=\"200\"} \
                 2\n"
            ),
            "{text}",
        );
        assert!(
            text.contains("{method=\"GET\",path=\"/jobs\",status=\"200\",le=\"0.005\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("method=\"other\"") && text.contains("freezer_api_database_up 1\n"),
            "{text}"
        );
    }
}
