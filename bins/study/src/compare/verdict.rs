//! The meaning of the comparison, in sentences that need no table.

use super::finished::{Comparison, FileProtocol, FinishedRow};
use jostle_common::words::{count, grouped, list, percent, seconds, share};

/// The verdict: one sentence over all, and a few on each protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ComparisonVerdict {
    /// The whole in one sentence.
    pub(super) headline: String,
    /// The fate of the file over each protocol.
    pub(super) parts: Vec<(FileProtocol, String)>,
}

impl ComparisonVerdict {
    /// Judges a comparison.
    pub(super) fn of(comparison: &Comparison) -> Self {
        let parts = FileProtocol::ALL.iter().filter_map(|&protocol| {
            let rows = comparison.of(protocol);
            let text = match protocol {
                _ if rows.is_empty() => return None,
                FileProtocol::Udp => unreliable(&rows, comparison),
                FileProtocol::Tcp | FileProtocol::Saw => reliable(&rows, comparison),
            };
            Some((protocol, text))
        });
        Self { headline: headline(comparison), parts: parts.collect() }
    }
}

fn loss(row: &FinishedRow) -> String {
    percent(row.row.loss.as_f64())
}

fn losses(rows: &[&FinishedRow]) -> String {
    list(&rows.iter().map(|row| loss(row)).collect::<Vec<_>>())
}

fn time(row: &FinishedRow) -> String {
    row.row.seconds.map_or_else(|| "an unknown time".to_owned(), seconds)
}

/// Describes what all protocols made of the worst weather.
fn headline(comparison: &Comparison) -> String {
    let Some(worst) = comparison.losses().pop() else { return "Nothing was compared.".to_owned() };
    let parts: Vec<String> = comparison
        .rows
        .iter()
        .filter(|row| row.row.loss == worst)
        .map(|row| format!("{} {}", row.protocol.title(), fate(row)))
        .collect();
    format!("When the network loses {} of all packets, {}.", percent(worst.as_f64()), list(&parts))
}

/// Describes one row in half a sentence.
fn fate(row: &FinishedRow) -> String {
    let chunks = row.chunks.len() as u64;
    if row.is_whole() {
        format!("delivers the file whole in {}", time(row))
    } else if row.row.ok && row.protocol == FileProtocol::Udp {
        format!(
            "is done in {} with {} of the file lost or damaged",
            time(row),
            share(row.lost_chunks(), chunks)
        )
    } else if row.was_stopped() {
        "was stopped before its end".to_owned()
    } else {
        "does not deliver the file".to_owned()
    }
}

/// Describes a protocol that promises to deliver everything: what does the promise cost?
fn reliable(rows: &[&FinishedRow], comparison: &Comparison) -> String {
    let (whole, not): (Vec<&FinishedRow>, Vec<&FinishedRow>) =
        rows.iter().partition(|row| row.is_whole());
    let mut sentences = Vec::new();
    if not.is_empty() {
        let everywhere = if rows.len() > 1 { " at every loss rate" } else { "" };
        sentences.push(format!("Arrived whole{everywhere}: {}.", identical(rows.len())));
    } else if !whole.is_empty() {
        sentences.push(format!("Arrived whole at {} loss.", losses(&whole)));
    }
    if let (Some(first), Some(last)) = (whole.first(), whole.last()) {
        sentences.push(price(first, last));
        if last.row.retransmissions.is_some_and(|again| again > 0) {
            sentences.push(effort(last));
        }
    }
    sentences.extend(not.iter().map(|row| failure(row, comparison)));
    sentences.join(" ")
}

fn identical(rows: usize) -> &'static str {
    if rows > 1 { "every byte, every time" } else { "every byte" }
}

/// Describes the cost in time of the worst weather against the best.
fn price(best: &FinishedRow, worst: &FinishedRow) -> String {
    let (Some(before), Some(after)) = (best.row.seconds, worst.row.seconds) else {
        return String::new();
    };
    if best.row.loss == worst.row.loss || before <= 0.0 {
        return format!("It took {}.", seconds(after));
    }
    let times = after / before;
    let comparison = match times {
        times if times >= 1.95 => format!(", {times:.0} times as long"),
        times if times >= 1.15 => format!(", {} longer", percent(times - 1.0)),
        _ => String::new(),
    };
    format!(
        "It took {} at {} loss and {} at {}{comparison}.",
        seconds(before),
        loss(best),
        seconds(after),
        loss(worst)
    )
}

fn effort(row: &FinishedRow) -> String {
    let (again, all) = (row.row.retransmissions.unwrap_or(0), row.row.packets.unwrap_or(0));
    let what = if row.protocol == FileProtocol::Tcp { "segment" } else { "packet" };
    let verb = if again == 1 { "was" } else { "were" };
    format!("At {} loss {} of {} {verb} sent again.", loss(row), grouped(again), count(all, what))
}

fn failure(row: &FinishedRow, comparison: &Comparison) -> String {
    if row.is_different() {
        return format!(
            "At {} loss what arrived is NOT what was sent: that is a fault of jostle.",
            loss(row)
        );
    }
    let arrived = share(row.row.intact.unwrap_or(0), comparison.chunks());
    let reason = row.row.error.as_deref().unwrap_or("it did not end");
    let end =
        if row.was_stopped() { format!("was {reason}") } else { format!("failed ({reason})") };
    format!("At {} loss it {end}; {arrived} of the file had arrived.", loss(row))
}

/// Describes the protocol that promises nothing: what is lost?
fn unreliable(rows: &[&FinishedRow], comparison: &Comparison) -> String {
    let (done, failed): (Vec<&FinishedRow>, Vec<&FinishedRow>) =
        rows.iter().partition(|row| row.row.ok);
    let (hurt, whole): (Vec<&FinishedRow>, Vec<&FinishedRow>) =
        done.iter().partition(|row| !row.is_whole());
    let mut sentences = Vec::new();
    if let (Some(fastest), Some(slowest)) = (extreme(&done, f64::min), extreme(&done, f64::max)) {
        sentences.push(if slowest < fastest * 1.15 || seconds(slowest) == seconds(fastest) {
            format!("Never waits and never repeats: done in {}.", seconds(slowest))
        } else {
            format!(
                "Never waits and never repeats: done in {} to {}.",
                seconds(fastest),
                seconds(slowest)
            )
        });
    }
    if !whole.is_empty() {
        sentences.push(format!("At {} loss the file arrived whole.", losses(&whole)));
    }
    let shown = samples(&hurt);
    if !shown.is_empty() {
        sentences.push(format!("What is lost stays lost: {}.", holes(&shown, comparison.chunks())));
        sentences.extend(silence(&shown, comparison));
        sentences.extend(haste(&done));
    }
    sentences.extend(failed.iter().map(|row| failure(row, comparison)));
    sentences.join(" ")
}

/// Writes `at 1% loss 2 of 235 chunks (0.85%) are missing or damaged, at 5% 12 (5.11%)`.
fn holes(rows: &[&FinishedRow], chunks: u64) -> String {
    let parts = rows.iter().enumerate().map(|(place, row)| {
        let (lost, part) = (grouped(row.lost_chunks()), share(row.lost_chunks(), chunks));
        match place {
            0 => format!(
                "at {} loss {lost} of {} ({part}) are missing or damaged",
                loss(row),
                count(chunks, "chunk")
            ),
            _ => format!("at {} {lost} ({part})", loss(row)),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Describes what that does to the music.
fn silence(rows: &[&FinishedRow], comparison: &Comparison) -> Option<String> {
    let all = comparison.music_seconds?;
    let parts: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(format!("{} at {}", seconds(row.audit?.seconds_lost), loss(row))))
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Of {} of music a listener loses {}: that much sounds different or is gone.",
            seconds(all),
            list(&parts)
        )
    })
}

/// Returns true if it was its own speed that cost most.
fn haste(rows: &[&FinishedRow]) -> Option<String> {
    let discarded = |reason: &str| -> u64 {
        let links = rows.iter().filter_map(|row| Some(&row.row.proxy.as_ref()?.up));
        links.filter_map(|link| link.discarded.get(reason)).sum()
    };
    let queue = discarded("queue_full") + discarded("queue_delay");
    let weather = ["drop", "outage", "too_large", "batch", "mark"].map(discarded).iter().sum();
    (queue > weather).then(|| {
        format!(
            "Most of that is its own doing: it sends faster than the network is, and {} found the \
             queue full (see --pace).",
            count(queue, "packet")
        )
    })
}

fn extreme(rows: &[&FinishedRow], choose: fn(f64, f64) -> f64) -> Option<f64> {
    rows.iter().filter_map(|row| row.row.seconds).reduce(choose)
}

/// Returns the first, the middle and the last: enough to see the trend.
fn samples<'a>(rows: &[&'a FinishedRow]) -> Vec<&'a FinishedRow> {
    match rows.len() {
        0..=3 => rows.to_vec(),
        n => vec![rows[0], rows[n / 2], rows[n - 1]],
    }
}
