//! Trials of real programs on loopback.

use super::descendants::group_of_living;
use super::*;
use crate::trial::Job;
use jostle_common::chance::Direction;
use jostle_common::clock::Clock;
use jostle_common::transport::Transport;
use jostle_common::units::Span;
use jostle_engine::route::Transports;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A server for those who only want one to be there.
const IDLE_SERVER: &str = "exec nc -lk 127.0.0.1 ${JOSTLE_LISTEN#*:}";

fn trial(over: Transports, server: &str, client: &str, check: Option<&str>) -> Trial {
    let (server, client, check) = (server.to_owned(), client.to_owned(), check.map(str::to_owned));
    let job = Job::Commands(Commands { client, server, upstream: None, check, over: Some(over) });
    Trial { job, seed: 7, ..Trial::default() }
}

fn attempt(trial: &Trial, stop: &Stop) -> anyhow::Result<ProgramsOutcome> {
    trial.check().unwrap();
    let Job::Commands(programs) = &trial.job else { panic!("it is one of programs") };
    run_programs(trial, programs, stop)
}

fn outcome(trial: &Trial) -> ProgramsOutcome {
    attempt(trial, &Stop::new()).unwrap()
}

/// Returns true if programs are installed; says so aloud when they are not.
fn installed(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        !std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        })
    });
    if let Some(program) = missing {
        eprintln!("SKIPPED: {program} is not installed");
    }
    missing.is_none()
}

/// Returns the numbers of processes that a script has written, one per line.
fn numbers(path: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(path).unwrap();
    text.split_ascii_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn lives(number: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat"));
    stat.is_ok_and(|stat| group_of_living(&stat).is_some())
}

/// Creates a folder with a file of 100 kB to be sent.
fn folder_with_a_file() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> =
        (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(folder.path().join("file"), bytes).unwrap();
    folder
}

#[test]
fn a_download_with_strange_programs_is_measured_and_checked() {
    if !installed(&["python3", "curl", "cmp"]) {
        return;
    }
    let folder = folder_with_a_file();
    let there = folder.path().display();
    let server = format!(
        "python3 -m http.server --bind 127.0.0.1 --directory '{there}' ${{JOSTLE_LISTEN#*:}}"
    );
    let client = "curl -sS --fail -o $JOSTLE_TEMP/got -w \
                  '{\"bytes\":%{size_download}}' http://$JOSTLE_SERVER/file";
    let check = format!("cmp $JOSTLE_TEMP/got '{there}/file'");
    let mut trial = trial(Transports::Tcp, &server, client, Some(&check));
    trial.shorthands.both.delay = Some(Span(Duration::from_millis(20)));
    let outcome = outcome(&trial);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.measured.unwrap()["bytes"], 100_000);
    // Connecting takes a round trip of 40 ms, as do the question and the first window; 100 kB need
    // two more.
    let seconds = outcome.seconds.unwrap();
    assert!((0.12..10.0).contains(&seconds), "{seconds}");
    let down = outcome.summary.link("trial", Transport::Tcp, Direction::Down).unwrap();
    assert!(down.bytes_out >= 100_000, "{down:?}");
}

#[test]
fn a_server_for_one_connection_is_not_knocked_at() {
    if !installed(&["nc", "cmp"]) {
        return;
    }
    let folder = folder_with_a_file();
    let file = folder.path().join("file");
    // It writes its file when the client has gone, and ends.
    let server = "nc -l 127.0.0.1 ${JOSTLE_LISTEN#*:} > $JOSTLE_TEMP/part && mv $JOSTLE_TEMP/part \
                  $JOSTLE_TEMP/got";
    let client =
        format!("nc -N ${{JOSTLE_SERVER%:*}} ${{JOSTLE_SERVER#*:}} < '{}'", file.display());
    let check = format!("cmp $JOSTLE_TEMP/got '{}'", file.display());
    let mut trial = trial(Transports::Tcp, server, &client, Some(&check));
    trial.shorthands.both.drop = Some("5%".parse().unwrap());
    let outcome = outcome(&trial);
    assert_eq!(outcome.error, None);
}

#[test]
fn a_program_of_two_transports_finds_both() {
    if !installed(&["iperf3"]) {
        return;
    }
    let server = "iperf3 -s -1 -B 127.0.0.1 -p ${JOSTLE_LISTEN#*:}";
    let client = "iperf3 -c 127.0.0.1 -p ${JOSTLE_SERVER#*:} -u -b 2M -n 200K -l 1000 --json | tr \
                  -d '\\n\\t'";
    let mut trial = trial(Transports::Both, server, client, None);
    trial.shorthands.both.drop = Some("10%".parse().unwrap());
    let outcome = outcome(&trial);
    assert_eq!(outcome.error, None);
    let measured = outcome.measured.expect("iperf3 prints an object");
    let up = |protocol| outcome.summary.link("trial", protocol, Direction::Up).unwrap();
    let (udp, tcp) = (up(Transport::Udp), up(Transport::Tcp));
    assert!(tcp.delivered > 0 && udp.entered >= 200, "{udp:?}");
    // 10 % of about 200: the seed decides, and within four standard deviations.
    assert!((3..=40).contains(&udp.discarded_total()), "{udp:?}");
    let mut row = trial.row();
    write_counts(&mut row, &relayed(&outcome.summary, Transports::Both));
    let again = outcome.summary.socket_count("trial", Transport::Tcp, "retransmissions");
    assert_eq!(row.retransmissions, Some(again), "they are counted once");
    assert_eq!(row.proxy.unwrap().up.entered, udp.entered + tcp.entered);
    let lost = measured["end"]["sum"]["lost_packets"].as_u64().expect("it counts what it lost");
    assert!(lost > 0 && lost <= udp.discarded_total(), "{lost} of {udp:?}");
}

#[test]
fn all_three_have_the_environment_and_a_folder_that_is_removed() {
    if !installed(&["nc"]) {
        return;
    }
    let kept = tempfile::tempdir().unwrap();
    let kept = kept.path().display();
    let say = "echo $JOSTLE_LISTEN $JOSTLE_PROXY $JOSTLE_SEED $JOSTLE_TEMP $PWD $JOSTLE_SERVER";
    let server = format!("{say} > '{kept}/server'; {IDLE_SERVER}");
    let client = format!("touch $JOSTLE_TEMP/mine; {say} > '{kept}/client'; exit 3");
    let check = format!(
        "{say} > '{kept}/check'; test -e $JOSTLE_TEMP/mine; echo $? $JOSTLE_CLIENT_STATUS > \
         '{kept}/more'"
    );
    let outcome = outcome(&trial(Transports::Tcp, &server, &client, Some(&check)));
    assert_eq!(outcome.error.as_deref(), Some("the client ended with status 3"));
    assert!(outcome.seconds.is_some());
    let read = |name| std::fs::read_to_string(format!("{kept}/{name}")).unwrap();
    assert_eq!(read("more"), "0 3\n");
    let said = read("server");
    assert_eq!(read("client"), read("check"));
    let words = |said: &str| said.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let client = words(&read("client"));
    let [listen, proxy, seed, temp, folder, server] = &words(&said)[..] else { panic!("{said}") };
    assert_eq!(&client[..5], &words(&said)[..5]);
    assert_eq!((server, &client[5]), (listen, proxy), "each as it is to see the server");
    assert!(listen != proxy && listen.starts_with("127.0.0.1:") && proxy.starts_with("127.0.0.1:"));
    let (seed, temp, folder) = (seed.as_str(), temp.as_str(), folder.as_str());
    assert_eq!((seed, Path::new(folder)), ("7", std::env::current_dir().unwrap().as_path()));
    assert!(!Path::new(temp).exists(), "{temp}");
}

#[test]
fn failures_say_whose_they_are() {
    let played_with =
        |server, client, check| outcome(&trial(Transports::Tcp, server, client, check));
    let outcome = played_with("echo no such file >&2; exit 3", "true", None);
    assert_eq!(
        outcome.error.as_deref(),
        Some("before it listened, the server ended with status 3: no such file")
    );
    assert_eq!((outcome.seconds, outcome.failed_at.as_deref()), (None, Some("server")));
    if !installed(&["nc"]) {
        return;
    }
    let outcome =
        played_with(IDLE_SERVER, "echo '{\"a\":1}'; echo gone >&2; kill -9 $$", Some("false"));
    assert_eq!(outcome.error.as_deref(), Some("the client ended with status 137: gone"));
    assert_eq!(outcome.measured.unwrap()["a"], 1);
    let outcome = played_with(IDLE_SERVER, "echo '{\"a\":1}'", Some("echo '{\"b\":2}'; exit 4"));
    assert_eq!(outcome.error.as_deref(), Some("the check ended with status 4: {\"b\":2}"));
    assert_eq!(outcome.measured.unwrap()["b"], 2);
    let outcome = played_with(IDLE_SERVER, "true", Some("echo fine"));
    assert_eq!((outcome.error, outcome.measured), (None, None));
}

#[test]
fn a_server_that_listens_elsewhere_is_named_with_what_it_wrote() {
    let server = "echo serving on port 1 >&2; exec sleep 611";
    let mut trial = trial(Transports::Tcp, server, "true", None);
    trial.limit = Some(Span(Duration::from_secs(120)));
    let clock = Clock::start();
    let outcome = outcome(&trial);
    let error = outcome.error.unwrap();
    assert!(error.starts_with("the server does not listen for TCP on 127.0.0.1:"), "{error}");
    assert!(error.contains("$JOSTLE_SERVER") && error.ends_with("it wrote: serving on port 1"));
    assert_eq!(outcome.failed_at.as_deref(), Some("server"));
    assert!((10.0..60.0).contains(&clock.now().as_secs_f64()), "within a bound");
}

#[test]
fn a_server_that_runs_already_is_met_through_the_proxy_and_left_running() {
    if !installed(&["python3"]) {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 3];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        listener
    });
    let client = "exec python3 -c '
import os, socket
tcp = socket.create_connection((os.environ[\"JOSTLE_PROXY_HOST\"], int(os.environ[\"JOSTLE_PROXY_PORT\"])))
tcp.sendall(b\"abc\"); assert tcp.recv(3) == b\"abc\"; print(\"{}\")'";
    let mut trial = trial(Transports::Tcp, "", client, None);
    let Job::Commands(commands) = &mut trial.job else { panic!("it is one of programs") };
    commands.upstream = Some(format!("localhost:{port}"));
    trial.shorthands.both.delay = Some(Span(Duration::from_millis(20)));
    let outcome = outcome(&trial);
    assert_eq!((outcome.error, outcome.failed_at), (None, None));
    let up = outcome.summary.link("trial", Transport::Tcp, Direction::Up).unwrap();
    assert!(up.delivered >= 3, "{up:?}");
    answering.join().unwrap();
}

#[test]
fn the_limit_ends_children_grandchildren_and_daemons() {
    if !installed(&["nc", "setsid"]) || !Path::new("/proc/self/environ").exists() {
        return;
    }
    let kept = tempfile::tempdir().unwrap();
    let pids = kept.path().join("pids");
    let there = pids.display();
    let server = format!("echo $$ >> '{there}'; sleep 601 & echo $! >> '{there}'; {IDLE_SERVER}");
    // A child in the background, one of a child, and one that leaves the group and closes its
    // pipes.
    let client = format!(
        "sleep 602 & echo $! >> '{there}'
         sh -c 'sleep 603 & echo $! >> \"{there}\"; wait' &
         setsid sh -c 'echo $$ >> \"{there}\"; exec sleep 604' < /dev/null > /dev/null 2>&1 &
         echo $$ >> '{there}'; wait"
    );
    let mut trial = trial(Transports::Tcp, &server, &client, Some("touch $JOSTLE_TEMP/never"));
    trial.limit = Some(Span(Duration::from_secs(2)));
    let clock = Clock::start();
    let outcome = outcome(&trial);
    assert_eq!((outcome.error.as_deref(), outcome.seconds), (Some("not done after 2 s"), None));
    let pids = numbers(&pids);
    assert_eq!(pids.len(), 6, "{pids:?}");
    assert!(!pids.iter().any(|pid| lives(*pid)), "{pids:?}");
    assert!(clock.now().as_secs_f64() < 5.0, "they all end when asked to");
}

#[test]
fn who_does_not_want_to_end_is_killed() {
    if !installed(&["nc"]) {
        return;
    }
    let kept = tempfile::tempdir().unwrap();
    let pids = kept.path().join("pids");
    let there = pids.display();
    // The shell ends when asked to; what it started does not.
    let stubborn = format!(
        "sh -c 'trap \"\" TERM; echo $$ >> \"{there}\"; sleep 605; sleep 606' > /dev/null 2>&1 &"
    );
    let server = format!("{stubborn} {IDLE_SERVER}");
    let client = format!("until test -s '{there}'; do sleep 0.01; done");
    let clock = Clock::start();
    assert_eq!(outcome(&trial(Transports::Tcp, &server, &client, None)).error, None);
    let took = clock.now().as_secs_f64();
    assert!(took >= 5.0, "it had its time: {took}");
    let pids = numbers(&pids);
    assert_eq!(pids.len(), 1);
    assert!(!lives(pids[0]));
}

#[test]
fn a_request_to_stop_ends_the_programs() {
    if !installed(&["nc"]) {
        return;
    }
    let kept = tempfile::tempdir().unwrap();
    let pids = kept.path().join("pids");
    let there = pids.display();
    let client =
        format!("sleep 607 & echo $$ $! > '{there}.part'; mv '{there}.part' '{there}'; wait");
    let (stop, requested) = (Stop::new(), Stop::new());
    let trial = trial(Transports::Tcp, IDLE_SERVER, &client, None);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| attempt(&trial, &stop));
        while !pids.exists() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        stop.request();
        let error = running.join().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "stopped before the trial was done");
    });
    assert!(numbers(&pids).into_iter().filter(|pid| !lives(*pid)).count() == 2);
    requested.request();
    assert!(attempt(&trial, &requested).is_err());
}

#[test]
fn the_row_of_two_transports_holds_the_packets_of_both() {
    if !installed(&["python3"]) {
        return;
    }
    // One datagram and one connection, each answered.
    let server = "exec python3 -c '
import os, socket
host, port = os.environ[\"JOSTLE_LISTEN\"].split(\":\")
udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
udp.bind((host, int(port))); tcp.bind((host, int(port))); tcp.listen()
bytes, client = udp.recvfrom(100); udp.sendto(bytes, client)
stream, _ = tcp.accept(); stream.sendall(stream.recv(100))'";
    let client = "exec python3 -c '
import os, socket
host, port = os.environ[\"JOSTLE_SERVER\"].split(\":\")
udp = socket.socket(type=socket.SOCK_DGRAM); udp.sendto(b\"one\", (host, int(port))); udp.recv(100)
tcp = socket.create_connection((host, int(port))); tcp.sendall(b\"two\"); print({}, tcp.recv(100))
print(\"{ \\\"answers\\\": 2 }\")'";
    let mut trial = trial(Transports::Both, server, client, None);
    trial.shorthands.both.delay = Some(Span(Duration::from_millis(5)));
    let Job::Commands(programs) = &trial.job else { panic!("it is one of programs") };
    let row = run(&trial, programs, &Stop::new()).unwrap();
    assert_eq!((row.ok, &row.error, row.protocol.as_str()), (true, &None, "commands"));
    assert_eq!((&row.more["over"], &row.more["measured"]["answers"]), (&json!("both"), &json!(2)));
    let counts = row.proxy.unwrap();
    for link in [&counts.up, &counts.down] {
        // A datagram, and of TCP at least a segment that opens, one with bytes and one that ends.
        assert!(link.entered >= 3, "{link:?}");
        assert_eq!(link.entered + link.copies, link.delivered + link.discarded_total() + link.held);
    }
    let packets = counts.up.entered + counts.down.entered;
    assert_eq!(row.packets, Some(packets));
    assert_eq!(row.retransmissions, Some(0));
    assert!(
        row.host["lateness"]["udp"]["up"].is_object()
            && row.host["lateness"]["tcp"]["down"].is_object()
    );
    assert!(row.host.contains_key("load") && row.host.contains_key("cpus"));
    // Four crossings of 5 ms, and the connection's own.
    assert!((0.02..20.0).contains(&row.seconds.unwrap()), "{:?}", row.seconds);
    assert_eq!((row.goodput_bps, row.intact), (None, None));
    // Those of the modelled TCP.
    let least = row.rtt_ms.and_then(|trips| trips.min).unwrap();
    assert!((10.0..1000.0).contains(&least), "{least}");
}
