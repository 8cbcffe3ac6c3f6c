//! A command under way: its status the moment it ends, and a sure end when it does not end by
//! itself.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use rustix::process::{kill_process, kill_process_group, waitid};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a command that is asked to end may take before it is killed.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Who is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The command alone.
    Alone,
    /// The command and all it started: they are a process group of their own, which the terminal's
    /// Ctrl-C does not reach.
    Group,
}

/// A command under way. Dropping it kills it.
///
/// It is reaped only at its end, here: until then its number, and that of its group, belong to
/// no other process.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    pid: Pid,
    reach: Reach,
    ended: Receiver<i32>,
    status: Option<i32>,
    phase: Arc<Mutex<Phase>>,
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Runs,
    /// It was asked to end.
    Asked,
    Ended,
}

/// A way to end a command from other threads, also when it has long gone.
#[derive(Clone, Debug)]
pub struct ChildEnd {
    pid: Pid,
    reach: Reach,
    phase: Arc<Mutex<Phase>>,
}

impl Child {
    /// Starts the command, and calls `when_ended` on a thread of its own when it has ended.
    ///
    /// # Errors
    /// When the command cannot be run, or no thread can be started; then nothing runs.
    pub fn start(
        mut command: Command,
        reach: Reach,
        when_ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, Pipes)> {
        if reach == Reach::Group {
            command.process_group(0);
        }
        let mut process = command.spawn()?;
        let pid = Pid::from_child(&process);
        let pipes = Pipes { stdout: process.stdout.take(), stderr: process.stderr.take() };
        let (sender, ended) = mpsc::channel();
        let phase = Arc::new(Mutex::new(Phase::Runs));
        let mut child = Self { process, pid, reach, ended, status: None, phase: phase.clone() };
        let wait = move || {
            let status = wait(pid);
            // Before its status is known, and so before it is reaped: whoever holds the lock and
            // finds it running may send it signals.
            *locked(&phase) = Phase::Ended;
            // The one that waited may have gone.
            let _ = sender.send(status);
            when_ended();
        };
        if let Err(error) = std::thread::Builder::new().name("command".into()).spawn(wait) {
            child.signal(Signal::KILL);
            child.status = Some(128 + Signal::KILL.as_raw());
            return Err(error);
        }
        Ok((child, pipes))
    }

    /// Returns its number, which is that of its group as well if it has one.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns the status with which it has ended, as a shell would: 128 and the signal's number
    /// when a signal ended it.
    pub fn status(&mut self) -> Option<i32> {
        self.status = self.status.or_else(|| self.ended.try_recv().ok());
        self.status
    }

    /// Sends a signal to all it reaches. What has ended already takes no notice.
    pub fn signal(&self, signal: Signal) {
        send(self.pid, self.reach, signal);
    }

    /// Returns a way to end it from other threads.
    pub fn end(&self) -> ChildEnd {
        ChildEnd { pid: self.pid, reach: self.reach, phase: self.phase.clone() }
    }

    /// Returns its status; if it still runs it is asked to end first, unless it was before.
    pub fn finish(mut self) -> i32 {
        if let Some(status) = self.status() {
            return status;
        }
        self.end().ask();
        let status = self.ended.recv_timeout(PATIENCE).unwrap_or_else(|_| self.kill());
        self.status = Some(status);
        status
    }

    fn kill(&self) -> i32 {
        self.signal(Signal::KILL);
        self.ended.recv().expect("the thread that waits says how it ended")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status().is_none() {
            self.status = Some(self.kill());
        } else if self.reach == Reach::Group {
            self.signal(Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

impl ChildEnd {
    /// Returns true while the command runs.
    pub fn runs(&self) -> bool {
        *locked(&self.phase) != Phase::Ended
    }

    /// Asks the command to end, once.
    pub fn ask(&self) {
        let mut phase = locked(&self.phase);
        if *phase == Phase::Runs {
            *phase = Phase::Asked;
            send(self.pid, self.reach, Signal::TERM);
        }
    }

    /// Kills the command if it still runs.
    pub fn kill(&self) {
        let phase = locked(&self.phase);
        if *phase != Phase::Ended {
            send(self.pid, self.reach, Signal::KILL);
        }
    }
}

fn locked(phase: &Mutex<Phase>) -> std::sync::MutexGuard<'_, Phase> {
    phase.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(pid: Pid, reach: Reach, signal: Signal) {
    let _ = match reach {
        Reach::Alone => kill_process(pid, signal),
        Reach::Group => kill_process_group(pid, signal),
    };
}

/// What the command writes, as far as it was piped.
#[derive(Debug)]
pub struct Pipes {
    /// Its standard output.
    pub stdout: Option<std::process::ChildStdout>,
    /// Its standard error.
    pub stderr: Option<std::process::ChildStderr>,
}

/// Waits until the process has ended, and leaves it to be reaped.
fn wait(pid: Pid) -> i32 {
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(Some(status)) => return code(&status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                log::error!("cannot learn how a command ended: {error}");
                return 1;
            }
        }
    }
}

/// Says as a shell does which signal ended a program.
fn code(status: &WaitIdStatus) -> i32 {
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process_group;
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        command
    }

    fn first_line(pipes: Pipes) -> String {
        BufReader::new(pipes.stdout.unwrap()).lines().next().unwrap().unwrap()
    }

    #[test]
    fn a_status_is_said_as_a_shell_says_it() {
        for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)] {
            let (sender, ended) = mpsc::channel();
            let when_ended = move || sender.send(()).unwrap();
            let (mut child, _) = Child::start(shell(script), Reach::Alone, when_ended).unwrap();
            ended.recv_timeout(Duration::from_secs(30)).unwrap();
            assert_eq!((child.status(), child.finish()), (Some(status), status), "{script}");
        }
    }

    #[test]
    fn a_command_is_asked_once_to_end_and_never_signalled_when_it_has() {
        let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done";
        let (child, pipes) = Child::start(shell(script), Reach::Alone, || {}).unwrap();
        let mut lines = BufReader::new(pipes.stdout.unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().as_deref(), Some("ready"));
        let end = child.end();
        end.ask();
        assert_eq!(lines.next().as_deref(), Some("asked"));
        end.ask();
        // Time in which it could be asked again.
        std::thread::park_timeout(Duration::from_millis(300));
        assert!(end.runs());
        end.kill();
        assert_eq!(lines.next(), None, "one question");
        assert_eq!(child.finish(), 128 + 9);
        assert!(!end.runs());
    }

    #[test]
    fn a_command_that_runs_is_asked_to_end_and_one_that_is_dropped_has_ended() {
        for reach in [Reach::Alone, Reach::Group] {
            let (mut child, pipes) =
                Child::start(shell("echo; exec sleep 600"), reach, || {}).unwrap();
            first_line(pipes);
            assert_eq!(child.status(), None);
            assert_eq!(child.finish(), 128 + 15);
        }
        let script = "trap '' TERM; sleep 600 & echo; wait; sleep 600";
        let (child, pipes) = Child::start(shell(script), Reach::Group, || {}).unwrap();
        first_line(pipes);
        let pid = child.pid();
        test_kill_process_group(pid).unwrap();
        drop(child);
        // A killed process is gone when its last file is closed, and its parent here is init.
        let gone = (0..1000).any(|_| {
            std::thread::park_timeout(Duration::from_millis(5));
            test_kill_process_group(pid).is_err()
        });
        assert!(gone, "the group has survived");
    }
}
