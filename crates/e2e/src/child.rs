//! A child process that does not outlive its owner.

use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::wait;

/// Kills and reaps the process when dropped.
pub(crate) struct OwnedChild {
    child: Child,
    status: Option<ExitStatus>,
}

impl OwnedChild {
    pub(crate) fn spawn(command: &mut Command) -> OwnedChild {
        match command.spawn() {
            Ok(child) => OwnedChild { child, status: None },
            Err(error) => panic!("cannot start {}: {error}", command.get_program().display()),
        }
    }

    pub(crate) fn streams(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Does nothing once the process is reaped: another process may have its id by then.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.try_wait().is_none() {
            let pid = i32::try_from(self.child.id()).expect("a process id is a positive i32");
            nix::sys::signal::kill(Pid::from_raw(pid), signal).expect("an own child can be signalled");
            if signal == Signal::SIGSTOP {
                self.wait_until_stopped();
            }
        }
    }

    /// The threads of a process stop one after the other.
    fn wait_until_stopped(&self) {
        let tasks = format!("/proc/{}/task", self.pid());
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task?.path().join("stat"))?;
            // The name before it may contain any character.
            Ok::<bool, std::io::Error>(status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
        };
        wait::eventually("all threads are stopped", wait::DEADLINE, || {
            let mut tasks = std::fs::read_dir(&tasks).ok()?;
            // A thread that has ended runs no more.
            tasks.all(|task| is_stopped(task).unwrap_or(true)).then_some(())
        });
    }

    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("an own child can be waited for");
        }
        self.status
    }

    /// Returns `None` if the process still runs at the deadline.
    pub(crate) fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        wait::poll(deadline, || self.try_wait().ok_or(())).ok()
    }

    pub(crate) fn kill(&mut self) {
        if self.try_wait().is_none() {
            self.child.kill().expect("an own child can be killed");
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        self.kill();
    }
}
