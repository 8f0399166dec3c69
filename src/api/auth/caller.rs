//! The caller of a request.

/// The caller of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Caller {
    /// The id of the user.
    pub(in crate::api) user_id: String,
    /// The name of the user.
    pub(in crate::api) user_name: String,
    /// The project that the token is for.
    pub(in crate::api) project_id: String,
    /// The roles in that project, in lower case.
    pub(in crate::api) roles: Vec<String>,
    /// The node, for a token that is for one node alone.
    pub(in crate::api) client_id: Option<String>,
}
