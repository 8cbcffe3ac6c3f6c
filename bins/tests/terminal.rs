//! The keys of `jostle proxy` at a terminal that it shares with a shell.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod proxy_support;

use proxy_support::{Background, PATIENCE, installed};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// The most that is read of a screen for what must come.
const CHUNKS_MAX: usize = 100;

/// An interactive shell at a terminal.
struct Shell {
    _script: Background,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// All of it, also what was waited for.
    transcript: String,
}

impl Shell {
    fn start() -> Self {
        let mut script = Command::new("script")
            .args(["-qfec", "bash --norc --noprofile -i", "/dev/null"])
            .env("PS1", "$ ")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let keyboard = script.stdin.take().unwrap();
        let mut stdout = script.stdout.take().unwrap();
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                let _ = sender.send(bytes[..count].to_vec());
            }
        });
        Self {
            _script: Background(script),
            keyboard,
            screen,
            seen: String::new(),
            transcript: String::new(),
        }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until the screen shows `words` behind what was waited for before.
    fn shows(&mut self, words: &str) {
        // A status line is drawn for ever.
        let mut chunks = 0..CHUNKS_MAX;
        while !self.seen.contains(words) {
            assert!(chunks.next().is_some(), "no {words:?} in {:?}", self.seen);
            let more = self.screen.recv_timeout(PATIENCE);
            let more = more.unwrap_or_else(|_| panic!("no {words:?} in {:?}", self.seen));
            let more = String::from_utf8_lossy(&more);
            self.seen.push_str(&more);
            self.transcript.push_str(&more);
        }
        let end = self.seen.find(words).unwrap() + words.len();
        self.seen.drain(..end);
    }
}

/// Returns the lines that are left on a screen on which `ESC [2K` empties the line.
fn left_on_screen(transcript: &str) -> Vec<String> {
    let lines = transcript.split("\r\n").map(|line| line.rsplit("\u{1b}[2K").next().unwrap());
    lines.map(str::to_owned).collect()
}

#[test]
fn a_status_line_is_drawn_anew_steps_aside_and_is_cleared_at_the_end() {
    if !installed("script") || !installed("bash") {
        return;
    }
    let mut shell = Shell::start();
    let jostle = env!("CARGO_BIN_EXE_jostle");
    shell.types("stty cols 80 rows 24\n");
    shell.types(&format!(
        "{jostle} proxy udp://127.0.0.1:0=127.0.0.1:9 --up-drop 100% --seed 1; stty cols 0; echo b\"\"ye\n"
    ));
    shell.shows("route 1: udp://");
    shell.shows(" -> 127.0.0.1:9  up: drop 100%");
    let ready = shell.transcript.split("route 1: udp://").nth(1).unwrap();
    let address = ready.split(" -> ").next().unwrap().to_owned();
    shell.shows("space: rules off and on, 1-9: one of them, + -: turn it, Ctrl-C: end");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        client.send_to(b"lost", &address).unwrap();
    }
    shell.shows(&format!("route 1: first packet from udp://{}", client.local_addr().unwrap()));
    shell.shows("up/down  in 3/0  lost 100%/0%  held 0/0  ");
    shell.types(" ");
    shell.shows("rules off\r\n");
    // With the rules behind it there is no room for all of it.
    shell.shows("rules off  in 3/0 lost 100%/0%");
    shell.types("\u{3}");
    shell.shows("seed 1, ");
    shell.shows("bye");
    shell.types("exit\n");
    let lines = left_on_screen(&shell.transcript);
    assert!(shell.transcript.contains("\u{1b}[2Kup/down"), "{lines:#?}");
    let mixed: Vec<&String> = lines.iter().filter(|line| line.contains("up/down  in")).collect();
    assert!(mixed.is_empty(), "{mixed:#?}");
    for told in ["rules off", "1 udp up                   3    100%"] {
        assert!(
            lines.iter().any(|line| line.trim_start_matches('\r').starts_with(told)),
            "{told}: {lines:#?}"
        );
    }
}

#[test]
fn keys_switch_single_rules_and_turn_the_chosen_one() {
    if !installed("script") || !installed("bash") {
        return;
    }
    let mut shell = Shell::start();
    let jostle = env!("CARGO_BIN_EXE_jostle");
    shell.types("stty cols 80 rows 24\n");
    shell.types(&format!(
        "{jostle} proxy udp://127.0.0.1:0=127.0.0.1:9 --up-drop 2% --delay 40ms --seed 1\n"
    ));
    shell.shows("route 1: udp://");
    shell.shows("up: 1 drop 2%, 2 delay 40 ms; down: 3 delay 40 ms");
    shell.types("+");
    shell.shows("choose a rule first: 1 to 9");
    shell.types("1");
    shell.shows("rule 1, 1 up: drop 2% (off)");
    shell.shows("up: (>1 drop 2%), 2 delay 40 ms; down: 3 delay 40 ms");
    shell.types("1++");
    shell.shows("rule 1, 1 up: drop 2%");
    shell.shows("rule 1, 1 up: drop 5%");
    shell.shows("rule 1, 1 up: drop 10%");
    shell.types("3-");
    shell.shows("rule 3, 1 down: delay 40 ms (off)");
    shell.shows("rule 3, 1 down: delay 20 ms (off)");
    shell.shows("up: 1 drop 10%, 2 delay 40 ms; down: (>3 delay 20 ms)");
    shell.types("9");
    shell.shows("there is no rule 9");
    shell.types("\u{3}");
    shell.shows("seed 1, ");
    shell.types("exit\n");
}

#[test]
fn a_proxy_goes_on_in_the_background_and_has_its_keys_back_in_the_foreground() {
    if !installed("script") || !installed("bash") {
        return;
    }
    let mut shell = Shell::start();
    let jostle = env!("CARGO_BIN_EXE_jostle");
    shell.types(&format!("{jostle} proxy udp://127.0.0.1:0=127.0.0.1:9 --seed 1\n"));
    shell.shows("route 1: udp://");
    shell.types(" ");
    shell.shows("rules off\r\n");
    shell.types("\u{1a}");
    shell.shows("Stopped");
    shell.types("bg\n");
    // Typed for the shell while the proxy would like keys.
    std::thread::park_timeout(Duration::from_millis(500));
    shell.types("jobs; echo \"that is\" all\n");
    shell.shows("Running");
    shell.shows("that is all");
    shell.types("fg\n");
    std::thread::park_timeout(Duration::from_millis(500));
    shell.types(" ");
    shell.shows("rules on");
    shell.types("\u{3}");
    shell.shows("seed 1, ");
    // The terminal is as it was: what is typed is shown.
    shell.types("echo a\"\"b\n");
    shell.shows("echo a\"\"b");
    shell.shows("ab");
    shell.types("exit\n");
}
