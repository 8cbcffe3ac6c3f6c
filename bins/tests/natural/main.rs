//! Programs that know no more than what a system does, written as a student would, against our
//! servers and clients: they are understood, or told of.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod clients;
mod hints;
mod messages;
mod programs;
#[path = "../proxy_support/mod.rs"]
mod proxy_support;
mod servers;
#[path = "../endpoints/support.rs"]
mod support;

/// The programs that `docs/exercises.md` shows are those that are run here.
#[test]
fn the_document_shows_these_programs() {
    let document = include_str!("../../../docs/exercises.md");
    for program in [
        include_str!("clients/clock.py"),
        include_str!("clients/saw.py"),
        include_str!("clients/mp3_udp.py"),
        include_str!("clients/messages_strict.py"),
        include_str!("servers/clock.py"),
        include_str!("servers/ping.py"),
    ] {
        assert!(document.contains(&format!("```python\n{program}```")), "{program}");
    }
}
