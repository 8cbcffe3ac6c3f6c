//! `jostle-server`: the clean servers that jostle's tests and demonstrations talk to.

use clap::{CommandFactory, Parser, Subcommand};
use jostle_console::{exit, signals, terminal};
use jostle_endpoints::{clock, echo, file, http, messages, ping, saw};
use std::process::ExitCode;

/// Clean servers: they never lose, delay or damage anything themselves.
#[derive(Parser)]
#[command(name = "jostle-server", version, arg_required_else_help = true)]
struct ServerCommandLine {
    #[command(subcommand)]
    kind: ServerKind,
}

#[derive(Subcommand)]
enum ServerKind {
    Saw(saw::command::SawServeArgs),
    File(file::command::FileReceiveArgs),
    Messages(messages::command::MessagesServeArgs),
    Ping(ping::command::PingServeArgs),
    Clock(clock::command::ClockServeArgs),
    Echo(echo::command::EchoServeArgs),
    Http(http::command::HttpServeArgs),
    /// Print the completions for a shell
    Completions {
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    exit::status("jostle-server", run(ServerCommandLine::parse().kind))
}

fn run(kind: ServerKind) -> anyhow::Result<bool> {
    match kind {
        ServerKind::Saw(args) => args.run(&signals::stop()?),
        ServerKind::File(args) => args.run(&signals::stop()?),
        ServerKind::Messages(args) => args.run(&signals::stop()?),
        ServerKind::Ping(args) => args.run(&signals::stop()?),
        ServerKind::Clock(args) => args.run(&signals::stop()?),
        ServerKind::Echo(args) => args.run(&signals::stop()?),
        ServerKind::Http(args) => args.run(&signals::stop()?),
        ServerKind::Completions { shell } => {
            terminal::completions(shell, ServerCommandLine::command())?;
            Ok(true)
        }
    }
}
