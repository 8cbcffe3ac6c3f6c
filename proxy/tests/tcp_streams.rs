//! Toxics and rules on delivered streams, through real sockets: that times are kept, that not a
//! byte too many or too few arrives, and whether an end is a FIN or a reset.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::profile::Profile;
use jostle_engine::route::{Toxic, profile_of_toxics};
use jostle_proxy::RouteId;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use support::{Log, PATIENCE, Running, assert_conserved, settings, wait_until};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// The time that a loaded machine may add before something is wrong.
const LOADED: Duration = Duration::from_secs(5);

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
}

/// A proxy in front of a server.
struct Pair {
    proxy: Running,
    listener: TcpListener,
}

impl Pair {
    /// A route with these fields besides its addresses.
    fn new(fields: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Running::start(&route(&listener, fields));
        Self { proxy, listener }
    }

    /// A proxy of Toxiproxy's kind with one toxic.
    fn toxic(kind: &str, stream: &str, attributes: &str) -> Self {
        Self::new(&format!(r#""toxics": [ {} ]"#, toxic(kind, stream, attributes)))
    }

    /// A connection: the client's end and the server's.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address(Transport::Tcp)).unwrap();
        let (server, _) = self.listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_nodelay(true).unwrap();
        }
        (client, server)
    }

    fn route_id(&self) -> RouteId {
        self.proxy.control.routes().unwrap()[0].id
    }

    fn set(&self, profile: Profile) {
        self.proxy.control.set_profile(self.route_id(), profile).unwrap();
    }
}

fn route(listener: &TcpListener, fields: &str) -> String {
    let upstream = listener.local_addr().unwrap();
    format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "{upstream}", {fields} }}"#)
}

fn toxic(kind: &str, stream: &str, attributes: &str) -> String {
    format!(r#"{{ "type": "{kind}", "stream": "{stream}", "attributes": {{ {attributes} }} }}"#)
}

fn toxics(texts: &[String]) -> Profile {
    let read =
        |text: &String| Toxic::from_value(&serde_json::from_str(text).unwrap(), |_| false).unwrap();
    profile_of_toxics(&texts.iter().map(read).collect::<Vec<_>>())
}

/// Reads to the end; returns what came, and how it ended.
fn read_out(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes) {
        Ok(_) => End::Fin,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error}"),
    };
    (bytes, end)
}

fn text(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

/// Asserts that what began at `begun` took a time, within what a loaded machine allows.
fn assert_took(begun: Instant, least: Duration) {
    let took = begun.elapsed();
    assert!(took >= least && took < least + LOADED, "{took:?} instead of {least:?}");
}

#[test]
fn latency() {
    let pair = Pair::toxic("latency", "upstream", r#""latency": 200"#);
    let (mut client, mut server) = pair.connect();
    let begun = Instant::now();
    client.write_all(&text(33_000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut server), (text(33_000), End::Fin));
    assert_took(begun, MS(200));
    // The other direction is not slowed down, and there is no handshake to wait for.
    let begun = Instant::now();
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(read_out(&mut client), (b"answer".to_vec(), End::Fin));
    assert_took(begun, MS(0));
}

#[test]
fn bandwidth() {
    let pair = Pair::toxic("bandwidth", "downstream", r#""rate": 500"#);
    // Each connection has a rate of its own.
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (mut client, mut server) = pair.connect();
            std::thread::spawn(move || {
                let writer = std::thread::spawn(move || server.write_all(&text(100_000)).unwrap());
                let begun = Instant::now();
                assert_eq!(read_out(&mut client), (text(100_000), End::Fin));
                assert_took(begun, MS(199));
                writer.join().unwrap();
            })
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn slow_close() {
    let pair = Pair::toxic("slow_close", "downstream", r#""delay": 300"#);
    let (mut client, mut server) = pair.connect();
    let begun = Instant::now();
    server.write_all(b"now").unwrap();
    drop(server);
    let mut bytes = [0; 3];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(read_out(&mut client), (Vec::new(), End::Fin));
    assert_took(begun, MS(300));
}

#[test]
fn timeout() {
    let pair = Pair::toxic("timeout", "upstream", r#""timeout": 300"#);
    let (mut client, mut server) = pair.connect();
    client.write_all(&text(1000)).unwrap();
    server.write_all(b"passes").unwrap();
    let begun = Instant::now();
    client.write_all(&text(500_000)).unwrap();
    assert_eq!(read_out(&mut client), (b"passes".to_vec(), End::Fin));
    assert_eq!(read_out(&mut server), (Vec::new(), End::Fin));
    assert_took(begun, MS(299));
    let summary = pair.proxy.stop();
    assert_conserved(&summary);
    let up = summary.link("1", Transport::Tcp, Direction::Up).unwrap();
    assert_eq!(up.bytes_discarded["timeout_upstream"], 501_000);
    assert_eq!((up.bytes_in, up.bytes_out), (501_000, 0));
    assert_eq!(summary.sockets[0].counts["closed_by_rule"], 1);
}

#[test]
fn reset_peer() {
    let pair = Pair::toxic("reset_peer", "downstream", r#""timeout": 100"#);
    let (mut client, mut server) = pair.connect();
    let (mut idle, mut idle_server) = pair.connect();
    let begun = Instant::now();
    server.write_all(b"never arrives").unwrap();
    assert_eq!(read_out(&mut client), (Vec::new(), End::Reset));
    assert_took(begun, MS(100));
    assert_eq!(read_out(&mut server), (Vec::new(), End::Reset));
    // Nothing came that way on the other connection: it goes on.
    idle.write_all(b"still there").unwrap();
    idle.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut idle_server), (b"still there".to_vec(), End::Fin));
}

#[test]
fn a_reset_that_does_not_act_leaves_an_end_as_it_is() {
    let never = r#""toxicity": 0, "type": "reset_peer", "stream": "upstream""#;
    let pair = Pair::new(&format!(r#""toxics": [ {{ {never} }} ]"#));
    for removed in [false, true] {
        if removed {
            pair.set(toxics(&[toxic("reset_peer", "upstream", r#""timeout": 60000"#)]));
        }
        let (mut client, mut server) = pair.connect();
        client.write_all(b"whole").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        if removed {
            // It has come, and waits.
            wait_until("the end", || {
                pair.proxy
                    .control
                    .counters()
                    .unwrap()
                    .link("1", Transport::Tcp, Direction::Up)
                    .is_some_and(|up| up.bytes_in == 10)
            });
            pair.set(Profile::default());
        }
        assert_eq!(read_out(&mut server), (b"whole".to_vec(), End::Fin));
        drop(server);
        assert_eq!(read_out(&mut client), (Vec::new(), End::Fin));
    }
}

#[test]
fn slicer() {
    let attributes = r#""average_size": 100, "size_variation": 50, "delay": 2000"#;
    let pair = Pair::toxic("slicer", "upstream", attributes);
    let (mut client, mut server) = pair.connect();
    let begun = Instant::now();
    client.write_all(&text(10_000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut server), (text(10_000), End::Fin));
    // 67 to 200 pieces, 2 ms behind each.
    assert_took(begun, MS(134));
}

#[test]
fn limit_data() {
    for count in [100, 5000] {
        let pair = Pair::toxic("limit_data", "downstream", r#""bytes": 100"#);
        let (mut client, mut server) = pair.connect();
        client.write_all(&text(300_000)).unwrap();
        let mut request = vec![0; 300_000];
        server.read_exact(&mut request).unwrap();
        server.write_all(&text(count)).unwrap();
        assert_eq!(read_out(&mut client), (text(100), End::Fin));
        assert_eq!(read_out(&mut server), (Vec::new(), End::Fin));
    }
}

#[test]
fn noop() {
    let pair = Pair::toxic("noop", "upstream", "");
    let (mut client, mut server) = pair.connect();
    client.write_all(&text(1_000_000)).unwrap_or_default();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut server), (text(1_000_000), End::Fin));
}

#[test]
fn toxics_come_to_live_connections_and_go() {
    let pair = Pair::new(r#""tcp": "raw", "unit": "read""#);
    let (mut client, mut server) = pair.connect();
    let mut bytes = [0; 4];
    client.write_all(b"goes").unwrap();
    server.read_exact(&mut bytes).unwrap();
    // Without data its removal closes the connection that it was in force on.
    pair.set(toxics(&[toxic("timeout", "upstream", r#""timeout": 0"#)]));
    let (mut later, mut later_server) = pair.connect();
    client.write_all(b"gone").unwrap();
    wait_until("the discard", || {
        let counters = pair.proxy.control.counters().unwrap();
        let up = counters.link("1", Transport::Tcp, Direction::Up).unwrap();
        up.bytes_discarded.get("timeout_upstream") == Some(&4)
    });
    pair.set(Profile::default());
    for end in [&mut client, &mut server, &mut later, &mut later_server] {
        assert_eq!(read_out(end), (Vec::new(), End::Fin));
    }
    // What waits behind a slow slicer goes at once when it goes.
    let (mut client, mut server) = pair.connect();
    let attributes = r#""average_size": 1, "delay": 3600000000"#;
    pair.set(toxics(&[toxic("slicer", "upstream", attributes)]));
    client.write_all(&text(50_000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut first = [7; 1];
    server.read_exact(&mut first).unwrap();
    assert_eq!(first, [0]);
    pair.set(Profile::default());
    assert_eq!(read_out(&mut server), (text(50_000)[1..].to_vec(), End::Fin));
}

#[test]
fn rules_on_streams_work_behind_a_modelled_link_and_are_written_down() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fields = r#""profile": { "both": [ { "rule": "delay", "time": "20ms" } ],
                                 "down": [ { "rule": "close_after", "bytes": "10000B", "name": "enough" } ] }"#;
    let log = Log::default();
    let mut settings = settings(&route(&listener, fields));
    settings.events = Some(Box::new(log.clone()));
    let pair = Pair { proxy: Running::with(settings), listener };
    let begun = Instant::now();
    let (mut client, mut server) = pair.connect();
    server.write_all(&text(30_000)).unwrap();
    assert_eq!(read_out(&mut client), (text(10_000), End::Fin));
    // The handshake takes 60 ms until the server accepts, the first bytes 20 more.
    assert_took(begun, MS(80));
    assert_eq!(read_out(&mut server).1, End::Fin);
    let summary = pair.proxy.stop();
    assert_conserved(&summary);
    let down = summary.link("1", Transport::Tcp, Direction::Down).unwrap();
    assert_eq!(down.bytes_out, 10_000);
    // How much more was read depends on how soon the window opens; the rest never will be.
    assert!((10_000..=30_000).contains(&down.bytes_in), "{}", down.bytes_in);
    let discarded = down.bytes_discarded["enough"];
    assert!((1..=20_000).contains(&discarded), "{discarded}");
    let told = log.fates();
    assert!(told[&("1".to_owned(), Direction::Down, "stream".to_owned())] >= 1, "{told:?}");
}

#[test]
fn a_client_that_goes_on_sending_reads_the_end_first() {
    let pair = Pair::toxic("limit_data", "downstream", r#""bytes": 5"#);
    let (mut client, mut server) = pair.connect();
    let mut sender = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let begun = Instant::now();
        while sender.write_all(&[0; 10_000]).is_ok() {
            assert!(begun.elapsed() < PATIENCE, "who was told of the end is reset in the end");
        }
    });
    let reading = server.try_clone().unwrap();
    let ignoring = std::thread::spawn(move || std::io::copy(&mut &reading, &mut std::io::sink()));
    server.write_all(b"12345678").unwrap();
    assert_eq!(read_out(&mut client), (b"12345".to_vec(), End::Fin));
    sending.join().unwrap();
    let _ = ignoring.join().unwrap();
}
