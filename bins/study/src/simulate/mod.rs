//! `jostle simulate`: what a profile does to a described stream, in virtual time.

mod capture;
mod finished;
mod live;
mod packet;
mod page;
mod report;
pub mod stream;

pub(crate) use live::{LiveRun, is_event_log};

use crate::forecast::{SeenDelays, Warning, narrowed};
use crate::profiles;
use crate::weather::ChosenWeather;
use anyhow::Context;
use capture::Reading;
use clap::{Args, ValueEnum};
use finished::{Simulated, SimulatedLink};
use jostle_common::chance::{Direction, fresh_seed};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::units::parse_seed;
use jostle_console::exit::Usage;
use jostle_console::terminal::{self, line};
use jostle_engine::flow::FlowFacts;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::{HostPort, parse_upstream};
use jostle_engine::rules::Match;
use jostle_proxy::write_event;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use stream::StreamArgs;

/// Send a described stream through a profile in virtual time, and count what happens
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle simulate coffee-shop-wifi --send 400/s --for 10m
  jostle simulate --drop 5% --burst 3 --delay 20ms --jitter 5ms --send 1000/s
  jostle simulate mine.json --send 8Mbit/s --arrivals onoff --on 2s --off 1s --html mine.html
  jostle simulate mine.json --pcap call.pcapng --direction up --json
  jostle simulate mine.json --seed 7 --packet 4711

No packet is sent and no time passes; what happens is what a proxy of the same seed would do to the
same arrivals.")]
pub struct SimulateArgs {
    /// The profile: a file, or the name of a built-in one
    #[arg(value_name = "PROFILE", add = profiles::completer())]
    profile: Option<String>,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    weather: ChosenWeather,
    /// Which way the packets go
    #[arg(long, value_enum, default_value = "both", help_heading = "The run")]
    direction: SimulatedWay,
    /// The seed of all draws; without it one is drawn and printed
    #[arg(long, value_name = "NUMBER", value_parser = parse_seed, help_heading = "The run")]
    seed: Option<u64>,
    /// Draw as the proxy's route of this name does; routes of a command line are called 1, 2 …
    #[arg(long, value_name = "NAME", default_value = "1", help_heading = "The run")]
    route: String,
    /// The client that all flows have, for rules that choose by it
    #[arg(long, value_name = "ADDRESS[:PORT]", help_heading = "The run")]
    client: Option<AddressPort>,
    /// What all flows lead to, for rules that choose by it
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_upstream, help_heading = "The run")]
    target: Option<HostPort>,
    /// Explain what happens to the packet of this number, rule by rule, instead of counting
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "events", help_heading = "The run")]
    packet: Option<u64>,
    /// Write what became of each packet, a JSON object per line; "-" is stdout
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    events: Option<PathBuf>,
    /// Draw delay, losses, throughput and what was inside over time, as one HTML page
    #[arg(long, value_name = "FILE", conflicts_with = "packet", help_heading = "The run")]
    html: Option<PathBuf>,
    /// Print an object instead of text
    #[arg(long, help_heading = "The run")]
    json: bool,
}

/// The columns of what is said on stderr, as `profile check` has them.
const WIDTH: usize = 100;

/// An address, and a port if one is given.
#[derive(Clone, Copy, Debug)]
struct AddressPort(SocketAddr);

impl FromStr for AddressPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let alone = || text.parse().map(|address: IpAddr| SocketAddr::new(address, 0));
        text.parse()
            .or_else(|_| alone())
            .map(Self)
            .map_err(|_| format!("\"{text}\" is no address; write 127.0.0.2 or 127.0.0.2:5000"))
    }
}

/// The direction of packets.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SimulatedWay {
    /// From client to server
    Up,
    /// From server to client
    Down,
    /// Both, each on its own
    Both,
}

/// An event log, and what it is called.
type Events<'a> = (&'a Path, BufWriter<Box<dyn Write>>);

/// Returns true if a path means stdout.
fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Judges why events were not written: that a reader of stdout has gone (`| head`) is no error.
fn judge(path: &Path, error: io::Error) -> anyhow::Result<()> {
    if is_stdout(path) && error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(error).with_context(|| format!("cannot write {}", path.display()))
}

impl SimulateArgs {
    /// Runs the simulation.
    ///
    /// # Errors
    /// A [`Usage`] when the command line or the profile says something impossible; another error
    /// when a file cannot be read or written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        self.stream.check()?;
        let profile = self.profile()?;
        let seed = self.seed.unwrap_or_else(fresh_seed);
        if let Some(number) = self.packet {
            return self.explain(&profile, seed, number);
        }
        let mut events = self.open_events()?;
        let clock = Clock::start();
        let mut directions = Vec::new();
        let mut reading: Option<Reading> = None;
        for direction in self.directions() {
            let (arrivals, read) = self.stream.arrivals(seed, direction)?;
            let mut failure = None;
            let finished = SimulatedLink::run(
                self.link(&profile, seed, direction),
                &profile,
                &self.stream,
                arrivals,
                |link, output| {
                    // After the first failure nothing more is written; it is told when the run has
                    // ended.
                    if let Some((_, file)) = &mut events
                        && failure.is_none()
                    {
                        failure = write_event(file, &self.route, direction, link, output).err();
                    }
                },
            );
            if let (Some(error), Some((path, _))) = (failure, &events) {
                judge(path, error)?;
            }
            directions.push(finished);
            // Each direction reads it from its beginning; one may stop early.
            reading = read;
        }
        let elapsed = clock.now().as_secs_f64();
        if let Some((path, mut file)) = events {
            file.flush().or_else(|error| judge(path, error))?;
        }
        let packets: u64 = directions.iter().map(|one| one.tally.entered()).sum();
        if packets == 0 {
            return Err(empty(reading.as_ref()));
        }
        let events_on_stdout = self.events.as_deref().is_some_and(is_stdout);
        let simulated = Simulated {
            name: self.profile.clone(),
            about: profile.about.clone(),
            command: crate::page::command_line(),
            stream: self.stream.words(),
            stream_json: with_reading(self.stream.json(), reading.as_ref()),
            seed: Some(seed),
            route: self.route.clone(),
            directions,
        };
        let mut warnings = self.warnings(&profile, &simulated.directions);
        warnings.extend(self.who_is_missing(&profile));
        if let Some(path) = &self.html {
            std::fs::write(path, page::draw(&simulated))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json {
            line(&report::json(&simulated).to_string());
        } else if events_on_stdout {
            terminal::note(report::text(&simulated).trim_end());
        } else {
            line(report::text(&simulated).trim_end());
        }
        for warning in warnings {
            let line = format!("warning: {}: {}", warning.place, warning.problem);
            terminal::note(&terminal::wrapped(&terminal::escaped(&line), WIDTH, 9));
        }
        terminal::note(&format!(
            "{} in {elapsed:.2} s: {:.2} million packets/s",
            jostle_common::words::count(packets, "packet"),
            packets as f64 / elapsed.max(1e-9) / 1e6
        ));
        Ok(told(reading.as_ref()))
    }

    /// Returns warnings of jitter that kept order took away.
    fn warnings(&self, profile: &Profile, directions: &[SimulatedLink]) -> Vec<Warning> {
        let described = self.stream.described();
        let pace = described.map(|stream| stream.pace.packets_per_second(stream.size));
        let even = pace.filter(|_| self.stream.is_even());
        let warnings = directions.iter().flat_map(|one| {
            let (delays, time) = (one.tally.delay_moments(), one.tally.seconds());
            let seen = SeenDelays {
                packets: delays.count(),
                sd: delays.sd(),
                seconds: time.width() * time.bins().len() as f64,
                packets_per_second: even,
            };
            narrowed(profile.timeline(one.direction), one.direction, &seen)
        });
        warnings.collect()
    }

    /// Opens the event log.
    fn open_events(&self) -> anyhow::Result<Option<Events<'_>>> {
        let Some(path) = self.events.as_deref() else { return Ok(None) };
        let file: Box<dyn Write> = if !is_stdout(path) {
            let file = File::create(path);
            Box::new(file.with_context(|| format!("cannot write {}", path.display()))?)
        } else if self.json {
            return Err(Usage::error(
                "--events -: stdout has the object of --json; write the events to a file",
            ));
        } else {
            Box::new(io::stdout())
        };
        Ok(Some((path, BufWriter::new(file))))
    }

    fn profile(&self) -> anyhow::Result<Profile> {
        let base = match &self.profile {
            Some(name) => profiles::load(&format!("{name}: "), name)?,
            None => Profile::default(),
        };
        let profile =
            self.weather.in_front_of(base).map_err(|error| Usage::error(error.to_string()))?;
        if profile.is_empty() {
            return Err(Usage::error(
                "there is no rule to simulate; name a profile, or add --drop 5%, say",
            ));
        }
        Ok(profile)
    }

    fn directions(&self) -> Vec<Direction> {
        match self.direction {
            SimulatedWay::Up => vec![Direction::Up],
            SimulatedWay::Down => vec![Direction::Down],
            SimulatedWay::Both => Direction::BOTH.to_vec(),
        }
    }

    /// Returns the link of a direction, whose flows have the client and the target that are given.
    fn link(&self, profile: &Profile, seed: u64, direction: Direction) -> Link {
        let key = LinkKey { seed, route: self.route.clone(), direction };
        let mut link = Link::new(key, profile.timeline(direction));
        if self.client.is_some() || self.target.is_some() {
            let mut facts = FlowFacts::since(Instant::START);
            if let Some(AddressPort(client)) = self.client {
                facts = facts.with_client(client);
            }
            if let Some(HostPort { host, port }) = &self.target {
                facts = facts.with_target(host, *port);
            }
            link.assume(facts);
        }
        link
    }

    /// Returns the warning that a rule chooses by what no packet here has.
    fn who_is_missing(&self, profile: &Profile) -> Option<Warning> {
        let misses = |rule: &&Rule| {
            let matching = rule.selection.matching.as_ref();
            let asks = |of: fn(&Match) -> bool| matching.is_some_and(of);
            self.client.is_none() && asks(|matching| matching.client.is_some())
                || self.target.is_none() && asks(|matching| matching.target.is_some())
        };
        self.directions().into_iter().find_map(|direction| {
            let rule = profile.timeline(direction).enabled_rules().find(misses)?;
            let problem = "it chooses by client or target, and the packets of a simulation have \
                           none of their own, so it looks at none; add --client 127.0.0.2 or \
                           --target example.org:443, which all flows then have";
            let place = format!("{direction}, {}", rule.key);
            Some(Warning { place, problem: problem.to_owned() })
        })
    }

    fn explain(&self, profile: &Profile, seed: u64, number: u64) -> anyhow::Result<ExitCode> {
        let mut told = Vec::new();
        let mut reading: Option<Reading> = None;
        for direction in self.directions() {
            let (arrivals, read) = self.stream.arrivals(seed, direction)?;
            let link = self.link(profile, seed, direction);
            let explanation = crate::probe::explain(link, arrivals, number);
            told.extend(explanation.map(|one| (direction, one)));
            reading = read;
        }
        if told.is_empty() {
            return Err(Usage::error(format!(
                "--packet {number}: the stream is over before; add --count {number}, or a longer \
                 --for"
            )));
        }
        if self.json {
            line(&packet::json(&told, seed).to_string());
        } else {
            line(packet::text(&told, seed).trim_end());
        }
        Ok(self::told(reading.as_ref()))
    }
}

/// Says what was not taken in of a capture, and returns the status: 1 if it was cut.
fn told(reading: Option<&Reading>) -> ExitCode {
    let Some(reading) = reading else { return ExitCode::SUCCESS };
    if let Some(remark) = reading.remark() {
        terminal::note(&format!("jostle: {}", terminal::escaped(&remark)));
    }
    if reading.is_cut() { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

/// Returns the error for a stream without packets; of a capture with what it holds instead.
fn empty(reading: Option<&Reading>) -> anyhow::Error {
    const EMPTY: &str = "the stream has no packet in this direction";
    match reading.map(|reading| (reading.is_cut(), reading.remark())) {
        Some((true, Some(remark))) => anyhow::anyhow!("{EMPTY}; {remark}"),
        Some((false, Some(remark))) => Usage::error(format!("{EMPTY}; {remark}")),
        _ => Usage::error(EMPTY),
    }
}

/// Adds what was read of a capture to what is said of the stream.
fn with_reading(mut stream: Value, reading: Option<&Reading>) -> Value {
    if let (Value::Object(fields), Some(reading)) = (&mut stream, reading)
        && let Value::Object(read) = reading.json()
    {
        fields.extend(read);
    }
    stream
}
