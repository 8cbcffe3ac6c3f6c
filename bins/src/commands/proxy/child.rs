//! The command that runs while the proxy relays, and whose status it passes on.

use anyhow::Context;
use jostle_proxy::Control;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long a command that is asked to end may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command under way.
pub(super) struct Child {
    pid: Pid,
    ended: Receiver<std::io::Result<ExitStatus>>,
}

impl Child {
    /// Starts the command; the proxy is stopped when it ends.
    pub(super) fn start(command: &[OsString], urls: &[String], control: Control) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("there is no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("JOSTLE_LISTEN", urls.join(" "))
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let pid = Pid::from_child(&child);
        let (sender, ended) = mpsc::channel();
        let wait = move || {
            let status = child.wait();
            // The proxy may have ended already, and nobody asks any more.
            let _ = sender.send(status);
            control.stop();
        };
        std::thread::Builder::new().name("command".into()).spawn(wait).context("cannot start a thread")?;
        Ok(Self { pid, ended })
    }

    /// The status of the command; if it still runs it is asked to end first.
    pub(super) fn finish(self) -> anyhow::Result<ExitCode> {
        let status = match self.ended.try_recv() {
            Ok(status) => status,
            Err(_) => {
                let _ = kill_process(self.pid, Signal::TERM);
                self.ended.recv_timeout(PATIENCE).or_else(|_| {
                    let _ = kill_process(self.pid, Signal::KILL);
                    self.ended.recv()
                })?
            }
        };
        let status = status.context("cannot learn how the command ended")?;
        // A shell's way to say which signal ended a program.
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
    }
}
