//! `jostle-client`: the clean clients that talk to jostle-server, through bad weather or none.

use clap::{CommandFactory, Parser, Subcommand};
use jostle_console::{exit, logging, shell, signals};
use jostle_endpoints::{clock, echo, file, http, messages, ping, saw};
use std::process::ExitCode;

/// Clean clients: they never lose, delay or damage anything themselves.
#[derive(Parser)]
#[command(name = "jostle-client", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    Saw(saw::command::SawFetchArgs),
    File(file::command::FileSendArgs),
    Messages(messages::command::MessagesSendArgs),
    Ping(ping::command::PingArgs),
    Clock(clock::command::ClockAskArgs),
    Echo(echo::command::EchoTalkArgs),
    Http(http::command::HttpClientArgs),
    /// Print the script that completes command lines, to be sourced by a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs it.
pub fn main() -> ExitCode {
    shell::complete(Arguments::command);
    logging::start("warn");
    match exit::arguments::<Arguments>(2) {
        Ok(arguments) => exit::status("jostle-client", run(arguments.kind)),
        Err(status) => status,
    }
}

fn run(kind: Kind) -> anyhow::Result<bool> {
    match kind {
        Kind::Saw(args) => args.run(&signals::stop()?),
        Kind::File(args) => args.run(&signals::stop()?),
        Kind::Messages(args) => args.run(&signals::stop()?),
        Kind::Ping(args) => args.run(&signals::stop()?),
        Kind::Clock(args) => args.run(&signals::stop()?),
        Kind::Echo(args) => args.run(&signals::stop()?),
        Kind::Http(args) => args.run(&signals::stop()?),
        Kind::Completions { shell } => {
            shell::completions(shell, &Arguments::command())?;
            Ok(true)
        }
    }
}
