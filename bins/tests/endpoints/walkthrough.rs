//! The walk-throughs of `docs/exercises.md` work as they are written, on ports of their own.

use crate::proxy_support::{Jostle, installed, jostle};
use crate::support::{Server, bytes};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

const DOCUMENT: &str = include_str!("../../../docs/exercises.md");
/// What the document runs that is not ours.
const PROGRAMS: [&str; 3] = ["curl", "nc", "python3"];

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let starts = DOCUMENT.match_indices(&fence).map(|(at, _)| at + fence.len());
    starts.map(|start| DOCUMENT[start..].split_once("```").unwrap().0).collect()
}

/// The three terminals of an exercise.
fn terminals(block: &str) -> Option<[&str; 3]> {
    let (server, rest) = block.strip_prefix("# server\n")?.split_once("# proxy\n")?;
    let (proxy, client) = rest.split_once("# client\n")?;
    Some([server.trim(), proxy.trim(), client])
}

/// A folder as the document prepares it, with a shorter song.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("public")).unwrap();
    for name in ["song.mp3", "public/song.mp3"] {
        std::fs::write(folder.path().join(name), bytes(60_000)).unwrap();
    }
    folder
}

/// The routes that a proxy command names, as `listen` and `upstream`.
fn routes(configuration: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let routes = configuration["proxies"].as_array().unwrap();
    routes.iter().map(|route| (text(&route["listen"]), text(&route["upstream"]))).collect()
}

/// Starts the proxy of an exercise in front of `server`. Returns it, and each address in the
/// document with the one it is now.
fn start_proxy(
    command: &str,
    folder: &Path,
    server: &Server,
    over: &str,
) -> (Jostle, Vec<(String, String)>) {
    let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    assert_eq!(&words[..2], ["jostle", "proxy"], "{command}");
    let upstream = server.address.to_string();
    let mut listens = Vec::new();
    let mut moved = |listen: &str| {
        let (scheme, address) = listen.split_once("://").unwrap();
        listens.push(address.to_owned());
        format!("{}://127.0.0.1:0", if scheme == "both" { over } else { scheme })
    };
    for at in 2..words.len() {
        if words[at - 1] == "--config" {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&words[at]);
            let mut configuration: Value =
                serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            for (index, (listen, _)) in routes(&configuration).iter().enumerate() {
                let route = &mut configuration["proxies"][index];
                route["listen"] = moved(listen).into();
                route["upstream"] = upstream.clone().into();
            }
            let path = folder.join("routes.json");
            std::fs::write(&path, configuration.to_string()).unwrap();
            words[at] = path.to_str().unwrap().to_owned();
        } else if let Some((listen, _)) =
            words[at].split_once('=').filter(|(listen, _)| listen.contains("://"))
        {
            words[at] = format!("{}={upstream}", moved(listen));
        }
    }
    let arguments: Vec<&str> = words[2..].iter().map(String::as_str).collect();
    let proxy = Jostle::start(&arguments, listens.len());
    let now = proxy.listeners.iter().map(|(_, url)| url.split_once("://").unwrap().1.to_owned());
    let addresses = listens.into_iter().zip(now).collect();
    (proxy, addresses)
}

/// The upstreams that a proxy command names.
fn upstreams(command: &str) -> Vec<String> {
    let mut words = command.split_whitespace().skip(2);
    let first = words.next().unwrap();
    if first != "--config" {
        return vec![first.split_once('=').unwrap().1.to_owned()];
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(words.next().unwrap());
    let configuration = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    routes(&configuration).into_iter().map(|(_, upstream)| upstream).collect()
}

fn run([server, proxy, client]: [&str; 3]) {
    let missing = |program: &&str| {
        client.split_whitespace().any(|word| word == *program) && !installed(program)
    };
    if PROGRAMS.iter().any(missing) {
        return;
    }
    let words: Vec<&str> = server.split_whitespace().collect();
    assert_eq!(words[0], "jostle-server", "{server}");
    let help = Command::new(env!("CARGO_BIN_EXE_jostle-server"))
        .args([words[1], "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for upstream in upstreams(proxy) {
        assert!(
            help.contains(&format!("default: {upstream}]")) || help.contains(&upstream),
            "{proxy}: {help}"
        );
    }

    let folder = prepared();
    let server = Server::start_in(folder.path(), "127.0.0.1:0", &words[1..]);
    let over = if words.windows(2).any(|pair| pair == ["--over", "udp"]) { "udp" } else { "tcp" };
    let (proxy, addresses) = start_proxy(proxy, folder.path(), &server, over);
    let script = addresses.iter().fold(client.to_owned(), |script, (written, now)| {
        assert!(DOCUMENT.contains(written.as_str()), "nobody is told to go to {written}");
        // Some programs want address and port apart.
        script.replace(written, now).replace(&written.replace(':', " "), &now.replace(':', " "))
    });
    let programs = Path::new(env!("CARGO_BIN_EXE_jostle")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-euc", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success() && !stdout.is_empty(), "{script}\n{stdout}\n{stderr}");
    proxy.stop().assert_conserved();
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn every_exercise_in_three_terminals_works() {
    let exercises: Vec<_> = blocks("sh").into_iter().filter_map(terminals).collect();
    assert_eq!(exercises.len(), DOCUMENT.matches("# server\n").count());
    assert!(exercises.len() >= 10, "only {} were found", exercises.len());
    std::thread::scope(|scope| {
        for exercise in exercises {
            scope.spawn(move || run(exercise));
        }
    });
}

#[test]
fn every_other_proxy_command_is_one() {
    let text = blocks("bash").concat().replace("\\\n", " ");
    let commands: Vec<&str> =
        text.lines().filter(|line| line.starts_with("jostle proxy")).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        // Without what it runs, on a port of its own, and at once over.
        let command = command.split(" -- ").next().unwrap().split(" #").next().unwrap();
        let words = command.split_whitespace().skip(2).map(|word| match word.split_once('=') {
            Some((listen, _)) if listen.contains("://") => {
                format!("{}://127.0.0.1:0=127.0.0.1:9", listen.split_once("://").unwrap().0)
            }
            _ => word.trim_matches('\'').to_owned(),
        });
        let output = jostle().arg("proxy").args(words).args(["--for", "1ms"]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
