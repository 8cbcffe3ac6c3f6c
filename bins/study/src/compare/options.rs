//! The command line of `jostle compare`.

use super::finished::Transport;
use jostle_common::units::{BitRate, Probability, Span, UnitError, parse_duration};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  jostle compare                               a minute of music, five loss rates
  jostle compare song.mp3 --loss 0,3%          a file of yours
  jostle compare --profile coffee-shop-wifi    a network that people know by name
  jostle compare --seed 7 --json | jq -c '[.protocol, .loss, .seconds, .intact]'

Open index.html in the output folder to see and hear what arrived.
The status is 0 when every row was run: a damaged file over plain UDP is a result, and so is
a row that was over its limit.";

/// Send one file through the same bad network over TCP, plain UDP and reliable UDP, and compare
/// what arrives.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// The file to send [default: a minute of music that is built in]
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,

    /// Loss rates to compare, each in both directions
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0,1%,2%,5%,10%")]
    pub(super) loss: Vec<Probability>,

    /// Lose packets in bursts of this mean length
    #[arg(long, value_name = "PACKETS")]
    pub(super) burst: Option<f64>,

    /// One-way delay in each direction [default: 5ms, or what the profile says]
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(super) delay: Option<Span>,

    /// Spread of the delay
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(super) jitter: Option<Span>,

    /// Share of packets in which a bit is flipped [default: 0.5%, or what the profile says]
    #[arg(long, value_name = "SHARE")]
    pub(super) corrupt: Option<Probability>,

    /// Share of packets that are doubled
    #[arg(long, value_name = "SHARE")]
    pub(super) duplicate: Option<Probability>,

    /// Share of packets that the next one overtakes
    #[arg(long, value_name = "SHARE")]
    pub(super) reorder: Option<Probability>,

    /// Speed of the network in each direction [default: unlimited]
    #[arg(long, value_name = "RATE")]
    pub(super) rate: Option<BitRate>,

    /// What else the network does: a profile's JSON file or the name of a built-in one
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<String>,

    /// How fast plain UDP sends: nobody tells it what the network can take
    #[arg(long, value_name = "RATE", default_value = "10Mbit/s")]
    pub(super) pace: BitRate,

    /// Which transports to compare
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "tcp,udp,saw")]
    pub(super) over: Vec<Transport>,

    /// Seed of all chance [default: a fresh one, which is printed]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,

    /// How long a row may take; one that takes longer is kept as failed
    #[arg(long, value_name = "TIME", default_value = "50s", value_parser = parse_duration)]
    pub(super) limit: Duration,

    /// Folder for the page, the rows and the received files; those of an earlier comparison are
    /// replaced
    #[arg(long, value_name = "DIR", default_value = "jostle-compare")]
    pub(super) out: PathBuf,

    /// Also write the fate of every packet to events.jsonl in the output folder
    #[arg(long)]
    pub(super) events: bool,

    /// Print the rows as JSON, one per transport and loss rate, instead of the table
    #[arg(long)]
    pub(super) json: bool,
}

fn span(text: &str) -> Result<Span, UnitError> {
    parse_duration(text).map(Span)
}
