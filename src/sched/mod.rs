//! Who runs what, when: the talk with a Freezer API, the timetable of jobs, and the agents that do
//! them.
//!
//! Owns what a scheduler knows of its jobs. Sees no engine: an action is run as a program
//! (`freezer …`), as a person would.
//!
//! | file | the question it answers |
//! |---|---|
//! | [`connection`] | what does the server say? |
//! | [`timetable`], `cron` | when is a job due? |
//! | [`states`] | what does an event do to a job? A table |
//! | [`book`] | what is known of each job? |
//! | [`journal`] | what survives the end of the process? |
//! | `order` | what has a run to do, and how did it go? Files that the scheduler and a run share |
//! | `options` | how does an action become a configuration file and arguments? |
//! | `runner` | the run itself: a process of its own, that outlives the scheduler |
//! | `talk`, `folder` | what is said to the server; jobs without one |
//! | `speaker`, `outbox` | who says it, beside the loop; what could not be said yet |
//! | `pace` | when is the server asked again? |
//! | `known` | the book and the journal, for the loop and the talk |
//! | [`daemon`] | all of it, joined: its loop, and the runs it starts and collects |
//!
//! Start reading at [`book`].
//!
//! Invariants: a run is noted in the journal before it begins, so that no run begins twice; one job
//! that is not as it should be never stops the others; what the server says is never a command line
//! for a shell.

pub mod book;
pub mod connection;
mod cron;
#[cfg(unix)]
pub mod daemon;
#[cfg(unix)]
mod folder;
pub mod journal;
#[cfg(unix)]
mod known;
#[cfg(unix)]
mod options;
#[cfg(unix)]
pub mod order;
#[cfg(unix)]
mod outbox;
#[cfg(unix)]
mod pace;
#[cfg(unix)]
pub mod runner;
#[cfg(unix)]
mod speaker;
pub mod states;
#[cfg(unix)]
mod talk;
pub mod timetable;
