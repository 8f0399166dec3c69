//! A scheduler that is killed in the middle.

use super::{Node, Scheduler, exec, fifo, job, make, result_of, schedule_of, until};
use crate::api::{Api, Project};
use serde_json::json;

#[test]
fn a_run_outlives_its_scheduler_and_the_next_one_tells_of_it() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    let client = project.client("web1");
    fifo(&node.path("go"));
    let slow = node.script("slow", "echo x >> began; read x < go; echo x >> ended");
    let scheduler = Scheduler::start(&node, &api, &project, &client, &[]);
    let id = make(&project, &job(&client, &json!({}), &[exec(&slow)]));
    until("the run", || (!node.read("began").is_empty()).then_some(()));
    scheduler.kill();
    // One that begins meanwhile finds it running, and waits for it.
    let scheduler = Scheduler::start(&node, &api, &project, &client, &[]);
    until("the adoption", || {
        node.read(&format!("log-{client}"))
            .contains("a run of an earlier scheduler")
            .then_some(())
    });
    scheduler.kill();
    std::fs::write(node.path("go"), "on\n").expect("it is waited for");
    until("the end", || (!node.read("ended").is_empty()).then_some(()));
    let scheduler = Scheduler::start(&node, &api, &project, &client, &[]);
    assert_eq!(result_of(&project, &id), "success");
    assert_eq!(
        (node.read("began"), node.read("ended")),
        ("x\n".to_owned(), "x\n".to_owned())
    );
    drop(scheduler);
}

#[test]
fn a_run_that_is_killed_has_failed_and_leaves_no_process() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    let client = project.client("web1");
    fifo(&node.path("never"));
    let slow = node.script("slow", "echo $$ > pid; read x < never");
    let scheduler = Scheduler::start(&node, &api, &project, &client, &[]);
    let id = make(&project, &job(&client, &json!({}), &[exec(&slow)]));
    let runner = until("the run", || {
        (!node.read("pid").is_empty())
            .then(|| schedule_of(&project, &id)["current_pid"].as_i64())
            .flatten()
    });
    let killed = std::process::Command::new("kill")
        .args(["-9", &runner.to_string()])
        .status()
        .expect("kill is there");
    assert!(killed.success());
    assert_eq!(result_of(&project, &id), "fail");
    assert_eq!(super::alive(node.read("pid").trim()), [""; 0]);
    drop(scheduler);
}

#[test]
fn kills_at_random_moments_run_no_one_shot_twice_and_lose_none() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    let client = project.client("web1");
    let count = 12;
    let ids: Vec<String> = (0..count)
        .map(|number| {
            let script = node.script(
                &format!("once{number}"),
                &format!("echo x >> once-{number}"),
            );
            make(&project, &job(&client, &json!({}), &[exec(&script)]))
        })
        .collect();
    // Each is killed after as many jobs have begun as it is the so manieth: at another point of the
    // work each time.
    for kills in 1..=5 {
        let scheduler =
            Scheduler::start(&node, &api, &project, &client, &["--concurrent-jobs", "3"]);
        until("some have begun", || {
            let begun = ids
                .iter()
                .filter(|id| schedule_of(&project, id)["time_started"] != -1)
                .count();
            (begun >= kills * 2).then_some(())
        });
        scheduler.kill();
    }
    let scheduler = Scheduler::start(&node, &api, &project, &client, &["--concurrent-jobs", "3"]);
    for (number, id) in ids.iter().enumerate() {
        let result = result_of(&project, id);
        let ran = node.read(&format!("once-{number}"));
        // One that was killed between its note in the journal and its start did not run, and says
        // so.
        assert!(
            (result == "success" && ran == "x\n") || (result == "fail" && ran.is_empty()),
            "{number}: {result} {ran:?}"
        );
    }
    drop(scheduler);
}
