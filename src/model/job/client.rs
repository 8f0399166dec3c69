//! A client: a node that is registered.

use super::field::{Field, fields, open_document};
use super::text::{AnyText, FormedText, HostName, NodeName, Plain, SomeWords, WordList};
use super::words::{ActionWords, EngineWords, ModeWords, StorageWords};

fields! {
    /// A client as the server stores and answers it.
    pub struct Client {
        /// The project that registered the node.
        project_id: FormedText<AnyText>,
        /// The user who registered the node.
        user_id: FormedText<AnyText>,
        /// What the node says of itself.
        client: ClientInfo,
    }
    more
}

open_document!(Client, "a client");

fields! {
    /// What a node says of itself when it registers.
    pub struct ClientInfo {
        /// What jobs call the node.
        client_id: FormedText<NodeName>,
        /// The name of the node in its network.
        hostname: FormedText<HostName>,
        /// For people.
        description: FormedText<Plain>,
        /// Tells the node from others of its name; the server makes one where there is none.
        uuid: FormedText<Plain>,
        /// The actions that the node can do.
        supported_actions: SomeWords<ActionWords>,
        /// The applications that the node can see to.
        supported_modes: SomeWords<ModeWords>,
        /// The storages that the node can use.
        supported_storages: SomeWords<StorageWords>,
        /// The engines that the node has.
        supported_engines: SomeWords<EngineWords>,
        /// Whether all projects see the node.
        is_central: bool,
    }
    more
}

open_document!(ClientInfo, "client");

/// What the original's node can do, which is supposed of one that does not say.
const USUAL_ACTIONS: &[&str] = &["backup", "restore", "info", "admin", "exec"];
const USUAL_MODES: &[&str] = &[
    "fs",
    "mongo",
    "mysql",
    "sqlserver",
    "cinder",
    "glance",
    "cindernative",
    "nova",
];
const USUAL_STORAGES: &[&str] = &["local", "swift", "ssh", "s3", "ftp", "ftps"];

impl ClientInfo {
    /// Drops unknown keys and fills in the others. The uuid stays null where the node says none.
    pub fn complete(&mut self) {
        self.more.clear();
        null_if_absent(&mut self.hostname);
        null_if_absent(&mut self.description);
        if self.uuid.text().is_empty() {
            self.uuid = Field::Null;
        }
        self.supported_actions.fill(SomeWords::field(USUAL_ACTIONS));
        self.supported_modes.fill(SomeWords::field(USUAL_MODES));
        self.supported_storages
            .fill(SomeWords::field(USUAL_STORAGES));
        self.supported_engines
            .fill(SomeWords::field(EngineWords::WORDS));
        self.is_central.fill(false);
    }

    /// Whether all projects see the node.
    pub fn is_seen_by_all(&self) -> bool {
        self.is_central.get() == Some(&true)
    }
}

fn null_if_absent<T>(field: &mut Field<T>) {
    if field.is_absent() {
        *field = Field::Null;
    }
}
