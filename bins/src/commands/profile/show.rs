//! `jostle profile show`: the JSON text of a profile.

use clap::Args;
use jostle_console::terminal;
use jostle_study::profiles;
use std::process::ExitCode;

/// Print a profile's JSON text, to read it or to begin one's own
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle profile show webpagetest-3g > mine.json
  jostle profile show --canonical mine.json

In its canonical form a profile that does the same looks the same: defaults are left out, each
quantity has one spelling, and what holds for both directions or all phases stands in front.")]
pub(super) struct ShowArgs {
    /// A built-in profile, or a file
    #[arg(value_name = "NAME", add = jostle_study::profiles::completer())]
    name: String,
    /// Print it as jostle itself would write it, once it has been read and found right
    #[arg(long)]
    canonical: bool,
}

impl ShowArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let text = match self.canonical {
            true => profiles::load_as_written(&self.name)?.to_text(),
            false => profiles::text(&self.name)?,
        };
        terminal::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
