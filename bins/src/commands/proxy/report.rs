//! The summary of a run, as text for people or as objects for machines.

use jostle_common::words::grouped;
use jostle_console::terminal::{Printer, escaped};
use jostle_proxy::{LinkSummary, SocketSummary, Summary};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// The memory that was held is told if it was more than this share of the bound.
const MEMORY_SHARE: u64 = 16;

/// Returns the summary: a line per route, protocol and direction, one per route and protocol for
/// its sockets, and one for the run.
pub(super) fn summary(printer: Printer, summary: &Summary) -> String {
    let mut lines = Vec::new();
    for link in &summary.links {
        let fields = serde_json::to_value(link).unwrap_or(Value::Null);
        lines.push(printer.said("link", fields, || link_line(link)));
    }
    for sockets in &summary.sockets {
        let fields = serde_json::to_value(sockets).unwrap_or(Value::Null);
        lines.push(printer.said("sockets", fields, || sockets_line(sockets)));
    }
    let Summary { seed, seconds, events_lost, memory, .. } = summary;
    let fields = json!({ "seed": seed, "seconds": seconds, "events_lost": events_lost,
        "memory": memory });
    lines.push(printer.said("summary", fields, || {
        let mut text = format!("seed {seed}, {seconds:.1} s");
        if *events_lost > 0 {
            let _ = write!(text, ", {} lines of the event log lost", grouped(*events_lost));
        }
        // What never came near the bound is nobody's concern.
        if memory.peak >= memory.bound / MEMORY_SHARE {
            let [peak, bound] = [memory.peak, memory.bound].map(|bytes| grouped(bytes >> 20));
            let _ = write!(text, ", held up to {peak} of {bound} MiB");
        }
        text
    }));
    lines.join("\n")
}

fn link_line(link: &LinkSummary) -> String {
    let mut text = format!("{} {} {}:", escaped(&link.route), link.protocol, link.direction);
    let _ = write!(text, " in {}, copies {},", grouped(link.entered), grouped(link.copies));
    let _ = write!(
        text,
        " delivered {}, discarded {}",
        grouped(link.delivered),
        grouped(link.discarded_total())
    );
    let reasons = link.discarded.iter().filter(|(_, count)| **count > 0);
    let reasons: Vec<String> =
        reasons.map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
    if !reasons.is_empty() {
        let _ = write!(text, " ({})", reasons.join(", "));
    }
    let _ = write!(
        text,
        ", corrupted {}, held {}, missed by kernel {}",
        grouped(link.corrupted),
        grouped(link.held),
        link.missed_by_kernel.map_or_else(|| "not known".to_owned(), grouped)
    );
    let lateness = &link.lateness;
    if lateness.packets > 0 {
        let _ = write!(
            text,
            "; late by p50 {:.0} µs, p99 {:.0} µs, max {:.0} µs",
            lateness.p50_us, lateness.p99_us, lateness.max_us
        );
    }
    text
}

/// Only what happened.
fn sockets_line(sockets: &SocketSummary) -> String {
    let counts = sockets.counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts
        .map(|(name, count)| format!("{} {}", name.replace('_', " "), grouped(*count)))
        .collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    let mut text = format!("{} {} sockets: {counts}", escaped(&sockets.route), sockets.protocol);
    if let Some(trips) = &sockets.round_trips {
        let ms = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
        let _ = write!(
            text,
            "; rtt p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            ms(trips.percentile(50.0)),
            ms(trips.percentile(99.0)),
            ms(trips.most())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::statistics::RoundTrips;
    use jostle_common::transport::Transport;

    #[test]
    fn the_sockets_of_a_model_tell_its_round_trips() {
        let mut trips = RoundTrips::default();
        trips.record(Duration::from_millis(40));
        let mut sockets = SocketSummary {
            route: "1".to_owned(),
            protocol: Transport::Tcp,
            counts: [("segments", 4), ("timeouts", 0)].into(),
            round_trips: Some(trips),
        };
        let line = "1 tcp sockets: segments 4; rtt p50 40.0 ms, p99 40.0 ms, max 40.0 ms";
        assert_eq!(sockets_line(&sockets), line);
        sockets.round_trips = None;
        assert_eq!(sockets_line(&sockets), "1 tcp sockets: segments 4");
    }
}
