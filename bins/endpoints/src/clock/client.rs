//! The client: asks on one connection, one question at a time, and keeps what the fastest answer
//! says.

use crate::connection::{Broken, Connection};
use crate::ending::Ending;
use crate::protocol::clock::{Estimate, LINE_BYTES_MAX, QUESTION, Sample, parse_time};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use jostle_console::terminal::escaped;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

/// How a clock is asked.
#[derive(Clone, Debug)]
pub struct AskSettings {
    /// The server's addresses; the next is tried when one cannot be connected to.
    pub server: Vec<SocketAddr>,
    /// How often.
    pub count: u64,
    /// The least time from one question to the next.
    pub interval: Duration,
    /// After how long without an answer to give up.
    pub patience: Duration,
}

impl AskSettings {
    /// The defaults for a server.
    pub const fn new(server: Vec<SocketAddr>) -> Self {
        Self { server, count: 5, interval: Duration::ZERO, patience: Duration::from_secs(30) }
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Told {
    /// Which question, from 1.
    pub number: u64,
    /// The time as the server wrote it; not to be printed without escaping.
    pub text: String,
    /// The exchange.
    pub sample: Sample,
    /// What it says about the server's clock.
    pub estimate: Estimate,
}

/// What was learned.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The address that was connected to, or the last that was tried.
    pub server: SocketAddr,
    /// Questions answered.
    pub answered: u64,
    /// Their round trips.
    pub round_trips: RoundTrips,
    /// The answer with the shortest round trip: it says most.
    pub best: Option<Told>,
    /// How it ended.
    pub ending: Ending,
}

/// Asks a clock; `told` sees each answer.
///
/// # Errors
/// When there is no address. An answer that does not come is an [`Ending`].
pub fn ask(
    settings: &AskSettings,
    stop: &Stop,
    mut told: impl FnMut(&Told),
) -> anyhow::Result<Asked> {
    let server = *settings.server.first().context("no address to ask")?;
    let (round_trips, ending) = (RoundTrips::default(), Ending::Stopped);
    let mut asked = Asked { server, answered: 0, round_trips, best: None, ending };
    let result = ask_all(settings, stop, &mut asked, &mut told);
    asked.ending = match result {
        Ok(()) => Ending::Done,
        Err(Broken::Stopped) => Ending::Stopped,
        Err(Broken::Failed(reason)) => Ending::Failed(reason),
    };
    Ok(asked)
}

fn ask_all(
    settings: &AskSettings,
    stop: &Stop,
    asked: &mut Asked,
    told: &mut impl FnMut(&Told),
) -> Result<(), Broken> {
    let clock = Clock::start();
    let AskSettings { server, count, interval, patience } = settings;
    let mut connection = Connection::connect(server, *patience, stop, clock, &mut asked.server)?;
    let mut next = Instant::START;
    for number in 1..=*count {
        connection.pause(next)?;
        next = clock.now() + *interval;
        let answer = exchange(&mut connection, clock, number)
            .map_err(|broken| broken.context(|| format!("no answer to question {number}")))?;
        asked.answered += 1;
        asked.round_trips.record(answer.sample.round_trip);
        told(&answer);
        let is_faster = |best: &Told| answer.sample.round_trip < best.sample.round_trip;
        if asked.best.as_ref().is_none_or(is_faster) {
            asked.best = Some(answer);
        }
    }
    Ok(())
}

/// Asks once.
fn exchange(connection: &mut Connection<'_>, clock: Clock, number: u64) -> Result<Told, Broken> {
    // The calendar is read inside the time that is measured, so that the round trip covers whatever
    // happens in between.
    let begun = clock.now();
    let asked = Clock::wall();
    connection.write_all(format!("{QUESTION}\n").as_bytes(), |_| {})?;
    let line = read_line(connection)?;
    let round_trip = clock.now().since(begun);
    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
    let answer = parse_time(&text).ok_or_else(|| {
        Broken::Failed(format!("the server said \"{}\", which is no time", escaped(&text)))
    })?;
    let sample = Sample { asked, round_trip, answer };
    Ok(Told { number, text, sample, estimate: sample.estimate() })
}

/// Reads one line, and whatever came with it: nothing that is there before the next question can be
/// its answer.
fn read_line(connection: &mut Connection<'_>) -> Result<Vec<u8>, Broken> {
    let mut line = Vec::new();
    let mut buffer = [0; LINE_BYTES_MAX];
    loop {
        match connection.drive(|stream| stream.read(&mut buffer))? {
            0 => return Err(Broken::Failed("the server closed the connection".to_owned())),
            length => line.extend_from_slice(&buffer[..length]),
        }
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(line);
        }
        if line.len() >= LINE_BYTES_MAX {
            return Err(Broken::Failed(format!("a line of more than {LINE_BYTES_MAX} bytes")));
        }
    }
}
