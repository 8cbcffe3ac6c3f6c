//! redis-cli and psql, which speak to one server and so take a fixed route.

use super::{WEATHER, assert_came_through};
use crate::proxy_support::{Background, Jostle, free_port, installed, wait_for_port};
use crate::support::bytes;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A route to a port, and the port of the route.
fn route(port: u16) -> (Jostle, String) {
    let route = format!("tcp://127.0.0.1:0=127.0.0.1:{port}");
    let jostle = Jostle::start(&[&[route.as_str()], &WEATHER[..]].concat(), 1);
    let port = jostle.address("tcp").port().to_string();
    (jostle, port)
}

fn fed(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Nothing is printed before all of it is read.
    stdin.write_all(input).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn redis_cli_sets_and_gets() {
    if !["redis-server", "redis-cli"].map(installed).iter().all(|there| *there) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = Command::new("redis-server");
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    server.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
    let _server = Background(server.spawn().unwrap());
    wait_for_port(port);
    let (jostle, port) = route(port);
    let value = bytes(100_000);
    let cli = || {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &port]);
        command
    };
    let set = fed(cli().args(["-x", "SET", "key"]), &value);
    assert_eq!(set.stdout, b"OK\n");
    let got = fed(cli().args(["--raw", "GET", "key"]), b"");
    assert!(got.stdout == [&value[..], b"\n"].concat(), "{} bytes", got.stdout.len());
    assert_came_through(jostle, 100_000);
}

/// A server that is asked to end, so that it takes its shared memory along.
struct Asked(Child);

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let is_over = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        let over = (0..400).any(|_| {
            std::thread::park_timeout(Duration::from_millis(25));
            is_over(&mut self.0)
        });
        if !over {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// PostgreSQL's own programs, which Debian keeps out of the way.
fn postgres_folder() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let found = folders.into_iter().find(|folder| folder.join("initdb").is_file());
    if found.is_none() {
        eprintln!("SKIPPED: PostgreSQL's server is not installed");
    }
    found
}

/// The user and group that a server may run as: root may not be one.
fn server_user() -> Option<Option<[u32; 2]>> {
    if !rustix::process::geteuid().is_root() {
        return Some(None);
    }
    let id = |option: &str| -> Option<u32> {
        let output = Command::new("id").args([option, "postgres"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let ids = (id("-u"), id("-g"));
    let (Some(user), Some(group)) = ids else {
        eprintln!("SKIPPED: there is no user postgres, and the server does not run as root");
        return None;
    };
    Some(Some([user, group]))
}

fn as_user(program: &Path, folder: &Path, user: Option<[u32; 2]>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    if let Some([user, group]) = user {
        command.uid(user).gid(group);
    }
    command
}

#[test]
fn psql_reads_what_the_server_says() {
    if !installed("psql") {
        return;
    }
    let Some(programs) = postgres_folder() else { return };
    let Some(user) = server_user() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if let Some([user, group]) = user {
        std::os::unix::fs::chown(folder, Some(user), Some(group)).unwrap();
    }
    let mut init = as_user(&programs.join("initdb"), folder, user);
    init.args(["-D", "data", "-U", "somebody", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]);
    let made = init.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let mut server = as_user(&programs.join("postgres"), folder, user);
    server.args(["-D", "data", "-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
    server.args(["-c", "fsync=off"]).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Asked(server.spawn().unwrap());
    wait_for_port(port);
    let psql = |port: &str| {
        let url = format!("postgresql://somebody@127.0.0.1:{port}/postgres?sslmode=disable");
        let query = "select md5(i::text), repeat('x', i % 50) from generate_series(1, 4000) i";
        // The server may still be starting: it says so, and is asked again.
        (0..600).find_map(|_| {
            let mut command = Command::new("psql");
            let output = command.args([&url, "-X", "-A", "-t", "-c", query]).output().unwrap();
            let is_starting = String::from_utf8_lossy(&output.stderr).contains("starting up");
            if is_starting {
                std::thread::park_timeout(Duration::from_millis(50));
            }
            (!is_starting).then_some(output)
        })
    };
    let direct = psql(&port.to_string()).expect("it starts");
    assert!(direct.stdout.len() > 200_000, "{}", String::from_utf8_lossy(&direct.stderr));
    let (jostle, port) = route(port);
    let through = psql(&port).expect("it has started");
    assert!(through.stdout == direct.stdout, "{}", String::from_utf8_lossy(&through.stderr));
    assert_came_through(jostle, direct.stdout.len() as u64);
}
