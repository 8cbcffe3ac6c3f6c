//! `jostle`: a middlebox that does to your packets what the network might.

use super::{client, server};
use crate::commands::ctl::{CtlArgs, toxiproxy_cli};
use crate::commands::profile::ProfileArgs;
use crate::commands::proxy::ProxyArgs;
use clap::{CommandFactory, Parser, Subcommand};
use jostle_console::{exit, logging, shell, signals};
use jostle_study::compare::CompareArgs;
use jostle_study::report::ReportArgs;
use jostle_study::simulate::SimulateArgs;
use jostle_study::sweep::SweepArgs;
use jostle_study::trial::TrialArgs;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Push your packets around: drop, corrupt, delay, duplicate, reorder and throttle UDP and TCP,
/// repeatably
#[derive(Parser)]
#[command(name = "jostle", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Proxy(Box<ProxyArgs>),
    Ctl(Box<CtlArgs>),
    Compare(Box<CompareArgs>),
    Simulate(Box<SimulateArgs>),
    Trial(Box<TrialArgs>),
    Sweep(Box<SweepArgs>),
    Report(Box<ReportArgs>),
    Profile(ProfileArgs),
    /// Print the script that completes command lines, to be sourced by a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of jostle, jostle-server and jostle-client
    #[command(after_help = "Examples:
  jostle man ~/.local/share/man/man1
  man jostle-proxy")]
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Runs it.
pub fn main() -> ExitCode {
    if let Some(arguments) = toxiproxy_cli::called(std::env::args_os()) {
        return toxiproxy_cli::run(&arguments);
    }
    shell::complete(Arguments::command);
    // The MP3 decoder warns of every broken frame, and broken frames are what it is here for.
    logging::start("warn,symphonia=off");
    match exit::arguments::<Arguments>(wrong_usage()) {
        Ok(arguments) => exit::end("jostle", run(arguments.command)),
        Err(status) => status,
    }
}

/// Returns the status of a command line that is wrong. A low one would be taken for that of the
/// command that `proxy` was to run.
fn wrong_usage() -> u8 {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let wraps = words.first().is_some_and(|word| word == "proxy");
    if wraps && words.iter().any(|word| word == "--") { exit::OURS } else { 2 }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Proxy(args) => args.run(),
        Command::Ctl(args) => args.run(),
        Command::Compare(args) => Ok(exit::status("jostle", args.run(&signals::stop()?))),
        Command::Simulate(args) => args.run(),
        Command::Trial(args) => Ok(exit::status("jostle", args.run(&signals::stop()?))),
        Command::Sweep(args) => Ok(exit::status("jostle", args.run(&signals::stop()?))),
        Command::Report(args) => Ok(exit::status("jostle", args.run())),
        Command::Profile(args) => args.run(),
        Command::Completions { shell } => {
            shell::completions(shell, &Arguments::command())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { folder } => {
            let clean = [server::Arguments::command(), client::Arguments::command()];
            shell::manuals(&folder, [Arguments::command()].into_iter().chain(clean))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
