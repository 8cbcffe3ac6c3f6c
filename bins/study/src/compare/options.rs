//! The command line of `jostle compare`.

use super::finished::FileProtocol;
use crate::weather::{Weather, with_arguments};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use jostle_common::units::{BitRate, Probability, Span};
use std::path::PathBuf;

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

    /// What else the network does: a profile's JSON file or the name of a built-in one
    #[arg(long, value_name = "PROFILE", add = crate::profiles::completer())]
    pub(super) profile: Option<String>,

    /// How fast plain UDP sends, as it does not learn what the network can take [default: 10Mbit/s]
    #[arg(long, value_name = "RATE")]
    pub(super) pace: Option<BitRate>,

    /// Which protocols to compare
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "tcp,udp,saw")]
    pub(super) over: Vec<FileProtocol>,

    /// Seed of all chance [default: a fresh one, which is printed]
    #[arg(long, value_name = "N", value_parser = jostle_common::units::parse_seed)]
    pub(super) seed: Option<u64>,

    /// How long a row may take; one that takes longer is kept as failed [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(super) limit: Option<Span>,

    /// Folder for the page, the rows and the received files; those of an earlier comparison are
    /// replaced
    #[arg(short, long, value_name = "DIR", default_value = "jostle-compare")]
    pub(super) out: PathBuf,

    /// Also write the fate of every packet to events.jsonl in the output folder
    #[arg(long)]
    pub(super) events: bool,

    /// Print the rows as JSON, one per protocol and loss rate, instead of the table
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) weather: WeatherBesidesLoss,
}

/// The shorthands of the weather, without the loss in both directions: it varies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct WeatherBesidesLoss(pub(super) Weather);

impl Args for WeatherBesidesLoss {
    fn augment_args(command: Command) -> Command {
        let with_default = |default: &'static str| {
            move |argument: Arg| {
                let help = argument.get_help().cloned().unwrap_or_default();
                argument.help(format!("{help} [default: {default}, or what the profile says]"))
            }
        };
        with_arguments(command, |way, option| option.name(way) != "loss")
            .mut_arg("delay", with_default("5ms"))
            .mut_arg("corrupt", with_default("0.5%"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for WeatherBesidesLoss {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Weather::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}
