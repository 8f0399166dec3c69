//! Identifies a process, so that another process can find out later whether it still runs.

use super::system;
use serde::{Deserialize, Serialize};

/// A process, as it describes itself. Parts that the system does not tell are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The number of the process.
    pub pid: u32,
    /// The machine: the identity of its installation, and its host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The identity of the run of its kernel, which is new after each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The namespace of its process numbers: a container has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When it began, in ticks of the kernel's clock since the kernel started. Tells it from a
    /// later process with the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<u64>,
}

impl Running {
    /// Describes this process.
    pub fn this_process() -> Self {
        system::this_process()
    }

    /// Whether it is this process.
    pub fn is_this_process(&self) -> bool {
        self.is(&Self::this_process())
    }

    /// Whether it is the process `this`, which describes itself.
    pub fn is(&self, this: &Self) -> bool {
        self.boot.is_some() && self == this
    }

    /// Whether the process is known to have ended. `false` where this process cannot know.
    pub fn has_surely_ended(&self) -> bool {
        self.has_surely_ended_for(&Self::this_process())
    }

    /// Whether the process is known to have ended, where this process describes itself as `this`:
    /// in other words than usual, maybe, but the same for the same machine and kernel.
    pub fn has_surely_ended_for(&self, this: &Self) -> bool {
        let both = |one: &Option<String>, other: &Option<String>| one.clone().zip(other.clone());
        match both(&self.boot, &this.boot) {
            None => false,
            // Another run of the kernel: the process has ended if it was on this machine.
            Some((then, now)) if then != now => {
                both(&self.machine, &this.machine).is_some_and(|(theirs, ours)| theirs == ours)
            }
            Some(_) => {
                both(&self.namespace, &this.namespace).is_some_and(|(theirs, ours)| theirs == ours)
                    && !system::is_running(self.pid, self.began)
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::Running;

    #[test]
    fn this_process_runs_and_one_of_the_same_number_that_began_earlier_has_ended() {
        let this = Running::this_process();
        assert!(this.is_this_process() && !this.has_surely_ended());
        let reused = Running {
            began: this.began.map(|began| began - 1),
            ..this.clone()
        };
        assert!(!reused.is_this_process() && reused.has_surely_ended());
        // No process has that number: Linux gives none so high.
        assert!(
            Running {
                pid: (1 << 22) + 1,
                ..this.clone()
            }
            .has_surely_ended()
        );
    }

    #[test]
    fn a_process_that_cannot_be_seen_from_here_may_run() {
        let dead = Running {
            pid: (1 << 22) + 1,
            ..Running::this_process()
        };
        assert!(
            !Running {
                namespace: Some("pid:[1]".to_owned()),
                ..dead.clone()
            }
            .has_surely_ended(),
            "another container"
        );
        assert!(
            !Running {
                boot: None,
                ..dead.clone()
            }
            .has_surely_ended(),
            "it does not tell its boot"
        );
        let other_boot = Running {
            boot: Some("0".to_owned()),
            ..dead
        };
        assert!(
            !Running {
                machine: Some("another".to_owned()),
                ..other_boot.clone()
            }
            .has_surely_ended(),
            "another machine"
        );
        assert_eq!(
            other_boot.has_surely_ended(),
            other_boot.machine.is_some(),
            "this machine before its last start"
        );
    }
}
