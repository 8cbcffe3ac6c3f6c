//! `jostle`: the middlebox, and the jobs that it is there for.

use clap::{Parser, Subcommand};
use jostle_bins::{compare, exit, signals};
use std::process::ExitCode;

/// Pushes your packets around: a middlebox for UDP and TCP.
#[derive(Parser)]
#[command(name = "jostle", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(Box<compare::CompareArgs>),
}

fn main() -> ExitCode {
    // The MP3 decoder warns of every broken frame, and broken frames are what it is here for.
    let filter = env_logger::Env::default().default_filter_or("warn,symphonia=off");
    env_logger::Builder::from_env(filter).init();
    exit::status("jostle", run(Arguments::parse().command))
}

fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Compare(args) => args.run(&signals::stop()?),
    }
}
