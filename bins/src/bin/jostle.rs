//! `jostle`: a middlebox that does to your packets what the network might.

use clap::{CommandFactory, Parser, Subcommand};
use jostle_bins::commands::profile::ProfileArgs;
use jostle_bins::commands::proxy::ProxyArgs;
use jostle_console::{exit, signals, terminal};
use jostle_study::compare::CompareArgs;
use jostle_study::report::ReportArgs;
use jostle_study::simulate::SimulateArgs;
use jostle_study::sweep::SweepArgs;
use jostle_study::trial::TrialArgs;
use std::process::ExitCode;

/// Push your packets around: drop, corrupt, delay, duplicate, reorder and throttle UDP and TCP,
/// repeatably
#[derive(Parser)]
#[command(name = "jostle", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Proxy(Box<ProxyArgs>),
    Compare(Box<CompareArgs>),
    Simulate(Box<SimulateArgs>),
    Trial(Box<TrialArgs>),
    Sweep(Box<SweepArgs>),
    Report(Box<ReportArgs>),
    Profile(ProfileArgs),
    /// Print the completions for a shell
    Completions {
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    // The MP3 decoder warns of every broken frame, and broken frames are what it is here for.
    let filter = env_logger::Env::default().default_filter_or("warn,symphonia=off");
    env_logger::Builder::from_env(filter).init();
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => exit::status("jostle", Err(error)),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Proxy(args) => args.run(),
        Command::Compare(args) => Ok(exit::status("jostle", args.run(&signals::stop()?))),
        Command::Simulate(args) => args.run(),
        Command::Trial(args) => Ok(exit::status("jostle", args.run(&signals::stop()?))),
        Command::Sweep(args) => Ok(exit::status("jostle", args.run(&signals::stop()?))),
        Command::Report(args) => Ok(exit::status("jostle", args.run())),
        Command::Profile(args) => args.run(),
        Command::Completions { shell } => {
            terminal::completions(shell, Arguments::command())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
