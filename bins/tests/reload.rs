//! `jostle proxy --config` reads its file again: what did not change goes on, what cannot be
//! carried out changes nothing, and the journal of it can be played again.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod proxy_support;

use proxy_support::{Jostle, PATIENCE, free_port, jostle};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A proxy with a configuration file in a folder of its own, and a journal.
struct Reloading {
    folder: TempDir,
    jostle: Jostle,
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

impl Reloading {
    /// In the arguments `{}` stands for the folder.
    fn start(config: &Value, listeners: usize, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("config.json"), config.to_string()).unwrap();
        let mut command = jostle();
        command.stderr(std::fs::File::create(at("stderr.txt")).unwrap());
        let (config, journal) = (at("config.json"), at("journal.jsonl"));
        let own = ["--config", config.to_str().unwrap(), "--journal", journal.to_str().unwrap()];
        let here = folder.path().to_str().unwrap();
        let more: Vec<String> = arguments.iter().map(|text| text.replace("{}", here)).collect();
        let all: Vec<&str> = own.into_iter().chain(more.iter().map(String::as_str)).collect();
        let jostle = Jostle::start_with(command, &all, listeners);
        Self { folder, jostle }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// How often it said that it has read the file again, whatever came of it.
    fn reloads(&self) -> usize {
        self.read("stderr.txt").lines().filter(|line| line.starts_with("read ")).count()
    }

    /// Writes the file, has it read, and returns what is said of it.
    fn reload(&self, config: &str) -> String {
        std::fs::write(self.path("config.json"), config).unwrap();
        let before = self.reloads();
        self.jostle.signal(Signal::HUP);
        self.next_after(before)
    }

    /// Waits for what is said of the next reload.
    fn next_after(&self, before: usize) -> String {
        wait_until("the next reload", || self.reloads() > before);
        let text = self.read("stderr.txt");
        let said = text.lines().rfind(|line| line.starts_with("read ")).unwrap();
        said.replace(&format!("read {} again", self.path("config.json").display()), "")
    }

    /// The changes in the journal so far: what, and to which proxy.
    fn changes(&self) -> Vec<String> {
        let text = self.read("journal.jsonl");
        let lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| {
                let word = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
                format!("{} {} {}", word("origin"), word("change"), word("proxy"))
            })
            .collect()
    }
}

/// An echo server over TCP, for as long as the test lasts.
fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    address
}

fn talks(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"ping").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer == *b"ping"
}

fn route(name: &str, listen: &str, upstream: SocketAddr, delay: u32) -> Value {
    json!({ "name": name, "listen": listen, "upstream": upstream.to_string(),
        "profile": { "both": [ { "rule": "delay", "time": format!("{delay}ms") } ] } })
}

fn config(routes: &[Value]) -> Value {
    json!({ "seed": 7, "proxies": routes })
}

#[test]
fn what_did_not_change_goes_on_and_what_is_wrong_changes_nothing() {
    let upstream = tcp_echo();
    let listens: Vec<String> =
        [(); 4].map(|()| format!("tcp://127.0.0.1:{}", free_port())).into_iter().collect();
    let [a, b, c] = ["a", "b", "c"].map(|name| {
        let place = usize::from(name.as_bytes()[0] - b'a');
        route(name, &listens[place], upstream, 1)
    });
    let running = Reloading::start(&config(&[a, b.clone()]), 2, &["--drain", "2s"]);
    let address = |place: usize| listens[place].trim_start_matches("tcp://").to_owned();
    let [mut at_a, mut at_b] = [0, 1].map(|place| TcpStream::connect(address(place)).unwrap());
    assert!(talks(&mut at_a) && talks(&mut at_b));

    // A live change, a new route, and nothing.
    let slow = route("a", &listens[0], upstream, 3);
    let both = config(&[slow.clone(), b, c]).to_string();
    assert_eq!(running.reload(&both), ": added c; changed a");
    assert!(talks(&mut at_a) && talks(&mut at_b));
    assert!(talks(&mut TcpStream::connect(address(2)).unwrap()));
    assert_eq!(running.reload(&both), ": nothing has changed");

    // Wrong in one place, and halfway through: the remedy, and nothing has changed.
    let wrong = both.replace("\"1ms\"", "\"1\"");
    let said = running.reload(&wrong);
    let place = "proxies[1].profile.both[0].time: \"1\" has no unit";
    assert!(said.starts_with(", and changed nothing: ") && said.contains(place), "{said}");
    let said = running.reload(&both[..both.len() - 10]);
    assert!(said.starts_with(", and changed nothing: "), "{said}");

    // What can be carried out only in part is not carried out at all.
    let blocker = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", blocker.local_addr().unwrap());
    let moved = route("b", &listens[3], upstream, 9);
    let part = config(&[
        route("a", &listens[0], upstream, 5),
        moved.clone(),
        route("d", &taken, upstream, 1),
    ]);
    let said = running.reload(&part.to_string());
    assert!(said.contains("changed nothing: route d: cannot listen on"), "{said}");
    assert!(talks(&mut at_a) && talks(&mut at_b));
    assert!(talks(&mut TcpStream::connect(address(1)).unwrap()), "b is where it was");
    assert!(talks(&mut TcpStream::connect(address(2)).unwrap()), "c is there still");
    assert!(TcpStream::connect(address(3)).is_err(), "nothing is left behind");
    drop(blocker);

    // A route moves to the port of one that goes; one that goes lets its connections finish.
    let mut at_c = TcpStream::connect(address(2)).unwrap();
    assert!(talks(&mut at_c));
    let next = config(&[slow.clone(), moved, route("d", &listens[2], upstream, 1)]);
    assert_eq!(running.reload(&next.to_string()), ": added d; changed b; removed c");
    assert!(talks(&mut at_a) && talks(&mut at_b) && talks(&mut at_c));
    assert!(TcpStream::connect(address(1)).is_err(), "b has moved");
    assert!(talks(&mut TcpStream::connect(address(3)).unwrap()), "it is here");
    assert!(talks(&mut TcpStream::connect(address(2)).unwrap()), "d listens where c did");

    // A file that leaves nothing to do is a mistake.
    let mut off = slow;
    off["enabled"] = false.into();
    assert_eq!(
        running.reload(&config(&[off]).to_string()),
        ", and changed nothing: every route is \
        disabled; set \"enabled\": true in one"
    );
    drop((at_a, at_b, at_c));
    wait_until("the journal", || running.changes().len() >= 5);
    let changes = running.changes();
    assert_eq!(
        changes,
        ["file created c", "file profile a", "file replaced b", "file removed c", "file created d"]
    );
    let summary = running.jostle.stop();
    let journal = summary.0.iter().find(|value| value["event"] == "journal").unwrap();
    assert_eq!((&journal["lines"], &journal["lost"]), (&json!(7), &json!(0)));
}

#[test]
fn routes_exchange_their_ports_in_one_step_and_keep_their_connections() {
    // Each upstream says who it is, over TCP and UDP; three routes change places in a circle.
    let servers = ["a", "b", "c"].map(named_server);
    let ports = [(); 3].map(|()| free_port());
    let with = |places: [usize; 3]| {
        let routes = [0, 1, 2].map(|which| {
            let listen = format!("both://127.0.0.1:{}", ports[places[which]]);
            route(["a", "b", "c"][which], &listen, servers[which], 1)
        });
        config(&routes)
    };
    let running = Reloading::start(&with([0, 1, 2]), 6, &["--drain", "5s"]);
    let connect = |place: usize| TcpStream::connect(("127.0.0.1", ports[place])).unwrap();
    let mut stood = [0, 1, 2].map(connect);
    for (stream, name) in stood.iter_mut().zip(["a", "b", "c"]) {
        assert_eq!(asked(stream), name);
    }
    // Which of them goes first is nobody's business.
    let changed = |places: [usize; 3]| {
        let said = running.reload(&with(places).to_string());
        let names = said.strip_prefix(": changed ").unwrap_or(&said).split(", ");
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(changed([1, 0, 2]), names(&["a", "b"]));
    assert_eq!([0, 1, 2].map(|place| asked(&mut connect(place))), ["b", "a", "c"]);
    assert_eq!(changed([2, 1, 0]), names(&["a", "b", "c"]));
    assert_eq!([0, 1, 2].map(|place| asked(&mut connect(place))), ["c", "b", "a"]);
    assert_eq!([0, 1, 2].map(|place| datagram_of(ports[place])), ["c", "b", "a"]);
    for (stream, name) in stood.iter_mut().zip(["a", "b", "c"]) {
        assert_eq!(asked(stream), name, "what stood goes on");
    }

    // Where one of them cannot be carried out all are where they were.
    let blocker = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wrong = with([2, 0, 1]);
    let taken = format!("both://{}", blocker.local_addr().unwrap());
    wrong["proxies"][1]["listen"] = taken.into();
    let said = running.reload(&wrong.to_string());
    assert!(said.contains("changed nothing: route b: cannot listen on"), "{said}");
    assert_eq!([0, 1, 2].map(|place| asked(&mut connect(place))), ["c", "b", "a"]);
    assert_eq!([0, 1, 2].map(|place| datagram_of(ports[place])), ["c", "b", "a"]);
}

/// A server that answers whatever it is sent with its name, over TCP and UDP of one port.
fn named_server(name: &'static str) -> SocketAddr {
    let (listener, socket) = std::iter::repeat_with(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind(listener.local_addr().unwrap());
        (listener, socket)
    })
    .find_map(|(listener, socket)| Some((listener, socket.ok()?)))
    .unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
            let _ = socket.send_to(name.as_bytes(), from);
        }
    });
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(name.as_bytes());
                }
            });
        }
    });
    address
}

fn asked(stream: &mut TcpStream) -> String {
    let mut answer = [0];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"?").unwrap();
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

/// Asks by datagrams until one is answered: nothing says when a socket of datagrams is there.
fn datagram_of(port: u16) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut answer = [0; 8];
    let mut length = 0;
    wait_until("an answer to a datagram", || {
        let _ = socket.send(b"?");
        length = socket.recv(&mut answer).unwrap_or(0);
        length > 0
    });
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

#[test]
fn a_watched_file_is_taken_when_it_is_whole() {
    let upstream = tcp_echo();
    let listen = format!("tcp://127.0.0.1:{}", free_port());
    let with = |delay| config(&[route("a", &listen, upstream, delay)]).to_string();
    let first = serde_json::from_str(&with(1)).unwrap();
    let running = Reloading::start(&first, 1, &["--watch"]);
    let delays = |running: &Reloading| -> Vec<String> {
        let lines = running.read("journal.jsonl");
        let lines = lines.lines().skip(1);
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let time = |line: Value| {
            line.pointer("/route/profile/both/0/time").and_then(Value::as_str).map(str::to_owned)
        };
        lines.filter_map(time).collect()
    };
    // Half of it, and the rest a little later.
    let text = with(2);
    let (half, _) = text.split_at(text.len() / 2);
    let path = running.path("config.json");
    std::fs::write(&path, half).unwrap();
    std::thread::park_timeout(Duration::from_millis(400));
    std::fs::write(&path, &text).unwrap();
    wait_until("what was written in two steps", || delays(&running) == ["2ms"]);
    // An editor's rename.
    std::fs::write(running.path("new"), with(3)).unwrap();
    std::fs::rename(running.path("new"), &path).unwrap();
    wait_until("what was renamed", || delays(&running).len() == 2);
    // A folder that is swapped behind a link, as Kubernetes does.
    let swap = |version: &str, text: &str| {
        let folder = running.path(version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config.json"), text).unwrap();
        let link = running.path("..data_tmp");
        std::os::unix::fs::symlink(version, &link).unwrap();
        std::fs::rename(&link, running.path("..data")).unwrap();
    };
    swap("one", &with(3));
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("..data/config.json", &path).unwrap();
    swap("two", &with(4));
    wait_until("what was swapped", || delays(&running).len() == 3);
    // A profile that it names.
    let named = json!({ "both": [ { "rule": "delay", "time": "5ms" } ] }).to_string();
    std::fs::write(running.path("mine.json"), &named).unwrap();
    let mut by_name: Value = serde_json::from_str(&with(4)).unwrap();
    by_name["proxies"][0]["profile"] = "mine.json".into();
    swap("three", &by_name.to_string());
    wait_until("a profile by name", || delays(&running).len() == 4);
    std::fs::write(running.path("mine.json"), named.replace("5ms", "6ms")).unwrap();
    wait_until("what became of it", || delays(&running).len() == 5);
    assert_eq!(delays(&running), ["2ms", "3ms", "4ms", "5ms", "6ms"]);
    let alarms = running.read("stderr.txt");
    assert!(!alarms.contains("changed nothing"), "{alarms}");
    // What stays broken is told, once.
    std::fs::write(running.path("mine.json"), "{").unwrap();
    wait_until("the alarm", || running.read("stderr.txt").contains("changed nothing"));
    std::thread::park_timeout(Duration::from_millis(400));
    assert_eq!(running.read("stderr.txt").matches("changed nothing").count(), 1);
    running.jostle.stop();
}

/// Two configurations of rules with other names, by turns, under traffic of both kinds.
#[test]
fn reloads_under_load_lose_no_connection_and_mix_no_rules() {
    const RELOADS: usize = 60;
    let (tcp, udp) = (tcp_echo(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (udp_at, listen) = (udp.local_addr().unwrap(), format!("127.0.0.1:{}", free_port()));
    let with = |of: &str| {
        let rules: Vec<Value> = (1..=3)
            .map(|place| json!({ "rule": "corrupt", "name": format!("{of}{place}"), "chance": "60%" }))
            .chain([json!({ "rule": "drop", "name": format!("{of}4"), "chance": "5%" })])
            .collect();
        let delay = if of == "a" { 1 } else { 2 };
        let stream = route("tcp", &format!("tcp://{listen}"), tcp, delay);
        config(&[
            json!({ "name": "udp", "listen": "udp://127.0.0.1:0", "upstream": udp_at.to_string(),
                "profile": { "up": rules } }),
            stream,
        ])
    };
    let (a, b) = (with("a").to_string(), with("b").to_string());
    let running = Reloading::start(&with("a"), 2, &["--events", "{}/events.jsonl"]);
    let at = running.jostle.address("udp");
    let mut streams: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect(&listen).unwrap()).collect();
    let (stop, stopped) = mpsc::channel::<()>();
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut count = 0u64;
            while stopped.recv_timeout(Duration::from_micros(200)) == Err(RecvTimeoutError::Timeout)
            {
                client.send_to(&[7; 200], at).unwrap();
                count += 1;
            }
            count
        });
        for turn in 0..RELOADS {
            let said = running.reload(if turn % 2 == 0 { &b } else { &a });
            assert_eq!(said, ": changed udp, tcp");
            assert!(streams.iter_mut().all(talks), "a connection is gone after {turn} reloads");
        }
        drop(stop);
        sender.join().unwrap()
    });
    // What is open would be waited for at the end.
    drop(streams);
    wait_until("the journal", || running.changes().len() >= 2 * RELOADS);
    assert_eq!(running.changes().len(), 2 * RELOADS);
    let folder = running.folder;
    let summary = running.jostle.stop();
    summary.assert_conserved();
    let came = summary.link("udp", "up")["in"].as_u64().unwrap();
    let text = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let mut kinds = BTreeSet::new();
    let mut packets = 0;
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["route"] != "udp" || event["direction"] != "up" {
            continue;
        }
        packets += 1;
        let rules = event["rules"].as_array().unwrap().iter();
        let of: BTreeSet<char> =
            rules.filter_map(|rule| rule.as_str().unwrap().chars().next()).collect();
        assert!(of.len() <= 1, "one packet met rules of two configurations: {line}");
        kinds.extend(of);
    }
    assert_eq!(packets, came, "none is missing");
    assert!(came > sent * 9 / 10 && came > 500, "{came} of {sent}");
    assert_eq!(kinds, BTreeSet::from(['a', 'b']));
}

fn from_journal(arguments: &[&str], folder: &Path) -> Output {
    jostle().args(["profile", "from-journal"]).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn the_journal_of_a_run_becomes_a_profile_and_a_configuration() {
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [a, b] = ["a", "b"].map(|name| route(name, "udp://127.0.0.1:0", upstream, 2));
    let running = Reloading::start(&config(&[a, b.clone()]), 2, &[]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"first", running.jostle.address("udp")).unwrap();
    // That it has come is in the journal with the next change.
    wait_until("the first packet", || {
        for _ in 0..2 {
            let before = running.changes().len();
            running.jostle.signal(Signal::USR1);
            wait_until("the switch", || running.changes().len() > before);
        }
        running.read("journal.jsonl").lines().last().unwrap().contains("\"began\":{\"a\":{\"udp\":")
    });
    let lossy = json!({ "name": "a", "listen": "udp://127.0.0.1:0", "upstream": upstream.to_string(),
        "profile": { "up": [ { "rule": "drop", "chance": "7.3%" } ] } });
    assert_eq!(running.reload(&config(&[lossy, b]).to_string()), ": changed a");
    let Reloading { folder, jostle } = running;
    jostle.stop();
    let out = from_journal(&["journal.jsonl"], folder.path());
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("has 2 proxies: a, b; choose one with --proxy"), "{said}");
    let out = from_journal(&["journal.jsonl", "--proxy", "a", "-o", "a.json"], folder.path());
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("seed 7 and a route called \"a\""), "{said}");
    let text = std::fs::read_to_string(folder.path().join("a.json")).unwrap();
    let profile: Value = serde_json::from_str(&text).unwrap();
    let phases = profile["phases"].as_array().unwrap();
    assert!(phases.len() >= 2, "{text}");
    assert_eq!(phases.last().unwrap()["up"][0]["chance"], "7.3%", "{text}");
    let checked = self::jostle()
        .args(["profile", "check", "a.json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    // The whole configuration starts, and says the same again.
    let out = from_journal(&["journal.jsonl", "--config"], folder.path());
    assert!(out.status.success(), "{out:?}");
    let whole: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&whole["seed"], whole["proxies"].as_array().unwrap().len()), (&json!(7), 2));
    assert_eq!(whole["proxies"][0]["profile"], profile);
    let again = Reloading::start(&whole, 2, &[]);
    again.jostle.stop();
    // And what is no journal is said to be none.
    let out = from_journal(&["a.json"], folder.path());
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        out.status.code() == Some(2) && said.contains("a.json: line 1: this is no journal"),
        "{said}"
    );
}
