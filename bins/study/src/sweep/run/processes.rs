//! Cells on real sockets: each is a process of its own, `jostle trial`, whose one line is the row.

use crate::rows::Row;
use crate::sweep::contents::Contents;
use crate::sweep::identity::Identity;
use crate::trial::Trial;
use crate::trial::programs::output::PipeOutput;
use anyhow::Context;
use jostle_common::words::duration;
use jostle_console::child::{Child, Reach};
use jostle_console::stop::Stop;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The time that a process may take besides the limit of its trial, to start, to judge and to end.
const GRACE: Duration = Duration::from_secs(30);

/// Runs trials as processes.
pub(super) struct Processes {
    /// `jostle` itself.
    program: PathBuf,
    contents: Arc<Contents>,
    /// The number of cells that run at once, which the rows tell.
    jobs: usize,
    stop: Stop,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Itself,
    /// The user has asked for it.
    Stopped,
    /// Its time was up.
    Late,
}

/// The output and the end of a process.
struct EndedProcess {
    end: End,
    status: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Processes {
    /// Creates processes of this program.
    ///
    /// # Errors
    /// When the system does not say where it is.
    pub(super) fn new(contents: Arc<Contents>, jobs: usize, stop: Stop) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the program itself")?;
        Ok(Self { program, contents, jobs, stop })
    }

    /// Runs a trial; `None` when the user has stopped it. That it fails, in whatever way, is a row.
    ///
    /// # Errors
    /// When no process can be started.
    pub(super) fn run(&self, trial: &Trial) -> anyhow::Result<Option<Row>> {
        let expected = self.contents.row(trial);
        let left = self.process(trial, GRACE).context("cannot start jostle trial")?;
        let mut row = match left.end {
            End::Stopped => return Ok(None),
            End::Late => {
                let limit = duration(trial.limit() + GRACE);
                Row { error: Some(format!("jostle trial was ended after {limit}")), ..expected }
            }
            End::Itself => match serde_json::from_slice::<Row>(&left.stdout) {
                Ok(row) if Identity::of(&row) == Identity::of(&expected) => row,
                Ok(_) => Row {
                    error: Some("jostle trial gave the row of another cell".to_owned()),
                    ..expected
                },
                Err(_) => Row { error: Some(left.complaint()), ..expected },
            },
        };
        row.host.insert("jobs".to_owned(), self.jobs.into());
        Ok(Some(row))
    }

    fn process(&self, trial: &Trial, grace: Duration) -> std::io::Result<EndedProcess> {
        let mut command = Command::new(&self.program);
        command.arg("trial").args(trial.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (sender, ends) = mpsc::channel();
        let ended = sender.clone();
        let say = |sender: &mpsc::Sender<End>, end| {
            // The thread that waited may have gone.
            let _ = sender.send(end);
        };
        let (child, pipes) = Child::start(command, Reach::Group, move || say(&ended, End::Itself))?;
        let stdout = PipeOutput::drain("stdout".to_owned(), pipes.stdout.expect("it is piped"))?;
        let stderr = PipeOutput::drain("stderr".to_owned(), pipes.stderr.expect("it is piped"))?;
        let attached = self.stop.attach_with(move || say(&sender, End::Stopped));
        let end = match ends.recv_timeout(trial.limit() + grace) {
            Ok(end) => end,
            Err(RecvTimeoutError::Timeout) => End::Late,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the stop holds a sender"),
        };
        drop(attached);
        // The trial ends what it has started, if it is asked to.
        let status = child.finish();
        Ok(EndedProcess { end, status, stdout: stdout.last_line(), stderr: stderr.last_line() })
    }
}

impl EndedProcess {
    /// Returns why there is no row: what was said last.
    fn complaint(&self) -> String {
        let said = String::from_utf8_lossy(&self.stderr);
        match said.strip_prefix("jostle: ").unwrap_or(&said) {
            "" => format!("jostle trial ended with status {} and gave no row", self.status),
            said => said.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::units::Span;
    use std::path::Path;

    /// Writes a program that does what `script` says. Another process writes it: one of this
    /// process that starts just now would keep it open.
    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("program");
        let mut write = Command::new("sh");
        write.args([
            "-c",
            "printf '#!/bin/sh\n%s\n' \"$1\" >\"$2\" && chmod +x \"$2\"",
            "sh",
            script,
        ]);
        assert!(write.arg(&path).status().unwrap().success());
        path
    }

    fn trial() -> Trial {
        Trial { repeat: 1, seed: 7, limit: Some(Span(Duration::from_secs(60))), ..Trial::default() }
    }

    fn processes(program: PathBuf, stop: &Stop) -> Processes {
        Processes { program, contents: Arc::new(Contents::default()), jobs: 3, stop: stop.clone() }
    }

    fn run(script: &str) -> Row {
        let folder = tempfile::tempdir().unwrap();
        processes(program(folder.path(), script), &Stop::new()).run(&trial()).unwrap().unwrap()
    }

    #[test]
    fn the_line_of_a_process_is_the_row() {
        let measured = Row { ok: true, seconds: Some(0.1 + 0.2), ..trial().row() };
        let row =
            run(&format!("echo noise >&2; echo '{}'", serde_json::to_string(&measured).unwrap()));
        assert_eq!(row.host["jobs"], 3);
        assert_eq!(Row { host: measured.host.clone(), ..row }, measured);
        let folder = tempfile::tempdir().unwrap();
        let asked = processes(program(folder.path(), "echo \"$*\" >&2"), &Stop::new())
            .run(&trial())
            .unwrap();
        let words = format!("trial {}", trial().arguments().join(" "));
        assert_eq!(asked.unwrap().error, Some(words));
    }

    #[test]
    fn a_process_without_a_row_is_a_failed_row() {
        let other = serde_json::to_string(&Row { seed: 8, ..trial().row() }).unwrap();
        for (script, error) in [
            ("echo one >&2; echo 'jostle: no port left' >&2; exit 1", "no port left"),
            ("exit 3", "jostle trial ended with status 3 and gave no row"),
            ("kill -KILL $$", "jostle trial ended with status 137 and gave no row"),
            ("echo '{\"protocol\":'; echo torn >&2", "torn"),
            (&format!("echo '{other}'"), "jostle trial gave the row of another cell"),
        ] {
            let row = run(script);
            assert_eq!((row.ok, row.error.as_deref()), (false, Some(error)), "{script}");
            assert_eq!(Identity::of(&row), Identity::of(&trial().row()));
            assert_eq!(row.host["jobs"], 3);
        }
    }

    #[test]
    fn a_process_that_does_not_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), "exec sleep 600");
        let stop = Stop::new();
        let processes = processes(path, &stop);
        let short = Trial { limit: Some(Span(Duration::from_millis(100))), ..trial() };
        let left = processes.process(&short, Duration::ZERO).unwrap();
        assert_eq!((left.end, left.status), (End::Late, 128 + 15));
        stop.request();
        assert_eq!(processes.run(&trial()).unwrap(), None);
    }

    #[test]
    fn without_a_program_there_is_no_row() {
        let error =
            processes(PathBuf::from("/nowhere/jostle"), &Stop::new()).run(&trial()).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot start jostle trial: "), "{error:#}");
    }
}
