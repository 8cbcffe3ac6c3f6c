//! `jostle profile`: which profiles there are, what they do, and whether they are right.

mod check;
mod from_journal;
mod from_netem;
mod list;
pub(super) mod numbers;
mod report;
mod show;

use clap::{Args, Subcommand};
use jostle_console::terminal::text;
use std::process::ExitCode;

/// List, show and check profiles
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle profile list satellite
  jostle profile show webpagetest-3g > mine.json
  jostle profile show --canonical mine.json
  jostle profile check mine.json --rate 1000/s
  jostle profile check configs/profiles/*.json --json
  jostle profile from-netem 'delay 100ms 10ms loss 1% 25%'
  jostle profile from-journal journal.jsonl > again.json
  jostle profile schema > profile.schema.json
  jostle profile schema --config > config.schema.json")]
pub struct ProfileArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Check(check::CheckArgs),
    /// Print the JSON Schema of profiles, or of configurations of the proxy, for editors
    #[command(
        after_help = "In a profile, \"$schema\": \"profile.schema.json\" makes an editor complete and \
                      check it; in a configuration \"config.schema.json\" does."
    )]
    Schema {
        /// The schema of what `jostle proxy --config` reads instead
        #[arg(long)]
        config: bool,
    },
    FromNetem(from_netem::FromNetemArgs),
    FromJournal(from_journal::FromJournalArgs),
}

impl ProfileArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// A [`jostle_console::exit::Usage`] when a profile is wrong, or there is none of its name;
    /// another error when one cannot be read.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(args) => args.run()?,
            Command::Show(args) => return args.run(),
            Command::Check(args) => return args.run(),
            Command::FromNetem(args) => args.run()?,
            Command::FromJournal(args) => args.run()?,
            Command::Schema { config: false } => text(&jostle_engine::profile::schema())?,
            Command::Schema { config: true } => text(&jostle_engine::route::schema())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
