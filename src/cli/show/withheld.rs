//! Tells what `--untrusted` left out.

use super::output::Output;
use super::words::several;

/// Says how many entries got no rights because the backup is not trusted.
pub(in crate::cli) fn tell_withheld(count: u64, output: &Output) {
    if count == 0 {
        return;
    }
    let count = several(count, "entry", "entries");
    output.note(format_args!(
        "--untrusted left out devices, setuid, setgid, capabilities or access lists of {count}"
    ));
}
