//! `jostle-server`: the clean servers that jostle's tests and demonstrations talk to.

use clap::{CommandFactory, Parser, Subcommand};
use jostle_console::{exit, logging, shell, signals};
use jostle_endpoints::{clock, echo, file, http, messages, ping, saw};
use std::process::ExitCode;

/// Clean servers: they never lose, delay or damage anything themselves.
#[derive(Parser)]
#[command(name = "jostle-server", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    Saw(saw::command::SawServeArgs),
    File(file::command::FileReceiveArgs),
    Messages(messages::command::MessagesServeArgs),
    Ping(ping::command::PingServeArgs),
    Clock(clock::command::ClockServeArgs),
    Echo(echo::command::EchoServeArgs),
    Http(http::command::HttpServeArgs),
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
        Ok(arguments) => exit::status("jostle-server", run(arguments.kind)),
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
