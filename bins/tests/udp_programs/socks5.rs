//! Programs that reach UDP servers through a SOCKS5 proxy: a client in Python, a QUIC stack, and
//! `jostle-client`.

use super::http3::{Http3Server, script};
use super::proxy_support::{Background, Jostle, installed, python_with};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

/// Answers any datagram with itself, until the process ends.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..length], from);
        }
    });
    address
}

#[test]
fn a_client_in_python_reaches_a_server_by_every_kind_of_address() {
    if !installed("python3") {
        return;
    }
    let server = echo();
    for user in ["-", "ann:secret"] {
        let mut arguments = vec!["socks5://127.0.0.1:0", "--delay", "1ms", "--seed", "7"];
        if user != "-" {
            arguments.extend(["--user", user]);
        }
        let jostle = Jostle::start(&arguments, 1);
        let output = Command::new("python3")
            .arg(script("socks_echo.py"))
            .args([jostle.address("socks5").port().to_string(), user.into()])
            .arg(server.port().to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.trim(), "done", "{}", String::from_utf8_lossy(&output.stderr));
        let summary = jostle.stop();
        let (up, down) = (summary.link("udp", "up"), summary.link("udp", "down"));
        // Four ways to write one address, of which three are the same to the proxy, and five sizes.
        assert_eq!((up["in"].as_u64(), down["delivered"].as_u64()), (Some(20), Some(20)));
        let bytes = 4 * (1 + 1200 + 9000 + 60_000);
        assert_eq!(up["bytes_in"], bytes, "the links see the payload alone: {up}");
        assert_eq!(summary.sockets("udp", "flows"), 2);
        summary.assert_conserved();
    }
}

#[test]
fn http3_gets_a_body_whole_through_a_socks_proxy_in_bad_weather() {
    const LENGTH: usize = 500_000;
    let Some(python) = python_with("aioquic") else { return };
    let server = Http3Server::start(&python, LENGTH, &[]);
    let weather = ["--drop", "2%", "--delay", "5ms", "--seed", "7"];
    let jostle = Jostle::start(&[&["socks5://127.0.0.1:0"][..], &weather].concat(), 1);
    let output = Command::new(&python)
        .arg(script("http3_socks_client.py"))
        .args([&jostle.address("socks5").port().to_string(), "127.0.0.1", &server.port])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.trim(), format!("200 {LENGTH} {}", server.digest));
    let summary = jostle.stop();
    let (up, down) = (summary.link("udp", "up"), summary.link("udp", "down"));
    // 500 kB in packets of at most 1472 bytes are 340 and more; 7 of them are lost on average.
    assert!(down["discarded"]["drop"].as_u64().unwrap() >= 1, "{down}");
    assert!(down["in"].as_u64().unwrap() >= 340 && up["in"].as_u64().unwrap() > 10, "{up}");
    summary.assert_conserved();
}

/// A server of `jostle-server`, and its address.
fn serve(arguments: &[&str]) -> (Background, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_jostle-server"))
        .args(arguments)
        .args(["--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map(Background)
        .unwrap();
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let ready: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let address = ready["address"].as_str().expect("it says where it listens").to_owned();
    let (_, address) = address.split_once("://").expect("with its scheme");
    (child, address.to_owned())
}

/// Runs a client to its end and returns the last object that it printed.
fn last_said(arguments: &[&str], proxy: &str) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args(arguments)
        .args(["--json", "--socks5", proxy])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(said.lines().last().expect("a summary")).unwrap()
}

#[test]
fn our_own_clients_reach_their_servers_through_it_over_both_transports() {
    let folder = tempfile::tempdir().unwrap();
    let (site, stored) = (folder.path().join("site"), folder.path().join("stored"));
    std::fs::create_dir_all(&site).unwrap();
    let body = super::bytes(300_000);
    let file = site.join("song.mp3");
    std::fs::write(&file, &body).unwrap();
    let (file, text) = (file.to_str().unwrap(), |path: &Path| path.to_str().unwrap().to_owned());
    let weather = ["--drop", "2%", "--delay", "2ms", "--seed", "7", "--user", "ann:secret"];
    let jostle = Jostle::start(&[&["socks5://127.0.0.1:0"][..], &weather].concat(), 1);
    let proxy = format!("ann:secret@{}", jostle.address("socks5"));

    let (_ping, ping) = serve(&["ping", "--listen", "127.0.0.1:0"]);
    let pinged = last_said(&["ping", &ping, "--count", "50"], &proxy);
    assert_eq!(pinged["requests"], 50, "{pinged}");

    let (_saw, saw) = serve(&["saw", file, "--listen", "127.0.0.1:0"]);
    let fetched = folder.path().join("fetched.mp3");
    last_said(&["saw", &saw, "-o", &text(&fetched)], &proxy);
    assert!(std::fs::read(&fetched).unwrap() == body);

    let (_http, http) = serve(&["http", "--root", &text(&site), "--listen", "127.0.0.1:0"]);
    let got = folder.path().join("got.mp3");
    last_said(&["http", "get", &format!("http://{http}/song.mp3"), "-o", &text(&got)], &proxy);
    assert!(std::fs::read(&got).unwrap() == body);

    let listen = ["--listen", "127.0.0.1:0", "--dir", &text(&stored)];
    let (_tcp, tcp) = serve(&[&["file", "--over", "tcp"][..], &listen].concat());
    let sent = last_said(&["file", &tcp, file, "--over", "tcp"], &proxy);
    assert_eq!(sent["digest_equal"], true, "{sent}");

    let summary = jostle.stop();
    assert!(summary.sockets("udp", "flows") >= 2);
    assert_eq!(summary.sockets("udp", "no_association"), 0);
    summary.assert_conserved();
}
