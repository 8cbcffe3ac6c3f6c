//! `jostle-client`: the clean clients that talk to jostle-server, through bad weather or none.

use clap::{CommandFactory, Parser, Subcommand};
use jostle_console::{exit, signals, terminal};
use jostle_endpoints::{clock, echo, file, http, messages, ping, saw};
use std::process::ExitCode;

/// Clean clients: they never lose, delay or damage anything themselves.
#[derive(Parser)]
#[command(name = "jostle-client", version, arg_required_else_help = true)]
struct ClientCommandLine {
    #[command(subcommand)]
    kind: ClientKind,
}

#[derive(Subcommand)]
enum ClientKind {
    Saw(saw::command::SawFetchArgs),
    File(file::command::FileSendArgs),
    Messages(messages::command::MessagesSendArgs),
    Ping(ping::command::PingArgs),
    Clock(clock::command::ClockAskArgs),
    Echo(echo::command::EchoTalkArgs),
    Http(http::command::HttpClientArgs),
    /// Print the completions for a shell
    Completions {
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    exit::status("jostle-client", run(ClientCommandLine::parse().kind))
}

fn run(kind: ClientKind) -> anyhow::Result<bool> {
    match kind {
        ClientKind::Saw(args) => args.run(&signals::stop()?),
        ClientKind::File(args) => args.run(&signals::stop()?),
        ClientKind::Messages(args) => args.run(&signals::stop()?),
        ClientKind::Ping(args) => args.run(&signals::stop()?),
        ClientKind::Clock(args) => args.run(&signals::stop()?),
        ClientKind::Echo(args) => args.run(&signals::stop()?),
        ClientKind::Http(args) => args.run(&signals::stop()?),
        ClientKind::Completions { shell } => {
            terminal::completions(shell, ClientCommandLine::command())?;
            Ok(true)
        }
    }
}
