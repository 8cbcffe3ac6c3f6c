//! Every change has its moment, its origin and its number, and those who watch are told of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_control::{Changed, Entry, Origin, Registry};
use jostle_engine::profile::Profile;
use jostle_engine::route::Configuration;
use jostle_proxy::{Began, Fate, Proxy, Settings, Settled, Sink};
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a watcher noted: time in nanoseconds, origin, proxy, deed, revision, and when UDP began.
type Noted = (u64, Origin, String, String, u64, Option<u64>);

fn note(changes: &Arc<Mutex<Vec<Noted>>>, registry: &Registry, limit: usize) {
    let changes = Arc::clone(changes);
    registry.open(Origin::Start).watch(Box::new(move |change| {
        let mut changes = changes.lock().unwrap();
        let nanos = |began: Began| began.udp.map(jostle_common::time::Instant::as_nanos);
        let at = change.at.as_nanos();
        changes.push(match change.changed {
            Changed::Proxy { name, deed, began } => {
                let revision = change.proxies.get(name).map_or(0, |entry| entry.revision);
                let (name, deed) = (name.to_owned(), deed.name().to_owned());
                (at, change.origin, name, deed, revision, nanos(began))
            }
            Changed::Rules { on, began } => {
                assert_eq!(on, change.rules_on);
                let began = began.first().and_then(|(_, began)| nanos(*began));
                (at, change.origin, String::new(), format!("rules {on}"), 0, began)
            }
        });
        if changes.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }));
}

/// The fates of packets: when each entered, and whether it was delivered.
#[derive(Clone, Default)]
struct Fates(Arc<Mutex<Vec<(u64, bool)>>>);

impl Sink for Fates {
    fn record(&mut self, settled: &Settled<'_>) {
        let entered = settled.packet.entered.as_nanos();
        self.0.lock().unwrap().push((entered, settled.fate == Fate::Delivered));
    }
}

/// A proxy with a UDP route `a`.
fn start(sink: Fates) -> (Arc<Registry>, SocketAddr, UdpSocket, impl Drop) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let text = format!(
        r#"{{ "proxies": [ {{ "name": "a", "listen": "udp://127.0.0.1:0", "upstream": "{}" }} ] }}"#,
        server.local_addr().unwrap()
    );
    let routes = Configuration::from_json(&text, &|name| Err(name.into())).unwrap().routes;
    let mut settings = Settings::new(routes, 7);
    settings.sinks.push(Box::new(sink));
    let proxy = Proxy::bind(settings).unwrap();
    let (at, control) = (proxy.listeners()[0].address, proxy.control());
    let registry = Arc::new(Registry::new(proxy.control(), proxy.routes()));
    struct Stop(jostle_proxy::Control, Option<JoinHandle<()>>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.stop_within(Duration::ZERO);
            self.1.take().unwrap().join().unwrap();
        }
    }
    let running = std::thread::spawn(move || drop(proxy.run()));
    (registry, at, server, Stop(control, Some(running)))
}

fn profile(text: &str) -> Profile {
    Profile::from_json(text).unwrap()
}

#[test]
fn each_change_is_told_with_its_moment_its_origin_and_its_number() {
    let (registry, _, _server, _running) = start(Fates::default());
    let changes = Arc::default();
    note(&changes, &registry, usize::MAX);
    let lossy = || profile(r#"{ "up": [ { "rule": "drop", "chance": "5%" } ] }"#);
    {
        let mut table = registry.open(Origin::Api);
        table.put(Entry::new("b", "127.0.0.1:0", "127.0.0.1:9")).unwrap();
        let anywhere = jostle_engine::route::parse_listen("127.0.0.1:0").unwrap().1;
        table.enable("b", anywhere.clone()).unwrap();
        table.enable("b", anywhere).unwrap();
        table.set_profile("a", lossy()).unwrap();
        table.set_profile("a", lossy()).unwrap();
    }
    {
        let mut table = registry.open(Origin::Key);
        table.set_rules_on(true).unwrap();
        table.set_rules_on(false).unwrap();
        assert!(!table.rules_are_on());
    }
    let mut table = registry.open(Origin::File);
    table.set_rules_on(true).unwrap();
    table.disable("b").unwrap();
    table.set_texts("b", "127.0.0.1:0", "127.0.0.1:10");
    assert!(table.remove("b").unwrap() && !table.remove("b").unwrap());
    table.put(Entry::new("b", "127.0.0.1:0", "127.0.0.1:9")).unwrap();
    drop(table);
    let changes = changes.lock().unwrap();
    let told: Vec<(Origin, &str, &str, u64)> = changes
        .iter()
        .map(|(_, origin, name, deed, revision, _)| (*origin, &**name, &**deed, *revision))
        .collect();
    assert_eq!(
        told,
        [
            (Origin::Api, "b", "created", 1),
            (Origin::Api, "b", "enabled", 2),
            // What changes nothing is no change.
            (Origin::Api, "a", "profile", 2),
            (Origin::Key, "", "rules false", 0),
            (Origin::File, "", "rules true", 0),
            (Origin::File, "b", "disabled", 3),
            (Origin::File, "b", "moved", 4),
            (Origin::File, "b", "removed", 0),
            // No other proxy of its name has a number that it had.
            (Origin::File, "b", "created", 5),
        ]
    );
    assert!(changes.is_sorted_by_key(|(at, ..)| at), "{changes:?}");
    assert!(changes[0].0 > 0);
}

#[test]
fn who_breaks_off_is_told_nothing_more() {
    let (registry, _, _server, _running) = start(Fates::default());
    let [few, all] = [(); 2].map(|()| Arc::default());
    note(&few, &registry, 2);
    note(&all, &registry, usize::MAX);
    for on in [false, true, false, true] {
        registry.open(Origin::Signal).set_rules_on(on).unwrap();
    }
    assert_eq!((few.lock().unwrap().len(), all.lock().unwrap().len()), (2, 4));
}

/// The moment that is told is the one that packets see: none that entered before it met the new
/// rules, and none that entered later the old ones.
#[test]
fn the_moment_of_a_change_divides_the_packets() {
    let fates = Fates::default();
    let (registry, at, _server, running) = start(fates.clone());
    let changes = Arc::default();
    note(&changes, &registry, usize::MAX);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let [all, none] = ["100%", "0%"].map(|chance| {
        profile(&format!(r#"{{ "up": [ {{ "rule": "drop", "chance": "{chance}" }} ] }}"#))
    });
    let sent = std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let sender = scope.spawn(move || {
            let mut count = 0;
            while stopped
                .recv_timeout(Duration::from_micros(50))
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                client.send_to(b"x", at).unwrap();
                count += 1;
            }
            count
        });
        for round in 0..150 {
            std::thread::park_timeout(Duration::from_millis(1));
            if round % 3 == 2 {
                let mut table = registry.open(Origin::Key);
                let on = !table.rules_are_on();
                table.set_rules_on(on).unwrap();
            } else {
                let next = if round % 3 == 0 { &all } else { &none };
                registry.open(Origin::Api).set_profile("a", next.clone()).unwrap();
            }
        }
        drop(stop);
        sender.join().unwrap()
    });
    drop(running);
    let (changes, mut fates) = (changes.lock().unwrap(), fates.0.lock().unwrap());
    // What was refused for want of memory or a socket never met a rule; here there is none.
    assert!(fates.len() > sent / 2, "{} of {sent}", fates.len());
    fates.sort_unstable();
    let began = fates[0].0;
    let mut loses = false;
    let (mut next, mut chance, mut on, mut seen) = (0, false, true, [0, 0]);
    for (entered, delivered) in fates.iter() {
        while changes.get(next).is_some_and(|(at, ..)| at <= entered) {
            let (change_at, _, _, deed, _, first) = &changes[next];
            match deed.as_str() {
                "profile" => chance = next_chance(&changes, next),
                _ => on = deed == "rules true",
            }
            loses = chance && on;
            assert_eq!(first.is_some_and(|first| first == began), *change_at > began, "{next}");
            next += 1;
        }
        assert_eq!(*delivered, !loses, "entered at {entered}, after change {next}");
        seen[usize::from(*delivered)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
}

/// Whether the profile that a change sets loses everything: they alternate.
fn next_chance(changes: &[Noted], index: usize) -> bool {
    let before = changes[..index].iter().filter(|change| change.3 == "profile").count();
    before % 2 == 0
}
