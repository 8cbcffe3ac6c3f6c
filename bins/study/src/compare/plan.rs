//! The plan of a comparison: everything that is decided before the first packet, so that a mistake
//! leaves nothing behind.

use super::finished::Transport;
use super::options::CompareArgs;
use crate::profiles;
use jostle_common::chance::fresh_seed;
use jostle_common::units::{BitRate, Probability, Span, format_duration};
use jostle_common::words::{duration, list, percent, rate};
use jostle_console::exit::Usage;
use jostle_engine::profile::{Profile, Shorthand};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// More rows at once would measure the machine and not the network.
const ROWS_MAX: usize = 90;
const DELAY_DEFAULT: Span = Span(Duration::from_millis(5));
/// One of the tune's 235 chunks, in the mean: enough to see it, too little to hide what loss does.
const CORRUPT_DEFAULT: f64 = 0.005;

/// One row to be run.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) transport: Transport,
    pub(super) loss: Probability,
    /// The name of its route and of its received file: `tcp-loss-5`.
    pub(super) name: String,
    /// What its route does.
    pub(super) profile: Profile,
}

/// The whole comparison, decided.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The rows, by loss and then by transport.
    pub(super) cells: Vec<Cell>,
    /// The delay of every route beside its profile's.
    pub(super) delay: Span,
    /// How fast plain UDP sends.
    pub(super) pace: BitRate,
    pub(super) seed: u64,
    pub(super) limit: Duration,
    /// What the network does beside losing packets, for people.
    pub(super) weather: String,
    /// The same for rows.
    pub(super) parameters: Map<String, Value>,
    /// The command that does it all again.
    pub(super) command: String,
}

impl Plan {
    /// Decides what the arguments leave open.
    ///
    /// # Errors
    /// Wrong usage, and a profile that cannot be read.
    pub(super) fn new(args: &CompareArgs) -> anyhow::Result<Self> {
        let base = match &args.profile {
            Some(name) => profiles::load(&format!("--profile {name}: "), name)?,
            None => Profile::default(),
        };
        let alone = args.profile.is_none();
        let weather = Shorthand {
            drop: None,
            burst: args.burst,
            duplicate: args.duplicate,
            corrupt: args.corrupt.or_else(|| Probability::new(CORRUPT_DEFAULT).filter(|_| alone)),
            rate: args.rate,
            queue: None,
            delay: args.delay.or_else(|| alone.then_some(DELAY_DEFAULT)),
            jitter: args.jitter,
            reorder: args.reorder,
        };
        let mut cells = Vec::new();
        let transports = ascending(&args.over);
        for loss in ascending(&args.loss) {
            let shorthand = Shorthand { drop: Some(loss), ..weather };
            let profile = base
                .clone()
                .with_shorthands(shorthand, shorthand)
                .map_err(|error| Usage::error(error.to_string()))?;
            cells.extend(transports.iter().map(|&transport| Cell {
                transport,
                loss,
                name: format!(
                    "{}-loss-{}",
                    transport.name(),
                    loss.to_string().trim_end_matches('%')
                ),
                profile: profile.clone(),
            }));
        }
        if cells.len() > ROWS_MAX {
            return Err(Usage::error(format!(
                "--loss: {} rows at once are too many for one machine; write at most {} loss rates",
                cells.len(),
                ROWS_MAX / transports.len()
            )));
        }
        if args.limit.is_zero() {
            return Err(Usage::error("--limit: no row is done in no time; write \"50s\", say"));
        }
        let seed = args.seed.unwrap_or_else(fresh_seed);
        Ok(Self {
            cells,
            delay: weather.delay.unwrap_or(Span(Duration::ZERO)),
            pace: args.pace,
            seed,
            limit: args.limit,
            weather: description(&weather, args.profile.as_deref()),
            parameters: parameters(&weather, args),
            command: command(args, seed),
        })
    }
}

/// In ascending order, each once.
fn ascending<T: Copy + PartialOrd>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.partial_cmp(b).expect("loss rates and transports are ordered"));
    values.dedup();
    values
}

/// What the network does beside losing packets.
fn description(weather: &Shorthand, profile: Option<&str>) -> String {
    let mut parts = Vec::new();
    if let Some(name) = profile {
        parts.push(format!("the weather of {name}"));
    }
    if let Some(Span(delay)) = weather.delay {
        let jitter = weather
            .jitter
            .map(|Span(jitter)| format!(" ± {}", duration(jitter)))
            .unwrap_or_default();
        parts.push(format!("{}{jitter} of delay each way", duration(delay)));
    }
    let of_packets = |share: Option<Probability>, what: &str| {
        share
            .filter(|share| !share.is_never())
            .map(|share| format!("{what} {} of packets", percent(share.as_f64())))
    };
    parts.extend(of_packets(weather.corrupt, "a flipped bit in"));
    parts.extend(of_packets(weather.duplicate, "a copy of"));
    parts.extend(of_packets(weather.reorder, "overtaking in"));
    if let Some(limit) = weather.rate {
        parts.push(format!("a speed of {}", rate(limit.bits_per_second())));
    }
    if let Some(length) = weather.burst {
        parts.push(format!("losses in bursts of {length} packets"));
    }
    if parts.is_empty() { "nothing but loss".to_owned() } else { list(&parts) }
}

/// The cell's parameters beside loss and delay, for rows.
fn parameters(weather: &Shorthand, args: &CompareArgs) -> Map<String, Value> {
    let all = [
        ("burst", weather.burst.map(|length| json!(length))),
        ("jitter", weather.jitter.map(|jitter| json!(jitter))),
        ("corrupt", weather.corrupt.map(|share| json!(share.as_f64()))),
        ("duplicate", weather.duplicate.map(|share| json!(share.as_f64()))),
        ("reorder", weather.reorder.map(|share| json!(share.as_f64()))),
        ("rate", weather.rate.map(|rate| json!(rate))),
        ("profile", args.profile.as_ref().map(|name| json!(name))),
        ("pace", Some(json!(args.pace))),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The command line that repeats this one, with the seed that was drawn.
fn command(args: &CompareArgs, seed: u64) -> String {
    let mut words = vec!["jostle".to_owned(), "compare".to_owned()];
    words.extend(args.file.as_ref().map(|file| quoted(&file.display().to_string())));
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([format!("--{name}"), quoted(&value)]);
        }
    };
    let joined = |texts: Vec<String>| texts.join(",");
    option("loss", Some(joined(args.loss.iter().map(Probability::to_string).collect())));
    option("burst", args.burst.map(|length| length.to_string()));
    option("delay", args.delay.map(|delay| delay.to_string()));
    option("jitter", args.jitter.map(|jitter| jitter.to_string()));
    option("corrupt", args.corrupt.map(|share| share.to_string()));
    option("duplicate", args.duplicate.map(|share| share.to_string()));
    option("reorder", args.reorder.map(|share| share.to_string()));
    option("rate", args.rate.map(|rate| rate.to_string()));
    option("profile", args.profile.clone());
    option("pace", Some(args.pace.to_string()));
    option(
        "over",
        Some(joined(args.over.iter().map(|transport| transport.name().to_owned()).collect())),
    );
    option("limit", Some(format_duration(args.limit)));
    option("seed", Some(seed.to_string()));
    words.join(" ")
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,%:=+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: CompareArgs,
    }

    fn plan(line: &str) -> anyhow::Result<Plan> {
        let line = Line::try_parse_from(["compare"].into_iter().chain(line.split_whitespace()))?;
        Plan::new(&line.args)
    }

    #[test]
    fn the_default_plan_is_fifteen_rows_by_loss_then_transport() {
        let plan = plan("--seed 7").unwrap();
        let names: Vec<&str> = plan.cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(names.len(), 15);
        assert_eq!(names[..4], ["tcp-loss-0", "udp-loss-0", "saw-loss-0", "tcp-loss-1"]);
        assert_eq!(names[14], "saw-loss-10");
        assert_eq!(plan.weather, "5 ms of delay each way and a flipped bit in 0.5% of packets");
        assert_eq!(
            plan.command,
            "jostle compare --loss 0%,1%,2%,5%,10% --pace 10Mbit/s --over tcp,udp,saw --limit 50s --seed 7"
        );
        let keys: Vec<&str> =
            plan.cells[0].profile.up.rules().map(|rule| rule.key.as_str()).collect();
        assert_eq!(keys, ["--drop", "--corrupt", "--delay"]);
        assert_eq!(plan.cells[14].profile.up, plan.cells[14].profile.down);
    }

    #[test]
    fn loss_rates_come_in_order_and_once() {
        let plan = plan("--loss 5%,0.5%,0.05 --over saw,udp --seed 7").unwrap();
        let names: Vec<&str> = plan.cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(names, ["udp-loss-0.5", "saw-loss-0.5", "udp-loss-5", "saw-loss-5"]);
    }

    #[test]
    fn a_profile_brings_its_own_delay() {
        let plan = plan("--profile geo-satellite --loss 0").unwrap();
        assert_eq!(plan.delay.0, Duration::ZERO);
        assert!(plan.cells[0].profile.up.rules().all(|rule| rule.key != "--delay"));
        assert!(plan.command.contains("--profile geo-satellite"));
        assert!(!plan.parameters.contains_key("corrupt"));
    }

    #[test]
    fn what_cannot_be_planned_is_refused_with_a_remedy() {
        for (line, remedy) in [
            ("--loss 5", "write \"5%\""),
            ("--loss 0,200%", "write 0 to 100%"),
            ("--delay 5", "write \"5ms\""),
            ("--jitter 1s", "--jitter"),
            ("--burst 0.5", "--burst"),
            ("--limit 0", "--limit"),
            ("--over tcp,quic", "possible values"),
            ("--profile nowhere.json", "cannot read nowhere.json"),
            ("--profile cofee-shop", "did you mean coffee-shop-wifi"),
        ] {
            let error = format!("{:#}", plan(line).map(|_| ()).unwrap_err());
            assert!(error.contains(remedy), "{line}: {error}");
        }
        let many = (0..31).map(|n| format!("{n}%")).collect::<Vec<_>>().join(",");
        assert!(
            plan(&format!("--loss {many}"))
                .unwrap_err()
                .to_string()
                .contains("at most 30 loss rates")
        );
    }

    #[test]
    fn the_command_is_one_for_the_shell() {
        assert_eq!(quoted("it's.mp3"), r"'it'\''s.mp3'");
        assert_eq!([quoted(""), quoted("a b"), quoted("a.mp3")], ["''", "'a b'", "a.mp3"]);
    }
}
