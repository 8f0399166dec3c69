//! The signals that ask this process to end.

use crate::platform::process::HangUp;
use rustix::process::Signal;

pub(in crate::platform) fn ending_signals(hang_up: HangUp) -> Vec<i32> {
    let mut signals = vec![Signal::INT, Signal::TERM, Signal::QUIT, Signal::XFSZ];
    if hang_up == HangUp::Ends && !is_ignored(Signal::HUP) {
        signals.push(Signal::HUP);
    }
    signals.into_iter().map(Signal::as_raw).collect()
}

/// Whether this process was started with a signal ignored. `false` where `/proc` does not tell.
///
/// Layout: proc_pid_status(5).
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> (signal.as_raw() - 1) & 1 == 1)
}
