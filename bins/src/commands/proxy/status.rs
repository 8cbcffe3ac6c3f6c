//! The status line of a running proxy: what came in, how much of it was lost, what is inside and
//! how fast it goes out, each way, drawn anew each second.

use super::dials::Dials;
use super::stopping::Stopper;
use jostle_common::chance::Direction;
use jostle_common::words::{grouped, share, short_rate, ticks::count_label};
use jostle_console::status::StatusLine;
use jostle_control::Registry;
use jostle_proxy::{Control, Summary};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time from one drawing to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// The keys that a terminal offers, as the line and the note at the start name them.
pub(super) const KEYS: &str =
    "space: rules off and on, 1-9: one of them, + -: turn it, Ctrl-C: end";

/// Keeps the line being drawn; dropping it takes the line away.
pub(super) struct Status {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Status {
    /// Begins to draw, if there is a terminal to draw on.
    pub(super) fn start(stopper: &Stopper, registry: &Arc<Registry>, dials: Dials) -> Option<Self> {
        let (line, registry) = (StatusLine::new()?, Arc::clone(registry));
        let control = stopper.control();
        let (end, ended) = mpsc::channel();
        let draw = move || {
            let mut before = Totals::default();
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let Some(now) = totals(&control) else { break };
                let on = control.rules_are_on();
                let rules = dials.words(&registry);
                line.show(|columns| text(&before, &now, on, &rules, columns));
                before = now;
            }
        };
        let thread = std::thread::Builder::new().name("status".into()).spawn(draw).ok()?;
        Some(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        drop(self.end.take());
        // The line is away when the thread has ended; it waits for nothing but the proxy.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What happened so far, by direction, in all routes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    seconds: f64,
    ways: [Way; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Way {
    entered: u64,
    copies: u64,
    discarded: u64,
    held: u64,
    bytes_out: u64,
}

/// Asks the proxy; `None` when it has ended.
fn totals(control: &Control) -> Option<Totals> {
    control.counters().ok().map(|summary| Totals::of(&summary))
}

impl Totals {
    fn of(summary: &Summary) -> Self {
        let mut totals = Self { seconds: summary.seconds, ..Self::default() };
        for link in &summary.links {
            let way = &mut totals.ways[link.direction.index()];
            way.entered += link.entered;
            way.copies += link.copies;
            way.discarded += link.discarded_total();
            way.held += link.held;
            way.bytes_out += link.bytes_out;
        }
        totals
    }
}

/// Returns the line for so many columns: all there is to say, or what fits of it.
fn text(before: &Totals, now: &Totals, rules_on: bool, rules: &str, columns: usize) -> String {
    let seconds = now.seconds - before.seconds;
    let pair = |of: &dyn Fn(Direction) -> String| {
        let [up, down] = Direction::BOTH.map(of);
        format!("{up}/{down}")
    };
    let way = |direction: Direction| now.ways[direction.index()];
    let came = |write: fn(u64) -> String| pair(&|direction| write(way(direction).entered));
    let lost = pair(&|direction| {
        let Way { entered, copies, discarded, .. } = way(direction);
        share(discarded, entered + copies)
    });
    let held = pair(&|direction| short_count(way(direction).held));
    let speed = pair(&|direction| {
        let bytes = way(direction).bytes_out - before.ways[direction.index()].bytes_out;
        let bits = if seconds > 0.0 { bytes as f64 * 8.0 / seconds } else { 0.0 };
        short_rate(bits)
    });
    let off = if rules_on { "" } else { "rules off  " };
    let full = format!("{off}up/down  in {}  lost {lost}  held {held}  {speed}", came(grouped));
    let short = format!("{off}up/down in {} lost {lost} held {held} {speed}", came(short_count));
    let shorter = format!("{off}in {} lost {lost} {speed}", came(short_count));
    let shortest = format!("{off}in {} lost {lost}", came(short_count));
    let numbers = [&full, &short, &shorter, &shortest];
    // What the keys turn is worth more than the speed.
    let with_rules = numbers.map(|line| format!("{line}  {rules}"));
    let mut lines = vec![format!("{full}  ({KEYS})"), full.clone(), short, shorter, shortest];
    if !rules.is_empty() {
        lines.splice(0..1, [format!("{}  ({KEYS})", with_rules[0])].into_iter().chain(with_rules));
    }
    let fits = |line: &&String| line.chars().count() <= columns;
    match lines.iter().find(fits) {
        Some(line) => line.clone(),
        None => lines[lines.len() - 1].chars().take(columns).collect(),
    }
}

fn short_count(count: u64) -> String {
    match count {
        0..100_000 => grouped(count),
        100_000..10_000_000 => count_label((count / 1000 * 1000) as f64),
        _ => format!("{}M", grouped(count / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> (Totals, Totals) {
        let up = Way { entered: 12_000, copies: 5, discarded: 2_401, held: 12, bytes_out: 250_000 };
        let down = Way { entered: 9_604, bytes_out: 125_000, ..Way::default() };
        let before = Totals { seconds: 9.0, ..Totals::default() };
        (before, Totals { seconds: 10.0, ways: [up, down] })
    }

    #[test]
    fn it_says_what_is_lost_and_how_fast_the_last_second_was() {
        let (before, now) = now();
        let full = "up/down  in 12,000/9,604  lost 20%/0%  held 12/0  2 Mbit/s/1 Mbit/s";
        assert_eq!(text(&before, &now, true, "", 200), format!("{full}  ({KEYS})"));
        assert_eq!(text(&before, &now, true, "", 79), full);
        assert!(text(&before, &now, false, "", 200).starts_with("rules off  up/down"));
        let rules = "up: 1 drop 2%, >2 delay 40 ms";
        assert_eq!(text(&before, &now, true, rules, 110), format!("{full}  {rules}"));
        let short = format!("in 12,000/9,604 lost 20%/0% 2 Mbit/s/1 Mbit/s  {rules}");
        assert_eq!(text(&before, &now, true, rules, 79), short);
        // Nothing went out between two looks at the same time.
        assert!(text(&now, &now, true, "", 79).ends_with("0 bit/s/0 bit/s"));
    }

    #[test]
    fn it_fits_any_width() {
        let (before, mut now) = now();
        for scale in [1, 1_000, 1_000_000_000] {
            for way in &mut now.ways {
                way.entered *= scale;
            }
            for columns in 0..140 {
                for rules in ["", "up: 1 drop 2%, >2 delay 40 ms"] {
                    let line = text(&before, &now, true, rules, columns);
                    assert!(line.chars().count() <= columns, "{columns}: {line}");
                }
            }
        }
        assert_eq!([99_999, 123_456, 2_000_000_000].map(short_count), ["99,999", "123k", "2,000M"]);
    }
}
