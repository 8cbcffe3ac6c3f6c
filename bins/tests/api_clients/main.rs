//! Toxiproxy's client libraries, unchanged, against the API of `jostle proxy`; and a hostile page
//! in a browser.
#![allow(clippy::print_stderr, reason = "it says what it skips")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod examples;
#[path = "../proxy_support/mod.rs"]
mod proxy_support;

use proxy_support::{PATIENCE, installed, jostle};
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running API.
struct Api {
    child: Child,
    port: String,
    /// The address of the first route, if there is one.
    route: Option<String>,
}

impl Api {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(jostle(), arguments)
    }

    /// The same with a command that runs it.
    fn start_with(mut command: Command, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["proxy", "--json", "--api=127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut route = None;
        let address = loop {
            let line = lines.next().expect("it says where its API is").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            let address = value["address"].as_str().unwrap_or_default().to_owned();
            match value["event"].as_str() {
                Some("api") => break address,
                Some("listening") => {
                    route.get_or_insert_with(|| address.replace("tcp://", ""));
                }
                _ => {}
            }
        };
        // Whatever it says later has a reader, or it could not end.
        std::thread::spawn(move || lines.for_each(drop));
        let port = address.rsplit(':').next().unwrap().to_owned();
        Self { child, port, route }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns what `scripts/install-test-programs.sh` has made; says aloud if it has not.
fn made(path: &str) -> Option<PathBuf> {
    let path = [env!("CARGO_MANIFEST_DIR"), "..", "target", path].iter().collect::<PathBuf>();
    if !path.exists() {
        eprintln!("SKIPPED: {} is missing (scripts/install-test-programs.sh)", path.display());
        return None;
    }
    Some(path.canonicalize().unwrap())
}

fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "api_clients", name].iter().collect()
}

/// Returns a command that runs its arguments where every port is free; says aloud if there is none.
fn in_a_network_of_its_own() -> Option<Command> {
    let alone = || {
        let mut command = Command::new("unshare");
        let up = "ip link set lo up && exec \"$@\"";
        command.args(["--map-root-user", "--net", "sh", "-c", up, "sh"]);
        command
    };
    if alone().arg("true").output().is_ok_and(|output| output.status.success()) {
        return Some(alone());
    }
    eprintln!("SKIPPED: no network of its own (unshare, ip)");
    None
}

/// Runs a client to its end; it has to say that it is done.
fn assert_done(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().last(), Some("done"), "{said}");
}

#[test]
fn the_client_for_python_finds_what_it_expects() {
    if made("python/bin/python").is_none() {
        return;
    }
    // The link is the environment; what it leads to is not.
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    let has_it = Command::new(&python).args(["-c", "import toxiproxy"]).output().unwrap();
    if !has_it.status.success() {
        eprintln!("SKIPPED: toxiproxy-python is missing (scripts/install-test-programs.sh)");
        return;
    }
    let api = Api::start(&[]);
    assert_done(Command::new(python).arg(script("client.py")).arg(&api.port));
}

#[test]
fn the_client_for_node_finds_what_it_expects() {
    let Some(modules) = made("node/node_modules/toxiproxy-node-client") else { return };
    if !installed("node") {
        return;
    }
    let api = Api::start(&[]);
    let modules = modules.parent().unwrap().parent().unwrap();
    assert_done(Command::new("node").arg(script("client.mjs")).arg(&api.port).arg(modules));
}

/// Its own tests know one port, 8474, so they run in a network of their own.
#[test]
fn the_tests_of_the_client_for_rust_pass() {
    let Some(tests) = made("toxiproxy_rust/tests") else { return };
    let Some(mut command) = in_a_network_of_its_own() else { return };
    let jostle = env!("CARGO_BIN_EXE_jostle");
    let tests = tests.to_str().unwrap();
    let output = command.args([jostle, "proxy", "--api", "--", tests, "--test-threads=1"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("11 passed; 0 failed"), "{said}");
}

/// A server that sends back what it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut back = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut stream, &mut back);
            });
        }
    });
    address
}

/// Sends something to an address, and returns true if the answer begins as it should.
fn answers(address: &str, sent: &str, begins: &str) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut came = vec![0; begins.len()];
    stream.read_exact(&mut came).is_ok() && came == begins.as_bytes()
}

#[test]
fn with_few_descriptors_neither_traffic_nor_api_takes_the_other_s() {
    let limited = || {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 80; exec \"$@\" 2>/dev/null", "sh"]);
        command.arg(jostle().get_program());
        command
    };
    let route = format!("tcp://127.0.0.1:0={}", echo());
    let asks = "GET /proxies HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // More clients than there are descriptors, of either kind; the other kind is served.
    for traffic_first in [true, false] {
        let running = Api::start_with(limited(), &[&route, "--drain=100ms"]);
        let api = format!("127.0.0.1:{}", running.port);
        let listen = running.route.clone().unwrap();
        let (many, other) = if traffic_first { (&listen, &api) } else { (&api, &listen) };
        // Who is turned away at once may be told before the connect has returned.
        let connect = |_| match TcpStream::connect(many) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            result => Some(result.unwrap()),
        };
        let held: Vec<TcpStream> = (0..100).filter_map(connect).collect();
        for _ in 0..20 {
            if traffic_first {
                assert!(answers(other, asks, "HTTP/1.1 200 OK"));
            } else {
                assert!(answers(other, "hello", "hello"));
            }
        }
        drop(held);
    }
}

#[test]
fn what_the_command_line_says_of_tokens_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("@{}", path.display())
    };
    let (short, none) = (file("short", "secret\n"), "@/nowhere/at/all".to_owned());
    for (arguments, says) in [
        (vec!["--api=0.0.0.0:0"], "add --api-token"),
        (vec!["--api", "--api-token", "secret"], "openssl rand"),
        (vec!["--api", "--api-token", &short], "openssl rand"),
        (vec!["--api", "--api-token", &none], "cannot read /nowhere/at/all"),
        (vec!["--api", "--api-host", "http://a.test"], "without scheme and port"),
        (vec!["tcp://127.0.0.1:0=127.0.0.1:9", "--api-token", "long-enough"], "add --api"),
    ] {
        let output = jostle().arg("proxy").args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let token = file("token", "the-token-of-a-file\nand no more\n");
    let api = Api::start(&["--api-token", &token, "--api-host", "named.test"]);
    let address = format!("127.0.0.1:{}", api.port);
    for (host, token, status) in [
        ("named.test", "the-token-of-a-file", "200"),
        ("localhost", "the-token-of-a-file", "200"),
        ("named.test", "another-token", "401"),
        ("other.test", "the-token-of-a-file", "421"),
    ] {
        let asks = format!(
            "GET /version HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        assert!(answers(&address, &asks, &format!("HTTP/1.1 {status}")), "{host} {token}");
    }
}

/// A page of another origin tries what a page can: nothing is changed and nothing is read.
#[test]
fn a_hostile_page_reaches_nothing() {
    if !installed("chromium") || !installed("python3") {
        return;
    }
    let api = Api::start(&["tcp://127.0.0.1:0=127.0.0.1:9", "--panel"]);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("python3")
        .arg(script("page.py"))
        .args(["chromium", &api.port, folder.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["before"], seen["after"], "{seen}");
    let attempts = seen["attempts"].as_object().unwrap();
    assert!(attempts.len() > 30, "{seen}");
    for (name, result) in attempts {
        assert_eq!(result, "nothing", "{name}: {seen}");
    }
    // They did arrive, or this would show nothing; and the panel's own page is answered.
    for arrived in seen["arrived"].as_array().unwrap() {
        assert!(arrived.as_u64().unwrap() >= 3, "{seen}");
    }
    assert_eq!((&seen["honest"], &seen["panel"]), (&200.into(), &200.into()), "{seen}");
}
