//! The first client of each route, told once: that traffic really comes by here.

use jostle_common::transport::Transport;
use jostle_console::terminal::{escaped, note};
use jostle_proxy::{ClientHook, NewClient};
use std::collections::BTreeSet;
use std::sync::mpsc::{self, SyncSender};

/// Lines that wait to be printed. The loop does not wait for a terminal: beyond these they are not
/// told.
const WAITING_MAX: usize = 256;

/// Returns what tells of first clients, on a thread of its own.
pub(super) fn hook() -> Option<ClientHook> {
    let (lines, waiting) = mpsc::sync_channel::<String>(WAITING_MAX);
    let print = move || waiting.iter().for_each(|line| note(&line));
    std::thread::Builder::new().name("first".into()).spawn(print).ok()?;
    let mut first = First::default();
    Some(Box::new(move |client| {
        if let Some(line) = first.line(client) {
            tell(&lines, line);
        }
    }))
}

fn tell(lines: &SyncSender<String>, line: String) {
    if lines.try_send(line).is_err() {
        log::debug!("a first packet is not told: too many lines wait");
    }
}

/// The routes that have had a client. There are no more of them than routes.
#[derive(Default)]
struct First(BTreeSet<(String, Transport)>);

impl First {
    /// Returns what to say of a client, if it is the first of its route.
    fn line(&mut self, client: NewClient<'_>) -> Option<String> {
        let NewClient { route, transport, address } = client;
        if !self.0.insert((route.to_owned(), transport)) {
            return None;
        }
        let what = match transport {
            Transport::Udp => "first packet",
            Transport::Tcp => "first connection",
        };
        Some(format!("route {}: {what} from {transport}://{address}", escaped(route)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_and_transport_tells_of_its_first_client_alone() {
        let mut first = First::default();
        let mut line = |route, transport, port| {
            first.line(NewClient { route, transport, address: ([127, 0, 0, 1], port).into() })
        };
        let (udp, tcp) = (Transport::Udp, Transport::Tcp);
        let says = "route dns: first packet from udp://127.0.0.1:4000";
        assert_eq!(line("dns", udp, 4000).as_deref(), Some(says));
        assert_eq!(line("dns", udp, 4001), None);
        let says = "route dns: first connection from tcp://127.0.0.1:4002";
        assert_eq!(line("dns", tcp, 4002).as_deref(), Some(says));
        assert!(line("web", tcp, 4003).is_some() && line("web", tcp, 4003).is_none());
    }
}
