//! One of the programs of a trial: a line for the shell, in a process group of its own.

use super::output::PipeOutput;
use anyhow::Context;
use jostle_console::child::{Child, Reach};
use jostle_console::terminal::escaped_bytes;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::fmt;
use std::process::{Command, Stdio};

/// The length of a line that is quoted in an error, in characters.
const QUOTE_MAX: usize = 300;

/// The role of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
    Check,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Check => "check",
        })
    }
}

/// A program under way.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) role: Role,
    pub(super) child: Child,
    stdout: PipeOutput,
    stderr: PipeOutput,
}

impl Program {
    /// Starts `script` with these entries added to the environment, and calls `when_ended` when it
    /// has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn start(
        role: Role,
        script: &str,
        environment: &[(&str, OsString)],
        when_ended: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = || -> std::io::Result<Self> {
            let (child, pipes) = Child::start(command, Reach::Group, when_ended)?;
            let (stdout, stderr) =
                (pipes.stdout.expect("it is piped"), pipes.stderr.expect("it is piped"));
            let stdout = PipeOutput::drain(format!("{role}, stdout"), stdout)?;
            let stderr = PipeOutput::drain(format!("{role}, stderr"), stderr)?;
            Ok(Self { role, child, stdout, stderr })
        };
        start().with_context(|| format!("cannot run the {role}"))
    }

    /// Reports its outcome; it must have ended.
    pub(super) fn report(mut self, is_by_itself: bool) -> ProgramReport {
        let status = self.child.status();
        let (stdout, stderr) = (self.stdout.last_line(), self.stderr.last_line());
        ProgramReport { role: self.role, status, is_by_itself, stdout, stderr }
    }
}

/// The end of a program.
#[derive(Clone, Debug)]
pub(super) struct ProgramReport {
    pub(super) role: Role,
    /// As a shell says it; `None` when it could not even be killed.
    pub(super) status: Option<i32>,
    /// True if it ended before it was told to.
    pub(super) is_by_itself: bool,
    /// The last line of each.
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl ProgramReport {
    /// Returns its measurements: the object in its last line, if that is one.
    pub(super) fn measured(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.stdout).ok()
    }

    /// Returns the addition to another's failure: nothing, unless this one failed too.
    pub(super) fn aside(&self) -> String {
        if self.has_failed() { format!("; {self}") } else { String::new() }
    }

    /// Returns the last line that it wrote, as a message quotes it: `; it wrote: LINE`, or that it
    /// wrote nothing.
    pub(super) fn words(&self) -> String {
        let line = escaped_bytes(if self.stderr.is_empty() { &self.stdout } else { &self.stderr });
        if line.is_empty() {
            return "; it wrote nothing".to_owned();
        }
        format!("; it wrote: {}", line.chars().take(QUOTE_MAX).collect::<String>())
    }

    /// Returns true if it ended by itself, and not well.
    pub(super) fn has_failed(&self) -> bool {
        self.is_by_itself && self.status != Some(0)
    }
}

impl fmt::Display for ProgramReport {
    /// Writes `the client ended with status 7: curl: (7) Failed to connect`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, stdout, stderr, .. } = self;
        match self.status {
            Some(status) => write!(f, "the {role} ended with status {status}")?,
            None => write!(f, "the {role} did not end")?,
        }
        let line = escaped_bytes(if stderr.is_empty() { stdout } else { stderr });
        if line.is_empty() {
            return Ok(());
        }
        let quote: String = line.chars().take(QUOTE_MAX).collect();
        write!(f, ": {quote}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: i32, stdout: &str, stderr: &str) -> ProgramReport {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        ProgramReport {
            role: Role::Client,
            status: Some(status),
            is_by_itself: true,
            stdout,
            stderr,
        }
    }

    #[test]
    fn a_report_names_status_and_last_line() {
        for (report, text) in [
            (
                report(7, "out", "no\u{1b}[2J way"),
                "the client ended with status 7: no\\u{1b}[2J way",
            ),
            (report(1, "out", ""), "the client ended with status 1: out"),
            (report(137, "", ""), "the client ended with status 137"),
        ] {
            assert_eq!(report.to_string(), text);
            assert!(report.has_failed());
        }
        assert!(report(1, "", &"x".repeat(1000)).to_string().len() < 350);
        assert!(!report(0, "", "noise").has_failed());
        assert!(!ProgramReport { is_by_itself: false, ..report(143, "", "") }.has_failed());
    }

    #[test]
    fn only_an_object_is_a_measurement() {
        let measured = report(0, r#"{"mbit":9.5,"note":"a"}"#, "").measured().unwrap();
        assert_eq!(Value::from(measured).to_string(), r#"{"mbit":9.5,"note":"a"}"#);
        for line in ["", "9.5", "[1]", "{", "ok {\"a\":1}"] {
            assert_eq!(report(0, line, "").measured(), None, "{line}");
        }
    }
}
