//! `jostle profile`: which profiles there are, what they do, and whether they are right.

mod check;
mod from_journal;
mod from_netem;
mod from_tool;
mod list;
pub(super) mod numbers;
mod report;
mod show;

use clap::{Args, Subcommand};
use from_tool::{Tool, ToolArgs};
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
  jostle profile from-throttle 3gfast
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
        after_help = "In a profile, \"$schema\": \"profile.schema.json\" makes an editor complete \
                      and check it; in a configuration \"config.schema.json\" does."
    )]
    Schema {
        /// The schema of what `jostle proxy --config` reads instead
        #[arg(long)]
        config: bool,
    },
    FromNetem(from_netem::FromNetemArgs),
    /// Translate tcset commands of tcconfig, or what its tcshow prints, into a profile
    #[command(after_help = "Examples:
  jostle profile from-tcset 'tcset eth0 --delay 100ms --rate 10Mbps --loss 0.1%' > mine.json
  tcshow eth0 | jostle profile from-tcset - > mine.json

Outgoing is \"up\", incoming \"down\"; two commands, one for each, make one profile.")]
    FromTcset(ToolArgs),
    /// Translate a command line of comcast (github.com/tylertreat/comcast) into a profile
    #[command(after_help = "Examples:
  jostle profile from-comcast --latency=250 --target-bw=1000 --packet-loss=10% > mine.json
  jostle profile from-comcast 'comcast --device=eth0 --latency=40 --target-bw=30000'

As comcast has it, the latency is one way and in ms, the bandwidth in kbit/s.")]
    FromComcast(ToolArgs),
    /// Translate a command line of sitespeed.io's throttle, or its configuration, into a profile
    #[command(after_help = "Examples:
  jostle profile from-throttle 3gfast > mine.json
  jostle profile from-throttle --up 330 --down 780 --rtt 200 --packetLoss 1
  jostle profile from-throttle --config config.json

As throttle has it, speeds are kbit/s and the round trip is in ms.")]
    FromThrottle(ToolArgs),
    /// Translate network conditions of Chrome, or a preset of DevTools or Lighthouse, into a
    /// profile
    #[command(after_help = "Examples:
  jostle profile from-cdp 'Slow 4G' > mine.json
  jostle profile from-cdp mobileRegular3G
  jostle profile from-cdp '{ \"latency\": 100, \"downloadThroughput\": 93750, \"uploadThroughput\": 31250 }'

It reads the parameters of Network.emulateNetworkConditions, alone or in the message: bytes per
second, and the latency of a request in ms.")]
    FromCdp(ToolArgs),
    /// Translate Toxiproxy's proxies into a configuration with profiles
    #[command(after_help = "Examples:
  jostle profile from-toxiproxy toxiproxy.json > proxies.json
  curl -s http://127.0.0.1:8474/proxies | jostle profile from-toxiproxy - > proxies.json
  jostle proxy --config proxies.json

jostle proxy --config reads Toxiproxy's files as they are, and --api answers its clients; this is for
those who want to go on from there.")]
    FromToxiproxy(ToolArgs),
    /// Translate a scenario of quic-network-simulator into a profile
    #[command(after_help = "Examples:
  jostle profile from-quic-sim 'simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25' > mine.json
  jostle profile from-quic-sim drop-rate --delay=15ms --bandwidth=10Mbps --queue=25 \\
    --rate_to_client=10 --rate_to_server=20
  jostle profile from-quic-sim 'tcp-cross-traffic --delay=15ms --bandwidth=10Mbps --queue=25'

All eight scenarios: simple-p2p, drop-rate, droplist, corrupt-rate, blackhole, rebind,
tcp-cross-traffic and udp-cross-traffic.")]
    FromQuicSim(ToolArgs),
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
            Command::FromTcset(args) => args.run(Tool::Tcset)?,
            Command::FromComcast(args) => args.run(Tool::Comcast)?,
            Command::FromThrottle(args) => args.run(Tool::Throttle)?,
            Command::FromCdp(args) => args.run(Tool::Cdp)?,
            Command::FromToxiproxy(args) => args.run(Tool::Toxiproxy)?,
            Command::FromQuicSim(args) => args.run(Tool::QuicSim)?,
            Command::FromJournal(args) => args.run()?,
            Command::Schema { config: false } => text(&jostle_engine::profile::schema())?,
            Command::Schema { config: true } => text(&jostle_engine::route::schema())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
