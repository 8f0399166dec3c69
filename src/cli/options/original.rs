//! Options of the original Freezer that this one does not have. Each is refused with advice.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Returns the refusal of an option of the original that clap does not know.
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
        "freezer: this version has no option {argument}\nhint: {}",
        advice(name)?
    ))
}

/// Returns what to do instead of giving an option of the original; `None` if the original does not
/// have it either.
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

const LATER_STORES: &str = "this version has no stores over FTP: use a folder, Swift, S3 or SFTP";
const OPENSTACK: &str = "this version does not back up volumes, servers and images of OpenStack";
const SNAPSHOTS: &str =
    "this version takes no volume snapshots: take one yourself, and back up where it is mounted";
const DATABASES: &str = "this version does not quiesce databases: back up a dump or a snapshot";
const LOGGING: &str = "logs go to standard error (-v, -vv) and with --log-file FILE to a file";

/// Names of options, and the advice about them.
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
        "only freezer prune and freezer backup remove points in time",
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
        "only freezer backup has this option: no other command needs flushed files",
    ),
    (&["mysql-conf", "sql-server-conf"], DATABASES),
    (
        &["command"],
        "this version runs no commands: run it before or after freezer",
    ),
    (
        &["consistency-check", "consistency-checksum"],
        "freezer stores all data with checksums and compares them at each read; freezer check \
         --read-data reads everything",
    ),
    (
        &["project-id", "backup-id", "temp-resource-prefix", "osrc"],
        OPENSTACK,
    ),
    (&["upload"], "leave it out: a backup is always stored"),
    (
        &["ssh-password"],
        "name a key with --ssh-key, or let an agent hold one: ssh asks for no password here",
    ),
    (
        &["get-object", "dst-file"],
        "freezer cat BACKUP PATH prints one file, freezer restore BACKUP PATH --target DIR writes \
         it",
    ),
    (
        &["list-containers", "list-objects"],
        "freezer list shows the backups of a store, freezer ls the files of one",
    ),
    (
        &["encryption-password"],
        "everyone can see a passphrase on a command line: write it to a file, --encrypt-pass-file \
         FILE",
    ),
    (
        &["config-file", "config-dir"],
        "--config FILE names the configuration file",
    ),
];

/// Beginnings of names of options, and the advice about them.
const FAMILIES: [(&[&str], &str); 7] = [
    (&["lvm-"], SNAPSHOTS),
    (&["nova-", "glance-"], OPENSTACK),
    (
        &["os-"],
        "set OpenStack's own variables (OS_AUTH_URL, OS_USERNAME, …), or OS_CLOUD for an entry of \
         clouds.yaml",
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
