//! Cells on real sockets: each is a process of its own, `jostle trial`, whose one line is the row.

use crate::child::{Child, Reach};
use crate::stop::Stop;
use crate::sweep::contents::Contents;
use crate::sweep::identity::Identity;
use crate::trial::commands::output::Output;
use crate::words::duration;
use anyhow::Context;
use jostle_common::rows::Row;
use jostle_common::trial::Trial;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How long a process may take beside the limit of its trial, to start, to judge and to end.
const GRACE: Duration = Duration::from_secs(30);

/// Runs trials as processes.
pub(super) struct Processes {
    /// `jostle` itself.
    program: PathBuf,
    contents: Arc<Contents>,
    /// How many there are at once, which the rows tell.
    jobs: usize,
    stop: Stop,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Itself,
    /// The user has asked for it.
    Stopped,
    /// Its time was up.
    Late,
}

/// What a process left.
struct Left {
    end: End,
    status: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Processes {
    /// Processes of this program.
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
                Ok(_) => {
                    Row { error: Some("jostle trial gave the row of another cell".to_owned()), ..expected }
                }
                Err(_) => Row { error: Some(left.complaint()), ..expected },
            },
        };
        row.host.insert("jobs".to_owned(), self.jobs.into());
        Ok(Some(row))
    }

    fn process(&self, trial: &Trial, grace: Duration) -> std::io::Result<Left> {
        let mut command = Command::new(&self.program);
        command.arg("trial").args(trial.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (sender, ends) = mpsc::channel();
        let ended = sender.clone();
        let say = |sender: &mpsc::Sender<End>, end| {
            // Whoever waited may have gone.
            let _ = sender.send(end);
        };
        let (child, pipes) = Child::start(command, Reach::Group, move || say(&ended, End::Itself))?;
        let stdout = Output::drain("stdout".to_owned(), pipes.stdout.expect("it is piped"))?;
        let stderr = Output::drain("stderr".to_owned(), pipes.stderr.expect("it is piped"))?;
        let attached = self.stop.attach_with(move || say(&sender, End::Stopped));
        let end = match ends.recv_timeout(trial.limit() + grace) {
            Ok(end) => end,
            Err(RecvTimeoutError::Timeout) => End::Late,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the stop holds a sender"),
        };
        drop(attached);
        // The trial ends what it has started, if it is asked to.
        let status = child.finish();
        Ok(Left { end, status, stdout: stdout.last_line(), stderr: stderr.last_line() })
    }
}

impl Left {
    /// Why there is no row: what was said last.
    fn complaint(&self) -> String {
        let said = String::from_utf8_lossy(&self.stderr);
        match said.strip_prefix("jostle: ").unwrap_or(&said) {
            "" => format!("jostle trial ended with status {} and gave no row", self.status),
            said => said.to_owned(),
        }
    }
}
