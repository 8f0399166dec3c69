//! Objects of the server, and where they are.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A kind of object of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `jobs`
    Jobs,
    /// `sessions`
    Sessions,
    /// `clients`
    Clients,
    /// `actions`
    Actions,
    /// `backups`
    Backups,
}

impl Resource {
    /// Its name in an address and in a list.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Sessions => "sessions",
            Self::Clients => "clients",
            Self::Actions => "actions",
            Self::Backups => "backups",
        }
    }

    /// Returns the word for one object.
    pub fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }

    /// Returns the key of the id in a document.
    pub fn id_key(self) -> String {
        format!("{}_id", self.singular())
    }
}

/// The address of one object, below the project.
pub fn address(resource: Resource, id: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    let id = utf8_percent_encode(id, ESCAPED);
    format!("{}/{id}", resource.plural())
}

/// Returns the address of a job in a session, below the project.
pub(super) fn member(session: &str, job: &str) -> String {
    format!(
        "{}/{}",
        address(Resource::Sessions, session),
        address(Resource::Jobs, job)
    )
}

#[cfg(test)]
mod tests {
    use super::{Resource, address};

    #[test]
    fn an_id_stays_one_part_of_the_address() {
        assert_eq!(
            address(Resource::Clients, "p_vm.x/../jobs?a"),
            "clients/p_vm.x%2F..%2Fjobs%3Fa"
        );
    }
}
