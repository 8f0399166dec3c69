//! Options of the original Freezer that this one does not have: each is refused with what to do
//! about it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to tell about an option that clap does not know and the original has.
pub(in crate::cli) fn refusal(error: &clap::Error) -> Option<String> {
    let argument = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(argument))) => argument,
        _ => return None,
    };
    let name = if argument == "-s" {
        "snapshot"
    } else {
        argument.strip_prefix("--")?
    };
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    Some(format!(
        "freezer: there is no option {argument} in this version\nhint: {}",
        advice(name)?
    ))
}

/// What to do instead of giving an option that the original has; `None` for a name that it does not
/// have either.
pub(in crate::cli) fn advice(name: &str) -> Option<&'static str> {
    let (_, advice) = NAMES
        .iter()
        .find(|(names, _)| names.contains(&name))
        .or_else(|| {
            let family = |prefix: &&str| name.starts_with(*prefix) && name.len() > prefix.len();
            FAMILIES
                .iter()
                .find(|(prefixes, _)| prefixes.iter().any(family))
        })?;
    Some(advice)
}

const LATER_STORES: &str =
    "stores over FTP do not exist in this version: there are folders, Swift, S3 and SFTP";
const OPENSTACK: &str =
    "volumes, servers and images of OpenStack cannot be backed up in this version";
const SNAPSHOTS: &str = "volume snapshots are not taken in this version: take one yourself and back up where it is mounted";
const DATABASES: &str =
    "databases cannot be held still in this version: back up a dump of it, or a snapshot";
const LOGGING: &str = "logs go to standard error (-v, -vv) and with --log-file FILE to a file";

/// Names and what to do about them.
const NAMES: [(&[&str], &str); 16] = [
    (
        &["action"],
        "write the command first: freezer backup, restore, list or prune",
    ),
    (
        &[
            "remove-older-than",
            "remove-older-then",
            "remove-from-date",
            "remove-before-date",
        ],
        "freezer prune and freezer backup remove points in time; this command does not",
    ),
    (
        &["fullbackup-rotation", "cindernative-freezer-only"],
        OPENSTACK,
    ),
    (
        &["dereference-symlink"],
        "symbolic links are kept as links: name what they point to as another PATH",
    ),
    (&["snapshot", "vssadmin"], SNAPSHOTS),
    (
        &["sync", "nosync"],
        "freezer backup takes it: this command writes nothing that would have to be flushed before",
    ),
    (&["mysql-conf", "sql-server-conf"], DATABASES),
    (
        &["command"],
        "commands are not run in this version: run it before or after freezer",
    ),
    (
        &["consistency-check", "consistency-checksum"],
        "every byte is stored with a checksum and compared when it is read; freezer check --read-data reads all of them",
    ),
    (
        &["project-id", "backup-id", "temp-resource-prefix", "osrc"],
        OPENSTACK,
    ),
    (&["upload"], "a backup is always stored: leave it out"),
    (
        &["ssh-password"],
        "name a key with --ssh-key, or let an agent hold one: ssh asks for no password here",
    ),
    (
        &["get-object", "dst-file"],
        "freezer cat BACKUP PATH prints one file, freezer restore BACKUP PATH --target DIR writes it",
    ),
    (
        &["list-containers", "list-objects"],
        "freezer list shows the backups of a store, freezer ls the files of one",
    ),
    (
        &["encryption-password"],
        "a passphrase on a command line can be seen by everyone: write it to a file, --encrypt-pass-file FILE",
    ),
    (
        &["config-file", "config-dir"],
        "--config FILE names the configuration file",
    ),
];

/// What families of names begin with, and what to do about them.
const FAMILIES: [(&[&str], &str); 7] = [
    (&["lvm-"], SNAPSHOTS),
    (&["nova-", "glance-"], OPENSTACK),
    (
        &["os-"],
        "what OpenStack needs to know comes from its own variables (OS_AUTH_URL, OS_USERNAME, …) or, with OS_CLOUD, from clouds.yaml",
    ),
    (&["cinder-", "cindernative-", "cinderbrick-"], OPENSTACK),
    (&["ftp-"], LATER_STORES),
    (&["log-", "use-"], LOGGING),
    (&["syslog-"], LOGGING),
];

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn an_option_of_the_original_is_known_alone_or_by_its_family() {
        for name in [
            "dereference-symlink",
            "os-auth-ver",
            "lvm-snapsize",
            "ssh-password",
            "syslog-log-facility",
            "use-json",
            "cindernative-vol-id",
        ] {
            assert!(advice(name).is_some(), "{name}");
        }
        for name in ["store", "os-", "colour", ""] {
            assert!(advice(name).is_none(), "{name}");
        }
    }
}
