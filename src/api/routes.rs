//! Which address does what: a table.

use super::call::{ApiCall, ApiReply};
use super::error::Failure;
use super::{actions, backups, clients, jobs, sessions};
use axum::http::Method;
use std::pin::Pin;

type RunningCall<'c> = Pin<Box<dyn Future<Output = Result<ApiReply, Failure>> + Send + 'c>>;

/// A route: a method, an address and its handler.
pub(super) struct Route {
    /// The method.
    pub(super) method: Method,
    /// The address, below the version and the project.
    pub(super) path: &'static str,
    /// The rule of the policy that allows it.
    pub(super) rule: &'static str,
    /// The status of the answer when it succeeds.
    pub(super) success: u16,
    /// The sentence for people about it.
    pub(super) about: &'static str,
    /// Whether version 1 has it.
    pub(super) in_v1: bool,
    /// The handler.
    pub(super) run: for<'c> fn(&'c ApiCall) -> RunningCall<'c>,
}

macro_rules! route {
    (
        $method:ident $path:literal, $rule:literal, $success:literal, $v1:literal, $run:path,
        $about:literal
    ) => {
        Route {
            method: Method::$method,
            path: $path,
            rule: $rule,
            success: $success,
            about: $about,
            in_v1: $v1,
            run: |call| Box::pin($run(call)),
        }
    };
}

/// All routes.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route!(GET "/backups", "backups:get_all", 200, true, backups::list, "Lists backups."),
    route!(POST "/backups", "backups:create", 201, true, backups::create, "Records a backup."),
    route!(GET "/backups/{id}", "backups:get", 200, true, backups::get, "Gives one backup."),
    route!(POST "/backups/{id}", "backups:create", 201, false, backups::create_as,
        "Records a backup under an id; 409 if there is one."),
    route!(PATCH "/backups/{id}", "backups:update", 200, false, backups::update,
        "Changes what is recorded of a backup."),
    route!(DELETE "/backups/{id}", "backups:delete", 204, true, backups::delete,
        "Removes the record of a backup."),
    route!(GET "/clients", "clients:get_all", 200, true, clients::list, "Lists clients."),
    route!(POST "/clients", "clients:create", 201, true, clients::create, "Registers a client."),
    route!(GET "/clients/{id}", "clients:get", 200, true, clients::get, "Gives one client."),
    route!(DELETE "/clients/{id}", "clients:delete", 204, true, clients::delete,
        "Removes a client."),
    route!(GET "/jobs", "jobs:get_all", 200, true, jobs::list, "Lists jobs."),
    route!(POST "/jobs", "jobs:create", 201, true, jobs::create, "Makes a job."),
    route!(GET "/jobs/{id}", "jobs:get", 200, true, jobs::get, "Gives one job."),
    route!(PATCH "/jobs/{id}", "jobs:update", 200, true, jobs::update, "Changes a job."),
    route!(POST "/jobs/{id}", "jobs:create", 201, true, jobs::replace, "Makes or replaces a job."),
    route!(DELETE "/jobs/{id}", "jobs:delete", 204, true, jobs::delete, "Removes a job."),
    route!(POST "/jobs/{id}/event", "jobs:event:create", 202, true, jobs::event,
        "Starts, stops or aborts a job."),
    route!(GET "/actions", "actions:get_all", 200, true, actions::list, "Lists actions."),
    route!(POST "/actions", "actions:create", 201, true, actions::create, "Makes an action."),
    route!(GET "/actions/{id}", "actions:get", 200, true, actions::get, "Gives one action."),
    route!(PATCH "/actions/{id}", "actions:update", 200, true, actions::update,
        "Changes an action."),
    route!(POST "/actions/{id}", "actions:replace", 201, true, actions::replace,
        "Makes or replaces an action."),
    route!(DELETE "/actions/{id}", "actions:delete", 204, true, actions::delete,
        "Removes an action."),
    route!(GET "/sessions", "sessions:get_all", 200, true, sessions::list, "Lists sessions."),
    route!(POST "/sessions", "sessions:create", 201, true, sessions::create, "Makes a session."),
    route!(GET "/sessions/{id}", "sessions:get", 200, true, sessions::get, "Gives one session."),
    route!(PATCH "/sessions/{id}", "sessions:update", 200, true, sessions::update,
        "Changes a session."),
    route!(POST "/sessions/{id}", "sessions:replace", 201, true, sessions::replace,
        "Makes or replaces a session."),
    route!(DELETE "/sessions/{id}", "sessions:delete", 204, true, sessions::delete,
        "Removes a session."),
    route!(POST "/sessions/{id}/action", "sessions:action:create", 202, true, sessions::action,
        "Starts or ends a job of a session."),
    route!(PUT "/sessions/{id}/jobs/{job_id}", "sessions:job:add", 204, true, sessions::add_job,
        "Adds a job to a session."),
    route!(DELETE "/sessions/{id}/jobs/{job_id}", "sessions:job:remove", 204, true,
        sessions::remove_job, "Takes a job out of a session."),
];
