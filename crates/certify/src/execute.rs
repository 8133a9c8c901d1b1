//! How a worker is started so that it does not outlive the run.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::places::WORKER_VARIABLE;

/// Becomes another program that the kernel kills when the process with the first word's id dies, which is the parent; the
/// second word is the program, and the others are its arguments. Returns only if that fails.
pub fn execute(words: &[OsString]) -> io::Error {
    let [parent, program, arguments @ ..] = words else {
        return io::Error::new(io::ErrorKind::InvalidInput, "the parent and the program are missing");
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            return error.into();
        }
        // It may have died before.
        let known = parent.to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        if getppid() != known {
            return io::Error::other("the parent is dead");
        }
    }
    // The other program will have the same process id.
    Command::new(program).args(arguments).env(WORKER_VARIABLE, std::process::id().to_string()).exec()
}
