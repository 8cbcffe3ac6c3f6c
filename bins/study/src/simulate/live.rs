//! A live run, from the event log of a proxy (or of a simulation): the same page as of a
//! simulation.

use super::finished::{Simulated, SimulatedLink};
use super::{page, report};
use crate::probe::{Seen, Tally, replay};
use anyhow::Context as _;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_common::words::{count, time};
use jostle_console::exit::Usage;
use jostle_engine::counters::{Counters, EcnCounters};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

/// Fates beyond these are counted, not drawn: each takes about a hundred bytes of memory.
const EVENTS_MAX: u64 = 10_000_000;
/// A longer line is none of an event log.
const LINE_BYTES_MAX: u64 = 1 << 16;
/// Bins of a picture over the time of the run.
const COURSE_BINS: u32 = 240;

/// A line of the log, as far as it is drawn.
#[derive(Deserialize)]
struct Event {
    t: f64,
    route: String,
    protocol: String,
    direction: Direction,
    packet: u64,
    #[serde(default)]
    copy: u32,
    #[serde(default)]
    flow: u64,
    size: u32,
    fate: String,
    reason: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
    delay: Option<f64>,
    lateness: Option<f64>,
    #[serde(default)]
    flipped_bits: u32,
    #[serde(default)]
    ecn: Ecn,
    #[serde(default)]
    marked: bool,
}

/// A line of the log that is about something else than a packet, and is not drawn.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum OtherEvent {
    /// A flow leaves from a fresh socket.
    Rebind {},
}

fn is_other(line: &[u8]) -> bool {
    serde_json::from_slice::<OtherEvent>(line).is_ok()
}

/// What was seen of one direction of a route.
#[derive(Default)]
struct LinkLog {
    seen: Vec<Seen>,
    chosen: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    corrupted: u64,
    ecn: EcnCounters,
}

/// The logs of all routes: by name and transport, up and down.
#[derive(Default)]
struct RunLog {
    routes: BTreeMap<(String, String), [LinkLog; 2]>,
    events: u64,
    /// Events beyond [`EVENTS_MAX`].
    left_out: u64,
    /// Packets that never entered a link.
    outside: u64,
}

/// A drawn event log.
pub(crate) struct LiveRun {
    runs: Vec<Simulated>,
    remarks: Vec<String>,
}

/// Returns true if a file begins with an event of a log.
pub(crate) fn is_event_log(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // A pipe would lose what is read from it here.
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut line = Vec::new();
    let read = BufReader::new(file).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
    read.is_ok() && (serde_json::from_slice::<Event>(&line).is_ok() || is_other(&line))
}

impl LiveRun {
    /// Reads an event log. `command` is the command line that does so.
    ///
    /// # Errors
    /// [`Usage`] when a line is no event; another error when the file cannot be read.
    pub(crate) fn read(path: &Path, command: &str) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let cannot = || format!("cannot read {name}");
        let mut lines = BufReader::new(File::open(path).with_context(cannot)?);
        let mut log = RunLog::default();
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let length = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if length.with_context(cannot)? == 0 {
                break;
            }
            match serde_json::from_slice::<Event>(&line) {
                Ok(event) => log.take(event),
                // The log of a run that goes on may end within a line.
                Err(error) if error.is_eof() && line.last() != Some(&b'\n') => break,
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(_) if is_other(&line) => {}
                Err(error) => {
                    return Err(Usage::error(format!(
                        "{name}:{number}: this is no event of a log: {error}; give a file that \
                         proxy --events or simulate --events wrote, or delete the line"
                    )));
                }
            }
        }
        Ok(log.finish(&name, command))
    }

    /// Draws the page.
    pub(crate) fn page(&self) -> String {
        page::draw_live(&self.runs, &self.remarks)
    }

    /// Writes the numbers for a terminal.
    pub(crate) fn text(&self) -> String {
        let texts = self.runs.iter().map(report::text);
        let remarks = self.remarks.iter().map(|remark| format!("{remark}\n"));
        texts.chain(remarks).collect::<Vec<_>>().join("\n")
    }
}

impl RunLog {
    fn take(&mut self, event: Event) {
        self.events += 1;
        let links = self.routes.entry((event.route, event.protocol)).or_default();
        let link = &mut links[event.direction.index()];
        if let Some(reason) = event.reason {
            *link.reasons.entry(reason).or_default() += 1;
        }
        for rule in event.rules {
            *link.chosen.entry(rule).or_default() += 1;
        }
        if event.packet == 0 {
            self.outside += 1;
            return;
        }
        let is_delivered = event.fate == "delivered";
        link.corrupted += u64::from(is_delivered && event.flipped_bits > 0);
        if is_delivered {
            link.ecn.add(event.ecn, event.marked);
        }
        if self.events > EVENTS_MAX {
            self.left_out += 1;
            return;
        }
        let inside = event.delay.unwrap_or(0.0) + event.lateness.unwrap_or(0.0);
        link.seen.push(Seen {
            number: event.packet,
            copy: event.copy,
            flow: u32::try_from(event.flow).unwrap_or(u32::MAX),
            size: event.size,
            entered: instant(event.t - inside),
            left: instant(event.t),
            is_delivered,
            flipped_bits: event.flipped_bits,
        });
    }

    fn finish(self, file: &str, command: &str) -> LiveRun {
        let several = self.routes.len() > 1;
        let runs = self.routes.into_iter().map(|((route, protocol), links)| {
            let name =
                if several { format!("{route} {protocol}, {file}") } else { file.to_owned() };
            let directions = Direction::BOTH
                .into_iter()
                .zip(links)
                .filter(|(_, log)| !log.seen.is_empty() || !log.reasons.is_empty())
                .map(|(direction, log)| log.finish(direction))
                .collect();
            Simulated {
                name: Some(name),
                about: String::new(),
                command: command.to_owned(),
                stream: format!("over {protocol}"),
                stream_json: Value::Null,
                seed: None,
                route,
                directions,
            }
        });
        let mut remarks = Vec::new();
        if self.outside > 0 {
            let packets = count(self.outside, "packet");
            remarks.push(format!("{packets} never entered a link, and are in no figure."));
        }
        if self.left_out > 0 {
            let events = count(self.left_out, "event");
            remarks.push(format!("{events} at the end of the log are in no figure: too many."));
        }
        LiveRun { runs: runs.collect(), remarks }
    }
}

impl LinkLog {
    fn finish(self, direction: Direction) -> SimulatedLink {
        let copies = self.seen.iter().any(|one| one.copy > 0);
        let end = self.seen.iter().map(|one| one.left).max().unwrap_or(Instant::START);
        let resolution = Duration::from_nanos(end.as_nanos().max(1)) / COURSE_BINS;
        let mut tally = Tally::new(copies, resolution);
        replay(self.seen, &mut tally);
        let mut counters = Counters::default();
        (counters.corrupted, counters.ecn) = (self.corrupted, self.ecn);
        SimulatedLink {
            direction,
            tally,
            counters,
            reasons: self.reasons.into_iter().collect(),
            chosen: self.chosen.into_iter().collect(),
            expected: None,
        }
    }
}

fn instant(seconds: f64) -> Instant {
    Instant::from_nanos((seconds.max(0.0) * 1e9).round() as u64)
}

/// Describes the span of a live run, for its opening.
pub(super) fn span(directions: &[SimulatedLink]) -> String {
    let end = directions.iter().map(|one| one.tally.last()).max().unwrap_or(Instant::START);
    time(end.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"t":0.010,"route":"1","protocol":"udp","direction":"up","packet":1,"copy":0,"flow":1,"size":100,"fate":"delivered","rules":["delay"],"delay":0.01,"lateness":0.0001}
{"t":0.011,"route":"1","protocol":"udp","direction":"up","packet":2,"copy":0,"flow":1,"size":100,"fate":"discarded","reason":"drop","rules":["drop"],"delay":0.0,"lateness":0.0}
{"t":0.020000000,"event":"rebind","route":"1","protocol":"udp","flow":1,"rule":"rebind","from":"127.0.0.1:7","to":"127.0.0.1:8","old":"drop"}
{"t":0.030,"route":"1","protocol":"udp","direction":"up","packet":3,"copy":0,"flow":1,"size":100,"fate":"delivered","rules":["delay"],"delay":0.01,"lateness":0.0,"flipped_bits":2,"ecn":"ce","marked":true}
{"t":0.031,"route":"1","protocol":"udp","direction":"up","packet":0,"copy":0,"flow":0,"size":100,"fate":"discarded","reason":"no_room","rules":[]}
{"t":0.040,"route":"1","protocol":"udp","direction":"down","packet":1,"copy":0,"flow":1,"size":50,"fate":"delivered","rules":[],"delay":0.0,"lateness":0.0}
"#;

    fn drawn(log: &str) -> anyhow::Result<LiveRun> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, log).unwrap();
        assert!(is_event_log(&path));
        LiveRun::read(&path, "jostle report events.jsonl")
    }

    #[test]
    fn a_log_is_drawn_as_a_simulation_is() {
        let live = drawn(LOG).unwrap();
        let [run] = live.runs.as_slice() else { panic!("one route") };
        let [up, down] = run.directions.as_slice() else { panic!("two directions") };
        assert_eq!((up.tally.entered(), up.tally.runs().lost(), down.tally.entered()), (3, 1, 1));
        assert_eq!((up.counters.corrupted, up.counters.ecn.marked), (1, 1));
        assert_eq!(up.reasons, [("drop".to_owned(), 1), ("no_room".to_owned(), 1)]);
        let page = live.page();
        assert!(page.contains("Delay of packets") && page.contains("discarded: no_room"));
        assert!(page.contains("1 packet never entered a link") && !page.contains("<script"));
        assert!(live.text().contains("discarded: drop"));
    }

    #[test]
    fn a_line_that_is_no_event_is_named_and_a_torn_end_is_not() {
        assert_eq!(drawn(&LOG[..LOG.len() - 20]).unwrap().runs.len(), 1);
        let broken = format!("{LOG}{{\"ok\":true}}\n");
        let Err(error) = drawn(&broken) else { panic!("it is no event") };
        assert!(error.is::<Usage>() && error.to_string().contains(":7: this is no event"));
    }

    #[test]
    fn rows_are_no_event_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, "{\"protocol\":\"saw\",\"loss\":0.0}\n").unwrap();
        assert!(!is_event_log(&path) && !is_event_log(&folder.path().join("none")));
    }
}
