//! From a session of two nodes over a store in a network to a mount on the other node.

use super::session_restore::Together;
use super::{job, make, result_of};
use crate::api::Api;
use crate::support::{oracle, servers, torture};
use serde_json::json;
use std::path::PathBuf;

/// Ended however the test ends.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .stderr(std::process::Stdio::null())
            .status()
            .ok();
    }
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts, and the right to mount"]
fn a_session_of_two_nodes_goes_to_swift_and_each_node_mounts_what_the_other_has_stored() {
    let swift = servers::openstack().swift;
    let variables: Vec<(String, String)> = swift
        .iter()
        .filter(|(name, _)| name.starts_with("ST_"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    assert!(!variables.is_empty(), "{swift:?}");
    let api = Api::start();
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("random bytes");
    let store = format!("swift://nodes/{:016x}", u64::from_le_bytes(random));
    let together = Together::start(&api, &variables, &json!({ "store": store }));
    let starts = together.stop_after(2);
    let [one, two] = &together.nodes[..] else {
        panic!("two nodes")
    };
    // A tree with all that file systems can hold, backed up once more by the session's job.
    for member in [one, two] {
        std::fs::create_dir(member.node.path("tree")).expect("a folder");
        torture::build(&member.node.path("tree"));
    }
    for (member, other) in [(one, two), (two, one)] {
        let host = if std::ptr::eq(member, one) {
            "web1"
        } else {
            "web2"
        };
        let backup = json!({
            "action": "backup",
            "store": store,
            "backup_name": "tree",
            "hostname": host,
            "path_to_backup": member.node.path("tree"),
            "encrypt_pass_file": member.node.path("pass"),
        });
        let id = make(
            &together.project,
            &job(&member.client, &json!({}), &[backup]),
        );
        assert_eq!(
            result_of(&together.project, &id),
            "success",
            "{}",
            member.node.read(&format!("log-{}", member.client))
        );
        let mount_point = other.node.path("mnt");
        std::fs::create_dir(&mount_point).expect("a folder");
        let _mount = Mount(mount_point.clone());
        let at = json!({ "store": store, "encrypt_pass_file": other.node.path("pass") });
        let with = |action: &str, more: serde_json::Value| {
            let mut options = at.as_object().expect("an object").clone();
            options.insert("action".into(), action.into());
            options.insert("mount_point".into(), json!(mount_point));
            options.extend(more.as_object().expect("an object").clone());
            serde_json::Value::Object(options)
        };
        let what =
            json!({ "backup_name": "tree", "hostname": host, "restore_from_date": "latest" });
        let id = make(
            &together.project,
            &job(&other.client, &json!({}), &[with("mount", what)]),
        );
        assert_eq!(
            result_of(&together.project, &id),
            "success",
            "{}",
            other.node.read(&format!("log-{}", other.client))
        );
        assert_eq!(
            oracle::rsync(&member.node.path("tree"), &mount_point),
            [""; 0],
            "{host}"
        );
        assert!(
            std::fs::read_dir(&mount_point)
                .expect("it is mounted")
                .count()
                > 10
        );
        let id = make(
            &together.project,
            &job(&other.client, &json!({}), &[with("umount", json!({}))]),
        );
        assert_eq!(result_of(&together.project, &id), "success");
        assert_eq!(
            std::fs::read_dir(&mount_point).expect("a folder").count(),
            0,
            "nothing is mounted"
        );
    }
    // And both nodes back to the first start, from the same store.
    let ended = together.restore(
        &[
            "--session-tag",
            &starts[0].to_string(),
            "--target",
            "restored",
        ],
        &api,
    );
    assert_eq!(ended["result"], "success", "{ended}");
    assert_eq!(
        one.node.read("restored/when"),
        two.node.read("restored/when")
    );
    assert_eq!(
        (
            one.node.read("restored/name"),
            two.node.read("restored/name")
        ),
        ("web1".to_owned(), "web2".to_owned())
    );
}
