//! The summary of a run, as text for people or as objects for machines.

mod table;

use jostle_common::words::{count, grouped, time};
use jostle_console::terminal::{Printer, escaped, wrapped};
use jostle_engine::counters::EcnCounters;
use jostle_engine::route::Route;
use jostle_proxy::{LinkSummary, SocketSummary, Summary};
use jostle_study::forecast::{SeenDelays, Warning, narrowed};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// The columns of a terminal that everybody has.
const WIDTH: usize = 80;

/// The memory that was held is told if it was more than this share of the bound.
const MEMORY_SHARE: u64 = 16;

/// Returns the summary: for machines an object per route, protocol and direction, one per route and
/// protocol for its sockets, and one for the run; for people the same as a table.
pub(super) fn summary(printer: Printer, summary: &Summary, routes: &[Route]) -> String {
    if printer.is_json() { objects(printer, summary) } else { text(summary, routes) }
}

fn objects(printer: Printer, summary: &Summary) -> String {
    let object = |event, fields| printer.said(event, fields, String::new);
    let of = |value: serde_json::Result<Value>| value.unwrap_or(Value::Null);
    let links = summary.links.iter().map(|link| object("link", of(serde_json::to_value(link))));
    let sockets = summary.sockets.iter();
    let sockets = sockets.map(|sockets| object("sockets", of(serde_json::to_value(sockets))));
    let mut run = of(serde_json::to_value(summary));
    if let Value::Object(run) = &mut run {
        // They have objects of their own.
        run.retain(|key, _| !["links", "sockets"].contains(&key.as_str()));
    }
    let lines: Vec<String> = links.chain(sockets).chain([object("summary", run)]).collect();
    lines.join("\n")
}

/// Returns warnings of jitter that kept order took away in the run.
pub(super) fn warnings(summary: &Summary, routes: &[Route]) -> Vec<String> {
    let warnings = summary.links.iter().flat_map(|link| {
        let route = routes.iter().find(|route| route.name == link.route);
        let seen = SeenDelays {
            packets: link.delay.packets,
            sd: link.delay.sd_ms / 1e3,
            seconds: summary.seconds,
            packets_per_second: None,
        };
        let found = route.map_or_else(Vec::new, |route| {
            narrowed(route.profile.timeline(link.direction), link.direction, &seen)
        });
        found.into_iter().map(move |Warning { place, problem }| {
            let line =
                format!("warning: route {} {}, {place}: {problem}", link.route, link.protocol);
            wrapped(&escaped(&line), WIDTH, 9)
        })
    });
    warnings.collect()
}

fn text(summary: &Summary, routes: &[Route]) -> String {
    let mut lines = Vec::new();
    let mut silent = Vec::new();
    for (sockets, links) in summary.sockets.iter().zip(summary.links.chunks(2)) {
        let name = format!("{} {}", escaped(&sockets.route), sockets.protocol);
        if is_silent(sockets, links) {
            silent.push(name);
            continue;
        }
        if lines.is_empty() {
            lines.push(table::HEADS.to_owned());
        }
        let route = routes.iter().find(|route| route.name == sockets.route);
        let asked = route.map(|route| table::Asked::of(&route.profile));
        for link in links {
            lines.push(table::row(link));
            lines.extend(asked.as_ref().and_then(|asked| asked.row(link.direction)));
            let facts = account(link)
                .into_iter()
                .chain(cross_traffic(link))
                .chain(congestion(link))
                .chain(stream_bytes(link));
            lines.extend(facts.map(|line| format!("  {}", wrapped(&line, WIDTH - 2, 4))));
        }
        lines.push(wrapped(&sockets_line(sockets), WIDTH, 4));
    }
    if !silent.is_empty() {
        lines.push(wrapped(&format!("no traffic: {}", silent.join(", ")), WIDTH, 4));
    }
    let Summary { seed, seconds, events_lost, memory, .. } = summary;
    let mut run = format!("seed {seed}, {seconds:.1} s");
    if *events_lost > 0 {
        let _ = write!(run, ", {} of the event log lost", count(*events_lost, "line"));
    }
    if summary.events_left_out > 0 {
        let left_out = grouped(summary.events_left_out);
        let _ = write!(run, ", {left_out} left out of the event log");
    }
    if summary.capture_lost > 0 {
        let _ = write!(run, ", {} of the capture lost", count(summary.capture_lost, "packet"));
    }
    let carried = summary.links.iter().all(|link| link.ecn.is_some() || link.entered == 0);
    if !carried {
        run.push_str(", congestion bits (ECN) not carried");
    }
    // What never came near the bound is nobody's concern.
    if memory.peak > 0 && memory.peak >= memory.bound / MEMORY_SHARE {
        let [peak, bound] = [memory.peak, memory.bound].map(|bytes| grouped(bytes >> 20));
        let _ = write!(run, ", held up to {peak} of {bound} MiB");
    }
    lines.push(run);
    lines.join("\n")
}

/// Returns true if nothing at all has come.
fn is_silent(sockets: &SocketSummary, links: &[LinkSummary]) -> bool {
    links.iter().all(|link| link.entered == 0 && link.missed_by_kernel.unwrap_or(0) == 0)
        && sockets.counts.values().all(|count| *count == 0)
}

/// Says where the packets of a link are, if they did not simply all cross it:
/// `1,000 in + 5 copies = 801 delivered + 200 discarded (drop 200) + 4 held`.
fn account(link: &LinkSummary) -> Option<String> {
    let LinkSummary { entered, copies, delivered, corrupted, held, .. } = link;
    let discarded = link.discarded_total();
    let missed = link.missed_by_kernel.unwrap_or(0);
    if copies + discarded + held + corrupted + missed == 0 {
        return None;
    }
    let mut text = format!("{} in", grouped(*entered));
    if *copies > 0 {
        let _ = write!(text, " + {}", copies_of(*copies));
    }
    let _ = write!(text, " = {} delivered", grouped(*delivered));
    if *corrupted > 0 {
        let _ = write!(text, " ({} of them damaged)", grouped(*corrupted));
    }
    if discarded > 0 {
        let reasons = link.discarded.iter().filter(|(_, count)| **count > 0);
        let reasons: Vec<String> =
            reasons.map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
        let _ = write!(text, " + {} discarded ({})", grouped(discarded), reasons.join(", "));
    }
    if *held > 0 {
        let _ = write!(text, " + {} held", grouped(*held));
    }
    if missed > 0 {
        let _ = write!(text, "; the kernel dropped {} before", grouped(missed));
    }
    Some(text)
}

/// Says where the packets of cross traffic are.
fn cross_traffic(link: &LinkSummary) -> Option<String> {
    let cross = link.cross.as_ref()?;
    let mut text = format!("cross traffic: {} sent", grouped(cross.sent));
    if cross.copies > 0 {
        let _ = write!(text, " + {}", copies_of(cross.copies));
    }
    let _ = write!(text, " = {} through", grouped(cross.delivered));
    for (count, word) in [(cross.discarded, "discarded"), (cross.held, "held")] {
        if count > 0 {
            let _ = write!(text, " + {} {word}", grouped(count));
        }
    }
    Some(text)
}

/// Says what the IP headers of the delivered said of congestion, if anything:
/// `congestion: ECT(0) 980, CE 20 (15 marked here)`.
fn congestion(link: &LinkSummary) -> Option<String> {
    let EcnCounters { ect0, ect1, ce, marked } = link.ecn.filter(|ecn| !ecn.are_none())?;
    let said = [("ECT(0)", ect0), ("ECT(1)", ect1), ("CE", ce)];
    let said = said.iter().filter(|(_, count)| *count > 0);
    let said: Vec<String> =
        said.map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
    let here = match marked {
        0 => String::new(),
        _ => format!(" ({} marked here)", grouped(marked)),
    };
    Some(format!("congestion: {}{here}", said.join(", ")))
}

/// Says what rules on the delivered stream discarded of it.
fn stream_bytes(link: &LinkSummary) -> Option<String> {
    let by_rule = link.bytes_discarded.iter();
    let told: Vec<String> =
        by_rule.map(|(rule, bytes)| format!("{} {}", escaped(rule), grouped(*bytes))).collect();
    (!told.is_empty()).then(|| format!("bytes of streams discarded: {}", told.join(", ")))
}

fn copies_of(copies: u64) -> String {
    if copies == 1 { "1 copy".to_owned() } else { format!("{} copies", grouped(copies)) }
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
        let words = |trip: Option<Duration>| time(trip.unwrap_or_default().as_secs_f64());
        let _ = write!(
            text,
            "; rtt p50 {}, p99 {}, max {}",
            words(trips.percentile(50.0)),
            words(trips.percentile(99.0)),
            words(trips.most())
        );
    }
    text
}

#[cfg(test)]
mod tests;
