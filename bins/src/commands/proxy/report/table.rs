//! The table of a summary: a row for each direction of a route, and under it what its rules ask
//! for.

use super::WIDTH;
use crate::commands::profile::numbers::Numbers;
use jostle_common::chance::Direction;
use jostle_common::words::{fine_percent, grouped, number, share, time};
use jostle_console::terminal::escaped;
use jostle_engine::profile::Profile;
use jostle_proxy::LinkSummary;

/// The heads of the columns.
pub(super) const HEADS: &str =
    "                          in    lost damaged late p50     p99 delay p50       sd";

const _: () = assert!(HEADS.len() == WIDTH);

/// The widths of the columns, the label's first.
const WIDTHS: [usize; 8] = [19, 9, 8, 8, 9, 8, 10, 9];

/// Returns what happened to the packets of one direction. Lateness and delay are told where packets
/// were released by a link.
pub(super) fn row(link: &LinkSummary) -> String {
    let all = link.entered + link.copies;
    let timed = |value: f64| if link.lateness.packets > 0 { time(value) } else { "-".to_owned() };
    let (late, delay) = (&link.lateness, &link.delay);
    line([
        label(link),
        amount(link.entered),
        part(link.discarded_total(), all),
        part(link.corrupted, link.delivered),
        timed(late.p50_us / 1e6),
        timed(late.p99_us / 1e6),
        timed(delay.p50_ms / 1e3),
        timed(exact_sd(delay.sd_ms, delay.mean_ms) / 1e3),
    ])
}

/// Returns a deviation without what rounding leaves of none.
fn exact_sd(sd: f64, mean: f64) -> f64 {
    if sd < mean * 1e-9 { 0.0 } else { sd }
}

/// What the rules of a route ask for, queues aside.
pub(super) struct Asked(Numbers);

impl Asked {
    pub(super) fn of(profile: &Profile) -> Self {
        Self(Numbers::of(profile))
    }

    /// Returns the row of one direction, if it is asked for anything that the columns tell.
    pub(super) fn row(&self, direction: Direction) -> Option<String> {
        let asked = &self.0.directions[direction.index()];
        if asked.is_nothing() {
            return None;
        }
        // Phases that differ have a mean over them.
        let about = if self.0.changes { "~" } else { "" };
        let loss = match asked.loss {
            None => "?".to_owned(),
            Some(share) if share > 0.0 && share < 0.0001 => "<0.01%".to_owned(),
            Some(share) => format!("{about}{}", fine_percent(share)),
        };
        let times = [asked.delay, asked.jitter].map(|seconds| format!("{about}{}", time(seconds)));
        let [delay, jitter] = times;
        let nothing = String::new;
        Some(line([
            "  asked".into(),
            nothing(),
            loss,
            nothing(),
            nothing(),
            nothing(),
            delay,
            jitter,
        ]))
    }
}

fn line(cells: [String; 8]) -> String {
    let [label, rest @ ..] = cells;
    let mut line = format!("{label:<width$}", width = WIDTHS[0]);
    for (cell, width) in rest.iter().zip(&WIDTHS[1..]) {
        line.push_str(&format!("{cell:>width$}"));
    }
    line.trim_end().to_owned()
}

/// Returns the name of a direction, cut to its column.
fn label(link: &LinkSummary) -> String {
    let way = format!(" {} {}", link.protocol, link.direction);
    let name = escaped(&link.route);
    let room = WIDTHS[0] - way.len();
    if name.chars().count() <= room {
        return name + &way;
    }
    let name: String = name.chars().take(room - 1).collect();
    format!("{name}…{way}")
}

/// Returns a number of packets in eight columns.
fn amount(packets: u64) -> String {
    if packets < 10_000_000 {
        return grouped(packets);
    }
    match packets as f64 {
        size if size < 1e9 => format!("{}M", number(size / 1e6)),
        size => format!("{}G", number(size / 1e9)),
    }
}

/// Returns a share in six columns.
fn part(part: u64, whole: u64) -> String {
    share(part, whole).replace("under ", "<").replace("over ", ">")
}
