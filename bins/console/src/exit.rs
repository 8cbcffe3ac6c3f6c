//! How a program ends: 0 done, 1 the job failed, 2 wrong usage.

use crate::{mistakes, shell, terminal};
use std::io;
use std::process::ExitCode;

/// The status for what goes wrong with a program that runs another and passes its status on: `env`
/// and `timeout` have it so.
pub const OURS: u8 = 125;

/// A mistake in what the user asked for: the program ends with status 2, and nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Usage {
    /// Returns a wrong usage as an error, for `?` and `return Err`.
    pub fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }
}

/// Returns the arguments that the program was given, or the status with which it ends: they are
/// wrong (`wrong`), or ask for help and have got it.
///
/// # Errors
/// The status.
pub fn arguments<T: clap::Parser>(wrong: u8) -> Result<T, ExitCode> {
    let command = mistakes::with_negatives(shell::reflowed(T::command()));
    let matches = command.try_get_matches();
    let parsed = matches.and_then(|mut matches| T::from_arg_matches_mut(&mut matches));
    let parsed = parsed.map_err(|error| error.format(&mut T::command()));
    parsed.map_err(|error| {
        let error = mistakes::with_remedy(error);
        let printed = error.print();
        if error.use_stderr() {
            return ExitCode::from(wrong);
        }
        match printed {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(1),
            _ => ExitCode::SUCCESS,
        }
    })
}

/// Returns the status of a finished job; an error is named on stderr, with its causes, first.
pub fn status(program: &str, result: anyhow::Result<bool>) -> ExitCode {
    end(program, result.map(|done| if done { ExitCode::SUCCESS } else { ExitCode::from(1) }))
}

/// Returns the status of a job that has one of its own; 1 when a result could not be written.
pub fn end(program: &str, result: anyhow::Result<ExitCode>) -> ExitCode {
    match (result, terminal::failure()) {
        (Ok(status), None) => status,
        (Ok(_), Some(failure)) => {
            terminal::note(&format!("{program}: cannot write to stdout: {failure}"));
            ExitCode::from(1)
        }
        (Err(error), _) => failed(program, &error, code(&error)),
    }
}

/// Names an error on stderr, with its causes, and returns the status `code`.
pub fn failed(program: &str, error: &anyhow::Error, code: u8) -> ExitCode {
    terminal::note(&format!("{program}: {}", terminal::escaped(&format!("{error:#}"))));
    ExitCode::from(code)
}

/// 2 for wrong usage, wherever in the chain of causes it stands; 1 for everything else.
fn code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<Usage>()) { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn wrong_usage_is_two_even_under_a_context() {
        let usage =
            Err::<(), _>(Usage::error("--size has no unit")).context("in cell 3").unwrap_err();
        assert_eq!(code(&usage), 2);
        assert_eq!(code(&anyhow::anyhow!("disk full")), 1);
    }
}
