//! How a program ends: 0 done, 1 the job failed, 2 wrong usage.

use std::process::ExitCode;

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

/// Returns the status of a finished job; an error is named on stderr, with its causes, first.
pub fn status(program: &str, result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{program}: {}", crate::terminal::escaped(&format!("{error:#}")));
            ExitCode::from(code(&error))
        }
    }
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
