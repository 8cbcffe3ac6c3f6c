//! `jostle profile show`: the JSON text of a profile.

use clap::Args;
use jostle_console::terminal;
use jostle_study::profiles;
use std::process::ExitCode;

/// Print a profile's JSON text, to read it or to begin one's own
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// A built-in profile, or a file
    #[arg(value_name = "NAME", add = jostle_study::profiles::completer())]
    name: String,
}

impl ShowArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        terminal::text(&profiles::text(&self.name)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
