//! The command line of `jostle sweep`.

use crate::sweep::Shard;
use crate::trial::options::TrialOptions;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  jostle sweep --virtual --size 64KiB --vary loss=0..20%:1% --vary delay=10ms,50ms -o rows.jsonl
  jostle sweep configs/sweeps/tcp-vs-udp.json -o rows.jsonl     again: only what is missing is run
  jostle sweep sweep.json --vary loss=1%,5% --repeat 3          other losses than the file's
  jostle sweep --virtual --delay 5ms --vary 'loss=1%,5%; burst=1.5,3'        values in pairs
  jostle sweep sweep.json --shard 3/16 -o rows-3.jsonl          machine 3 of 16; cat joins the rows
  jostle sweep sweep.json --seed 7 --index 41 -o 41.jsonl       one cell, in a job of its own
  jostle sweep sweep.json --seed 7 --plan | head -1             what would be run

A range a..b:step includes b; 1ms..1s:*2 doubles. A sweep file says the same:
  { \"about\": \"a question\", \"seed\": 7, \"repeat\": 10, \"virtual\": true,
    \"set\": { \"protocol\": \"saw\" },
    \"vary\": { \"loss\": \"0..20%:1%\", \"delay\": [\"10ms\", \"50ms\"] } }
or \"vary\": [{ \"loss\": \"1%,5%\", \"burst\": \"1.5,3\" }] for pairs. The command line is stronger than
the file. Files and profiles are looked for in the current directory.

The status is 0 when every cell has its row: a failed one (\"ok\": false) is a result, unless
--strict. It is 1 when the sweep could not go on or was ended before, and 2 for a mistake, which
is found before the first cell.";

/// Run a trial for every combination of the values that vary, a row each: in virtual time, or one
/// after the other on real sockets
#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub struct SweepArgs {
    /// The sweep as a file
    #[arg(value_name = "FILE.json")]
    pub(super) sweep: Option<PathBuf>,

    /// Values to vary over: loss=0..20%:1%, delay=10ms,50ms, or in pairs 'loss=1%,5%; burst=1,3';
    /// may be repeated
    #[arg(long, value_name = "NAME=VALUES", help_heading = "The cells")]
    pub(super) vary: Vec<String>,
    /// Run each combination so many times, each time with another seed [default: 1]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "The cells")]
    pub(super) repeat: Option<u32>,
    /// Run in virtual time: no socket, no waiting, exactly repeatable
    #[arg(long = "virtual", help_heading = "The cells")]
    pub(super) is_virtual: bool,
    /// The seed of all chance [default: the file's, else that of the rows in the output, else a
    /// fresh one, which is printed]
    #[arg(long, value_name = "NUMBER", value_parser = jostle_common::units::parse_seed,
        help_heading = "The cells")]
    pub(super) seed: Option<u64>,

    /// Run a part of the cells: 3/16 is the third of sixteen
    #[arg(long, value_name = "I/N", help_heading = "The run")]
    pub(super) shard: Option<Shard>,
    /// Run one cell, counted from 0 in the order of --plan
    #[arg(long, value_name = "NUMBER", conflicts_with = "shard", help_heading = "The run")]
    pub(super) index: Option<u64>,
    /// How many cells run at once [default: one per core in virtual time; on real sockets 1, as
    /// cells that share a core disturb each other]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "The run")]
    pub(super) jobs: Option<u16>,
    /// Where the rows go [default: stdout]; cells that have one there are skipped. With --shard or
    /// --index they stand in ROWS.part until all are there, and when ROWS is there nothing is run
    #[arg(short, long, value_name = "ROWS.jsonl", help_heading = "The run")]
    pub(super) output: Option<PathBuf>,
    /// Run cells again whose row in the output is a failed one
    #[arg(long, requires = "output", help_heading = "The run")]
    pub(super) retry_failed: bool,
    /// End with status 1 when a row is a failed one
    #[arg(long, help_heading = "The run")]
    pub(super) strict: bool,
    /// Print the parameters of each cell, and the options of jostle trial that run it, as JSON
    /// lines; run nothing
    #[arg(long, conflicts_with_all = ["output", "strict"], help_heading = "The run")]
    pub(super) plan: bool,

    #[command(flatten)]
    pub(super) options: TrialOptions,
}
