//! Who asks.

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Caller {
    /// His id.
    pub(in crate::api) user_id: String,
    /// His name.
    pub(in crate::api) user_name: String,
    /// The project that his token is for.
    pub(in crate::api) project_id: String,
    /// His roles there, in lower case.
    pub(in crate::api) roles: Vec<String>,
    /// The node, for a token that is for one node alone.
    pub(in crate::api) client_id: Option<String>,
}
