//! A journal has every change and what holds since; what it tells can be played again, and a file
//! that takes nothing holds up nobody.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_common::chance::Direction;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use jostle_control::{Event, History, Journal, JournalEnd, Origin, Registry};
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::{Profile, no_files};
use jostle_engine::route::Configuration;
use jostle_engine::stage::{Output, Stage};
use jostle_proxy::{Control, Fate, Loss, Proxy, Settings, Settled, Sink};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A file that a test looks into.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl File {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A proxy with routes, written as in a configuration.
struct Running {
    registry: Arc<Registry>,
    at: SocketAddr,
    control: Control,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(routes: &str, seed: u64, sinks: Vec<Box<dyn Sink>>) -> Self {
        let text = format!(r#"{{ "proxies": [ {routes} ] }}"#);
        let routes = Configuration::from_json(&text, &no_files).unwrap().routes;
        let proxy = Proxy::bind(Settings { sinks, ..Settings::new(routes, seed) }).unwrap();
        let registry = Arc::new(Registry::new(proxy.control(), proxy.routes()));
        let (at, control) = (proxy.listeners()[0].address, proxy.control());
        let thread = Some(std::thread::spawn(move || drop(proxy.run())));
        Self { registry, at, control, thread }
    }

    fn set(&self, name: &str, profile: &str) {
        let profile = Profile::from_json(profile).unwrap();
        self.registry.open(Origin::Api).set_profile(name, profile).unwrap();
    }

    fn switch(&self, on: bool) {
        self.registry.open(Origin::Key).set_rules_on(on).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop_within(Duration::ZERO);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn routes(names: &[&str]) -> String {
    let route = |name: &&str| {
        format!(
            r#"{{ "name": "{name}", "listen": "udp://127.0.0.1:0", "upstream": "127.0.0.1:9" }}"#
        )
    };
    names.iter().map(route).collect::<Vec<_>>().join(", ")
}

/// A journal of a few changes of two proxies.
fn some_journal() -> String {
    let running = Running::start(&routes(&["a", "b"]), 7, Vec::new());
    let file = File::default();
    let journal = Journal::start(&running.registry, 7, Box::new(file.clone())).unwrap();
    running.set("a", r#"{ "up": [ { "rule": "drop", "chance": "5%" } ] }"#);
    running.switch(false);
    running.registry.open(Origin::Api).disable("b").unwrap();
    running.registry.open(Origin::Panel).remove("b").unwrap();
    running.switch(true);
    let JournalEnd { lines, lost, error } = journal.finish();
    assert_eq!((lines, lost, error), (7, 0, None));
    file.text()
}

#[test]
fn each_line_says_what_was_done_by_whom_and_what_holds() {
    let text = some_journal();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<String> = lines
        .iter()
        .map(|line| {
            let word = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", word("origin"), word("change"), word("proxy"))
        })
        .collect();
    assert_eq!(
        said,
        [
            "- start -",
            "api profile a",
            "key rules -",
            "api disabled b",
            "panel removed b",
            "key rules -",
            "- end -"
        ]
    );
    assert_eq!(lines[0]["configuration"]["seed"], 7);
    assert_eq!(lines[0]["configuration"]["proxies"].as_array().unwrap().len(), 2);
    assert_eq!(lines[1]["route"]["profile"]["up"][0]["chance"], "5%");
    assert_eq!((&lines[1]["revision"], &lines[2]["on"]), (&2.into(), &false.into()));
    assert_eq!((&lines[3]["route"]["enabled"], &lines[4]["route"]), (&false.into(), &Value::Null));
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
    // The digest is that of the configuration as its one text, which anybody can make.
    let mut holds = lines[0]["configuration"].clone();
    holds["proxies"][0] = lines[1]["route"].clone();
    holds["proxies"].as_array_mut().unwrap().pop();
    holds.sort_all_objects();
    let digest = Digest::of(holds.to_string().as_bytes()).to_string();
    assert_eq!(lines[4]["sha256"], digest);
    assert_eq!(lines[6]["sha256"], digest, "what was switched off is configured still");
    assert_ne!(lines[3]["sha256"], digest);
}

#[test]
fn a_journal_reads_as_what_was_done() {
    let history = History::read(&some_journal(), &no_files).unwrap();
    assert_eq!((history.seed, history.rules_on, history.cut), (7, true, None));
    assert_eq!(history.recorded.len(), 6);
    assert!(matches!(history.recorded[5].event, Event::End { lost: 0 }));
    let there: Vec<(String, bool)> = history.proxies().into_iter().collect();
    assert_eq!(there, [("a".into(), true), ("b".into(), false)]);
    let replay = history.replay("a", &no_files).unwrap();
    // No packet came, so all there is to play again is what holds in the end.
    assert_eq!(replay.route.profile.up.rules().count(), 1);
    assert_eq!(replay.remarks, [] as [&str; 0]);
    let gone = history.replay("b", &no_files).unwrap();
    assert!(gone.remarks[0].starts_with("the proxy listened until "), "{:?}", gone.remarks);
    let error = history.replay("c", &no_files).unwrap_err();
    assert_eq!(error.to_string(), r#"the journal has no proxy "c"; it has a, b"#);
}

#[test]
fn what_is_wrong_with_a_journal_is_said_with_its_line() {
    let text = some_journal();
    let error = |text: &str| History::read(text, &no_files).unwrap_err().to_string();
    assert_eq!(error(""), "line 1: the journal is empty");
    let no_journal = "line 1: this is no journal; write the name of a file that --journal wrote";
    assert!(error("hello\n").starts_with(no_journal));
    assert!(error("{\"t\":1}\n").starts_with(no_journal));
    let other = text.replacen(r#""journal":1"#, r#""journal":2"#, 1);
    assert_eq!(
        error(&other),
        "line 1: the journal is of version 2, and this program reads version 1; use the program \
         that wrote it"
    );
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines.concat()
    };
    assert!(error(&with(2, "{\n")).starts_with("line 3: "), "{}", error(&with(2, "{\n")));
    let wrong = lines[1].replace("5%", "5");
    assert_eq!(
        error(&with(1, &wrong)),
        r#"line 2: route.profile.up[0].chance: "5" has no unit; write "5%""#
    );
    let changed = lines[1].replace("5%", "6%");
    assert!(error(&with(1, &changed)).starts_with("line 2: sha256: the configuration that holds"));
    assert!(
        error(&with(1, "")).starts_with("line 3: sha256: ") || {
            // Without its line the rules are as they were, and all further digests differ.
            error(&with(1, "")).starts_with("line 2: sha256: ")
        }
    );
    assert!(error(&with(3, lines[0])).starts_with("line 4: a second journal begins here"));
    let negative = lines[2].replacen("\"t\":", "\"t\":-", 1);
    assert!(error(&with(2, &negative)).contains("is no time of a run"));
    // Whoever was killed has left half a line.
    let cut = &text[..text.len() - 20];
    let history = History::read(cut, &no_files).unwrap();
    assert_eq!((history.cut, history.recorded.len()), (Some(7), 5));
    let remarks = history.replay("a", &no_files).unwrap().remarks;
    assert_eq!(remarks, ["line 7 of the journal has no end, and is left out"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any bytes in any place: an answer, and one that names a line.
    #[test]
    fn no_journal_is_too_strange(
        place in any::<prop::sample::Index>(),
        length in 0usize..60,
        checked in any::<bool>(),
        put in prop_oneof!["[\\PC\n]{0,40}", Just("\n".to_owned()), Just("null".to_owned()), Just("1e300".to_owned())],
    ) {
        static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let text = TEXT.get_or_init(some_journal);
        let from = place.index(text.len());
        let to = (from + length).min(text.len());
        let mut strange = format!("{}{put}{}", &text[..from], &text[to..]);
        if !checked {
            strange = strange.replace("sha256", "digest");
        }
        match History::read(&strange, &no_files) {
            Ok(history) => for name in history.proxies().keys() {
                let _ = history.replay(name, &no_files);
            },
            Err(error) => prop_assert!(error.line >= 1 && error.line <= strange.lines().count().max(1)),
        }
    }
}

/// A file that takes nothing until the other end of the channel is dropped, and then all.
struct Stuck(mpsc::Receiver<()>, File);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_finds_no_room_is_counted_and_the_journal_goes_on_from_what_holds() {
    let running = Running::start(&routes(&["a"]), 7, Vec::new());
    let (wake, asleep) = mpsc::channel();
    let file = File::default();
    let stuck = Stuck(asleep, file.clone());
    let journal = Journal::start(&running.registry, 7, Box::new(stuck)).unwrap();
    let delay = |ms: u32| format!(r#"{{ "up": [ {{ "rule": "delay", "time": "{ms}ms" }} ] }}"#);
    (1..=400).for_each(|ms| running.set("a", &delay(ms)));
    drop(wake);
    // The queue empties; then there is room again.
    for _ in 0..20_000 {
        if file.text().lines().count() >= 257 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    running.set("a", &delay(1000));
    let end = journal.finish();
    let history = History::read(&file.text(), &no_files).unwrap();
    let lost: Vec<u64> = history
        .recorded
        .iter()
        .filter_map(|recorded| match recorded.event {
            Event::Lost { lost, .. } => Some(lost),
            _ => None,
        })
        .collect();
    assert_eq!(lost.len(), 1);
    assert!((100..200).contains(&lost[0]), "{lost:?}");
    assert_eq!((end.lost, end.error), (lost[0], None));
    assert!(
        matches!(history.recorded.last().unwrap().event, Event::End { lost: all } if all == lost[0])
    );
    let replay = history.replay("a", &no_files).unwrap();
    assert_eq!(replay.route.profile.up.phases.last().unwrap().rules.len(), 1);
    assert!(replay.remarks[0].starts_with(&format!("{} changes before ", lost[0])));
}

/// A disk that is full after so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_and_stops_nothing() {
    for room in [0, 1000] {
        let running = Running::start(&routes(&["a"]), 7, Vec::new());
        let journal = Journal::start(&running.registry, 7, Box::new(Disk(room))).unwrap();
        (0..20).for_each(|turn| running.switch(turn % 2 == 1));
        let end = journal.finish();
        assert!(end.error.is_some(), "{end:?}");
        // That it ended is no change.
        assert!((21..=22).contains(&(end.lines + end.lost)), "{end:?}");
        assert!(running.registry.open(Origin::Api).rules_are_on());
    }
}

/// What became of a packet, as the event log would tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    direction: bool,
    number: u64,
    copy: u64,
    at: u64,
    reason: Option<&'static str>,
    rules: Vec<String>,
}

/// A packet as it entered.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Instant,
    flow: u32,
    size: u32,
}

type Arrivals = [BTreeMap<u64, Arrival>; 2];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<(Arrivals, Vec<Told>)>>);

impl Sink for Log {
    fn record(&mut self, settled: &Settled<'_>) {
        let Settled { direction, packet, fate, .. } = settled;
        let reason = match fate {
            Fate::Delivered => None,
            Fate::Discarded(Loss::Link(reason)) => Some(reason.name()),
            // What the sockets refused left the link all the same.
            Fate::Discarded(Loss::Orphaned | Loss::NoBuffer | Loss::TooBig | Loss::SendFailed) => {
                None
            }
            // This never entered.
            Fate::Discarded(_) => return,
        };
        let mut rules: Vec<String> = settled.rules().map(str::to_owned).collect();
        rules.sort();
        let arrival = Arrival { at: packet.entered, flow: packet.flow, size: packet.size() };
        let mut log = self.0.lock().unwrap();
        log.0[direction.index()].insert(packet.number, arrival);
        log.1.push(Told {
            direction: *direction == Direction::Up,
            number: packet.number,
            copy: u64::from(packet.copy()),
            at: packet.at.as_nanos(),
            reason,
            rules,
        });
    }
}

/// Lets the recorded arrivals cross links of a profile in virtual time.
fn virtually(profile: &Profile, seed: u64, name: &str, arrivals: &Arrivals) -> Vec<Told> {
    let mut links = Link::both(profile, seed, name);
    let mut all: Vec<(Arrival, usize)> = Vec::new();
    for (way, arrivals) in arrivals.iter().enumerate() {
        all.extend(arrivals.values().map(|arrival| (*arrival, way)));
    }
    all.sort_by_key(|(arrival, way)| (arrival.at, *way));
    let mut told = Vec::new();
    let mut take = |link: &Link, way: usize, output: &Output| {
        let packet = output.packet();
        let reason = match output {
            Output::Deliver(_) => None,
            Output::Discard(_, reason) => Some(reason.name()),
        };
        let places = (0..64).filter(|place| packet.trace.rules & (1 << place) != 0);
        let mut rules: Vec<String> = places.map(|place| link.rule_key(place).to_owned()).collect();
        rules.sort();
        let (number, copy) = (packet.number, u64::from(packet.copy()));
        told.push(Told {
            direction: way == Direction::Up.index(),
            number,
            copy,
            at: packet.at.as_nanos(),
            reason,
            rules,
        });
    };
    for (arrival, way) in all {
        links.iter_mut().for_each(|link| link.begin(arrival.at));
        while let Some(output) = links[way].poll(arrival.at) {
            take(&links[way], way, &output);
        }
        let body = Body::data(vec![0; arrival.size as usize]);
        links[way].handle(Packet::new(arrival.flow, arrival.at, body));
    }
    for (way, link) in links.iter_mut().enumerate() {
        while let Some(output) = link.poll(Instant::from_nanos(u64::MAX)) {
            take(link, way, &output);
        }
    }
    told
}

/// What is done by hand, one after the other.
const BY_HAND: [&str; 20] = [
    r#"{ "both": [ { "rule": "drop", "chance": "5%" } ] }"#,
    r#"{ "both": [ { "rule": "drop", "chance": "25%" } ] }"#,
    r#"{ "both": [ { "rule": "drop", "chance": "25%" }, { "rule": "delay", "time": "8ms" } ] }"#,
    r#"{ "both": [ { "rule": "delay", "time": "8ms", "jitter": "4ms", "memory": "5ms" } ] }"#,
    r#"{ "up": [ { "rule": "drop", "burst": { "mean": "20%", "length": 4 } } ], "down": [] }"#,
    "off",
    "on",
    r#"{ "up": [ { "rule": "drop", "burst": { "mean": "30%", "length": "5ms" } } ] }"#,
    r#"{ "both": [ { "rule": "rate", "limit": "400kbit/s", "queue": "20ms" } ] }"#,
    r#"{ "both": [ { "rule": "rate", "limit": "300kbit/s", "queue": "5 packets" },
        { "rule": "duplicate", "chance": "20%" } ] }"#,
    r#"{ "up": [ { "rule": "duplicate", "chance": "30%", "gap": "3ms" } ],
        "down": [ { "rule": "reorder", "chance": "30%", "behind": 2, "at_most": "9ms" } ] }"#,
    "off",
    r#"{ "up": [ { "rule": "drop", "chance": "90%" } ] }"#,
    "on",
    r#"{ "up": [ { "rule": "reorder", "chance": "40%", "behind": 3, "at_most": "20ms" } ],
        "phases": [ { "for": "3ms" }, { "for": "4ms", "both": [ { "rule": "drop", "chance": "50%" } ] } ],
        "then": "repeat" }"#,
    r#"{ "both": [ { "rule": "outage", "up": "6ms", "down": "3ms", "random": true } ] }"#,
    r#"{ "both": [ { "rule": "outage", "up": "6ms", "down": "3ms", "hold": true } ] }"#,
    r#"{ }"#,
    r#"{ "both": [ { "rule": "batch", "window": "7ms" }, { "rule": "drop", "every": 7 } ] }"#,
    r#"{ "both": [ { "rule": "drop", "chance": "5%" }, { "rule": "delay", "time": "2ms" } ] }"#,
];

/// Twenty changes under traffic; the journal's profile does to the recorded arrivals, in virtual
/// time, what was done to each packet.
#[test]
fn what_was_done_by_hand_is_played_again_packet_by_packet() {
    for seed in [1, 7, 2026] {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let route = format!(
            r#"{{ "name": "game", "listen": "udp://127.0.0.1:0", "upstream": "{}",
                "profile": {{ "both": [ {{ "rule": "delay", "time": "1ms" }} ] }} }}"#,
            server.local_addr().unwrap()
        );
        let (log, file) = (Log::default(), File::default());
        let running = Running::start(&route, seed, vec![Box::new(log.clone())]);
        let journal = Journal::start(&running.registry, seed, Box::new(file.clone())).unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            server.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            let echo = scope.spawn(move || {
                let mut buffer = [0; 2000];
                let mut idle = 0;
                while idle < 10 {
                    match server.recv_from(&mut buffer) {
                        Ok((length, from)) => drop(server.send_to(&buffer[..length], from)),
                        Err(_) => idle += 1,
                    }
                }
            });
            let at = running.at;
            let sender = scope.spawn(move || {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                let mut size = 40;
                while stopped.recv_timeout(Duration::from_micros(300))
                    == Err(RecvTimeoutError::Timeout)
                {
                    size = (size * 7 + 13) % 1300 + 20;
                    client.send_to(&vec![1; size], at).unwrap();
                }
            });
            for change in BY_HAND {
                std::thread::park_timeout(Duration::from_millis(25));
                match change {
                    "off" => running.switch(false),
                    "on" => running.switch(true),
                    profile => running.set("game", profile),
                }
            }
            std::thread::park_timeout(Duration::from_millis(25));
            drop(stop);
            sender.join().unwrap();
            echo.join().unwrap();
        });
        let end = journal.finish();
        drop(running);
        assert_eq!((end.lines, end.lost), (22, 0), "{end:?}");
        let history = History::read(&file.text(), &no_files).unwrap();
        let replay = history.replay("game", &no_files).unwrap();
        assert_eq!(replay.remarks, [] as [&str; 0], "seed {seed}");
        let (arrivals, mut real) = log.0.lock().unwrap().clone();
        let mut again = virtually(&replay.route.profile, seed, "game", &arrivals);
        assert!(real.len() > 800, "{} fates", real.len());
        for told in [&mut real, &mut again] {
            told.sort();
        }
        let differ = real.iter().zip(&again).find(|(real, again)| real != again);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(real.len(), again.len(), "seed {seed}");
        let lost = real.iter().filter(|told| told.reason.is_some()).count();
        let chosen = real.iter().filter(|told| !told.rules.is_empty()).count();
        assert!(lost > 80 && chosen > 300, "{lost} lost, {chosen} chosen of {}", real.len());
    }
}
