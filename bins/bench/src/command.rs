//! The command line of `jostle-load`.

use crate::{clock, datagrams, paths, streams};
use clap::{Parser, Subcommand};
use jostle_console::{exit, logging};
use std::process::ExitCode;

/// Put a load on a relay and tell what carrying it takes
#[derive(Parser)]
#[command(
    name = "jostle-load",
    version,
    arg_required_else_help = true,
    after_help = "Example:
  jostle proxy udp://127.0.0.1:7001=127.0.0.1:7002 &
  taskset -c 0 jostle-load datagrams --to 127.0.0.1:7001 --sink 127.0.0.1:7002 --runs --of $!

Each prints one JSON object. scripts/bench.sh runs them beside other relays."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Datagrams(datagrams::bulk::DatagramsArgs),
    Lateness(datagrams::lateness::LatenessArgs),
    Flows(datagrams::flows::FlowsArgs),
    Streams(streams::bulk::StreamsArgs),
    PingPong(streams::ping_pong::PingPongArgs),
    Connects(streams::connects::ConnectsArgs),
    Idle(streams::idle::IdleArgs),
    Clock(clock::ClockArgs),
    Path(paths::PathArgs),
}

/// Runs it.
pub fn main() -> ExitCode {
    logging::start("warn");
    let arguments: Arguments = match exit::arguments(2) {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    jostle_sys::raise_descriptor_limit();
    let result = match arguments.command {
        Command::Datagrams(args) => args.run(),
        Command::Lateness(args) => args.run(),
        Command::Flows(args) => args.run(),
        Command::Streams(args) => args.run(),
        Command::PingPong(args) => args.run(),
        Command::Connects(args) => args.run(),
        Command::Idle(args) => args.run(),
        Command::Clock(args) => args.run(),
        Command::Path(args) => args.run(),
    };
    exit::status("jostle-load", result.map(|()| true))
}
