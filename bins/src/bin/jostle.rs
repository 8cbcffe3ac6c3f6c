//! `jostle`: a middlebox that does to your packets what the network might.

use clap::{CommandFactory, Parser, Subcommand};
use jostle_bins::commands::proxy::ProxyArgs;
use jostle_bins::exit;
use std::process::ExitCode;

/// Push your packets around: drop, corrupt, delay, duplicate, reorder and throttle UDP and TCP, repeatably
#[derive(Parser)]
#[command(name = "jostle", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Proxy(Box<ProxyArgs>),
    /// Print the completions for a shell
    Completions {
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => exit::status("jostle", Err(error)),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Proxy(args) => args.run(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "jostle", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
