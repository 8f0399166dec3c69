//! A page of a list, as it is answered.

use super::call::{ApiCall, ApiReply};
use super::db::documents::{Collection, Document, RowRange, RowScope, RowSearch, text_of};
use super::error::Failure;
use crate::model::job::{Documented, Field, Job};
use axum::http::StatusCode;

impl ApiCall {
    /// A page of a list.
    pub(super) async fn listing(
        &self,
        collection: &Collection,
        name: &str,
        scope: RowScope,
        search: RowSearch,
    ) -> Result<ApiReply, Failure> {
        let page: RowRange = self.page()?;
        let rows = collection
            .list(&self.server.database, &scope, &search, page)
            .await?;
        let total = if self.flag("total")? {
            Some(
                collection
                    .count(&self.server.database, &scope, &search)
                    .await?,
            )
        } else {
            None
        };
        let privileged = self.may("jobs:get_all_projects");
        let mut body = format!("{{\"{name}\": [");
        for (number, row) in rows.iter().enumerate() {
            if number > 0 {
                body.push_str(", ");
            }
            if !privileged && row.client_project != row.project {
                let document = serde_json::from_str(&row.text)
                    .map_err(|_| Failure::Internal("a stored document cannot be read"))?;
                body.push_str(&text_of(&without_pid(document)));
            } else {
                body.push_str(&row.text);
            }
        }
        body.push_str("]}");
        Ok(ApiReply {
            status: StatusCode::OK,
            body,
            version: None,
            total,
        })
    }
}

/// The process number means nothing outside the project of the node, and is no business of others.
pub(super) fn without_pid(job: Document) -> Document {
    let mut job = Job::of(job);
    if let Some(schedule) = job.job_schedule.get_mut() {
        schedule.course.current_pid = Field::Absent;
    }
    job.document()
}
