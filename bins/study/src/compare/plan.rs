//! The plan of a comparison: a sweep over protocol and loss, and everything else that is decided
//! before the first packet, so that a mistake leaves nothing behind.

use super::finished::FileProtocol;
use super::options::CompareArgs;
use crate::page::quoted;
use crate::profiles;
use crate::subject::TUNE_NAME;
use crate::sweep::{Axis, Sweep};
use crate::trial::{NamedProfile, Parameter, Setting, Trial, as_option};
use crate::weather::Weather;
use jostle_common::chance::fresh_seed;
use jostle_common::units::{Probability, Span};
use jostle_common::words::{duration, list, percent, rate};
use jostle_console::exit::Usage;
use jostle_engine::profile::{JitterShape, Shorthand};
use std::sync::Arc;
use std::time::Duration;

/// More rows at once would measure the machine and not the network.
const ROWS_MAX: usize = 90;
const DELAY_DEFAULT: Span = Span(Duration::from_millis(5));
/// One of the tune's 235 chunks, in the mean: enough to see it, too little to hide what loss does.
const CORRUPT_DEFAULT: f64 = 0.005;

/// One row to be run.
#[derive(Clone, Debug)]
pub(super) struct PlannedRow {
    pub(super) protocol: FileProtocol,
    /// The cell of the sweep.
    pub(super) trial: Trial,
    /// The name of its route and of its received file: `tcp-loss-5`.
    pub(super) name: String,
}

/// The whole comparison, decided.
#[derive(Clone, Debug)]
pub(super) struct ComparisonPlan {
    /// The rows, by loss and then by protocol.
    pub(super) rows: Vec<PlannedRow>,
    /// The file that all rows carry.
    pub(super) file: String,
    pub(super) seed: u64,
    /// The time that a row may take.
    pub(super) limit: Duration,
    /// The network's impairments other than loss, for people.
    pub(super) weather: String,
    /// The command that does it all again.
    pub(super) command: String,
}

impl ComparisonPlan {
    /// Decides what the arguments leave open.
    ///
    /// # Errors
    /// Wrong usage, and a profile that cannot be read.
    pub(super) fn new(args: &CompareArgs) -> anyhow::Result<Self> {
        let protocols = ascending(&args.over);
        let losses = ascending(&args.loss);
        if losses.len() * protocols.len() > ROWS_MAX {
            return Err(Usage::error(format!(
                "--loss: {} rows at once are too many for one machine; write at most {} loss rates",
                losses.len() * protocols.len(),
                ROWS_MAX / protocols.len()
            )));
        }
        let asked = asked(args)?;
        let mut base = asked.clone();
        if base.profile.is_none() {
            let both = &mut base.shorthands.both;
            both.delay = both.delay.or(Some(DELAY_DEFAULT));
            both.corrupt = both.corrupt.or_else(|| Probability::new(CORRUPT_DEFAULT));
        }
        let file = base.file.get_or_insert_with(|| TUNE_NAME.to_owned()).clone();
        let seed = args.seed.unwrap_or_else(fresh_seed);
        Ok(Self {
            file,
            seed,
            limit: base.limit(),
            weather: description(&base),
            command: command(args, &asked, seed),
            rows: rows(base, &protocols, &losses, seed)?,
        })
    }
}

/// Returns the trial that the arguments describe, but for the parameters that vary.
fn asked(args: &CompareArgs) -> anyhow::Result<Trial> {
    let profile = args.profile.as_ref().map(|name| {
        let profile = profiles::load(&format!("--profile {name}: "), name)?;
        anyhow::Ok(NamedProfile { written: name.as_str().into(), profile: Arc::new(profile) })
    });
    Ok(Trial {
        profile: profile.transpose()?,
        shorthands: args.weather.0,
        file: args.file.as_ref().map(|file| file.display().to_string()),
        pace: args.pace,
        limit: args.limit,
        ..Trial::default()
    })
}

/// Returns the cells of the sweep, checked, by loss and then by protocol: a sweep runs its ends
/// first, and here all run at once.
fn rows(
    base: Trial,
    protocols: &[FileProtocol],
    losses: &[Probability],
    seed: u64,
) -> anyhow::Result<Vec<PlannedRow>> {
    let axis = |name: &str, values: Vec<Setting>| {
        Axis::of(Parameter::named(name).expect("trials have a protocol and a loss"), values)
    };
    let protocols_axis = protocols.iter().map(|one| Setting::Protocol(one.protocol())).collect();
    let losses_axis = losses.iter().copied().map(Setting::Share).collect();
    let mut sweep = Sweep::new(base);
    for axis in [axis("protocol", protocols_axis), axis("loss", losses_axis)] {
        sweep.vary(axis).expect("each is varied once");
    }
    let mut trials: Vec<Trial> =
        sweep.order().map(|cell| sweep.trial(&cell, seed).without_useless()).collect();
    let loss = |trial: &Trial| trial.shorthands.both.drop.expect("it is varied");
    trials.sort_by(|a, b| {
        let protocols = (a.job.protocol(), b.job.protocol());
        loss(a).as_f64().total_cmp(&loss(b).as_f64()).then(protocols.0.cmp(&protocols.1))
    });
    for trial in &trials {
        trial.check().map_err(|error| Usage::error(as_option(error).to_string()))?;
    }
    // The order of protocols is that of the enumeration, here as in trials.
    let names = losses.iter().flat_map(|loss| protocols.iter().map(move |one| (*one, loss)));
    let rows = trials.into_iter().zip(names).map(|(trial, (protocol, loss))| {
        let loss = loss.to_string();
        let name = format!("{}-loss-{}", protocol.name(), loss.trim_end_matches('%'));
        PlannedRow { protocol, trial, name }
    });
    Ok(rows.collect())
}

/// Returns the values in ascending order, each once.
fn ascending<T: Copy + PartialOrd>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.partial_cmp(b).expect("loss rates and protocols are ordered"));
    values.dedup();
    values
}

/// Describes what the network does in addition to losing packets.
fn description(base: &Trial) -> String {
    let mut parts = Vec::new();
    if let Some(profile) = &base.profile {
        parts.push(format!("the weather of {}", Setting::Profile(profile.clone())));
    }
    let Weather { both, up, down } = &base.shorthands;
    for (shorthand, way) in [(both, "each way"), (up, "on the way up"), (down, "on the way down")] {
        parts.extend(effects(shorthand, way));
    }
    if parts.is_empty() { "nothing but loss".to_owned() } else { list(&parts) }
}

/// Describes the effects of shorthands, each in a few words.
fn effects(shorthand: &Shorthand, way: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let of_packets = |share: Option<Probability>, what: &str| {
        share
            .filter(|share| !share.is_never())
            .map(|share| format!("{what} {} of packets", percent(share.as_f64())))
    };
    if let Some(Span(delay)) = shorthand.delay {
        let jitter = shorthand.jitter.map(|Span(jitter)| format!(" ± {}", duration(jitter)));
        let jitter = jitter.unwrap_or_default();
        let shape = shorthand.shape.filter(|shape| *shape != JitterShape::default());
        let shape = shape.map_or_else(String::new, |shape| format!(" ({shape})"));
        parts.push(format!("{}{jitter}{shape} of delay {way}", duration(delay)));
    }
    // What is not said of one way holds each way.
    let aside = if way == "each way" { String::new() } else { format!(" {way}") };
    let mut say = |part: Option<String>| parts.extend(part.map(|part| part + &aside));
    say(of_packets(shorthand.drop, "a loss of"));
    say(of_packets(shorthand.corrupt, "a flipped bit in"));
    say(of_packets(shorthand.duplicate, "a copy of"));
    say(of_packets(shorthand.reorder, "overtaking in"));
    let overtakes = shorthand.allow_reorder == Some(true);
    say(overtakes.then(|| "jitter that reorders".to_owned()));
    let memory = shorthand.jitter_memory.map(|Span(memory)| duration(memory));
    say(memory.map(|memory| format!("jitter with a memory of {memory}")));
    say(shorthand.rate.map(|limit| format!("a speed of {}", rate(limit.bits_per_second()))));
    say(shorthand.queue.map(|queue| format!("a queue of {queue}")));
    say(shorthand.burst.map(|length| format!("losses in bursts of {length} packets")));
    parts
}

/// Returns the command line that repeats this one, with the seed that was drawn.
fn command(args: &CompareArgs, asked: &Trial, seed: u64) -> String {
    let mut words = vec!["jostle".to_owned(), "compare".to_owned()];
    words.extend(asked.file.iter().map(|file| quoted(file)));
    let mut given = |argument: Vec<String>| {
        words.extend(argument.iter().map(|word| quoted(word)));
    };
    let option = |name: &str, value: String| vec![format!("--{name}"), value];
    let joined = |texts: Vec<String>| texts.join(",");
    given(option("loss", joined(args.loss.iter().map(Probability::to_string).collect())));
    given(option("over", joined(args.over.iter().map(|one| one.name().to_owned()).collect())));
    // The others are called as those of a trial.
    for parameter in Parameter::all().filter(|one| !["protocol", "file"].contains(&one.name())) {
        if let Some(setting) = parameter.of(asked) {
            given(setting.argument(parameter.name()));
        }
    }
    given(option("seed", seed.to_string()));
    words.join(" ")
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

    fn plan(line: &str) -> anyhow::Result<ComparisonPlan> {
        let line = Line::try_parse_from(["compare"].into_iter().chain(line.split_whitespace()))?;
        ComparisonPlan::new(&line.args)
    }

    #[test]
    fn the_default_plan_is_fifteen_rows_by_loss_then_transport() {
        let plan = plan("--seed 7").unwrap();
        let names: Vec<&str> = plan.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), 15);
        assert_eq!(names[..4], ["tcp-loss-0", "udp-loss-0", "saw-loss-0", "tcp-loss-1"]);
        assert_eq!(names[14], "saw-loss-10");
        assert_eq!(plan.weather, "5 ms of delay each way and a flipped bit in 0.5% of packets");
        assert_eq!(
            plan.command,
            "jostle compare --loss 0%,1%,2%,5%,10% --over tcp,udp,saw --seed 7"
        );
        let profile = |row: usize| plan.rows[row].trial.weather().unwrap();
        let first = profile(0);
        let keys: Vec<&str> = first.up.rules().map(|rule| rule.key.as_str()).collect();
        assert_eq!(keys, ["--drop", "--corrupt", "--delay"]);
        assert_eq!(profile(14).up, profile(14).down);
    }

    #[test]
    fn loss_rates_come_in_order_and_once() {
        let plan = plan("--loss 5%,0.5%,0.05 --over saw,udp --seed 7").unwrap();
        let names: Vec<&str> = plan.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["udp-loss-0.5", "saw-loss-0.5", "udp-loss-5", "saw-loss-5"]);
    }

    #[test]
    fn a_profile_brings_its_own_delay() {
        let plan = plan("--profile geo-satellite --loss 0").unwrap();
        let trial = &plan.rows[0].trial;
        assert_eq!(trial.row().delay.0, Duration::ZERO);
        assert!(trial.weather().unwrap().up.rules().all(|rule| rule.key != "--delay"));
        assert!(plan.command.contains("--profile geo-satellite"));
        assert!(!trial.parameters().contains_key("corrupt"));
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
}
