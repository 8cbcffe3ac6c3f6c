//! Lines that a thread of its own prints, so that a reader of stdout that stands still holds up
//! neither traffic nor the end of the program.
//!
//! What waits is bounded; what finds no room is lost, and counted.

use crate::terminal::{Printer, note};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// The most bytes that wait to be printed.
const BYTES_MAX: usize = 4 << 20;

/// What a line costs besides its text.
const LINE_BYTES: usize = 64;

/// The time without a line after which the end of the program takes the reader for one that stands
/// still.
const STILL: Duration = Duration::from_millis(500);

/// How often it waits for so long, at most.
const WAITS_MAX: u32 = 20;

/// The program's end of the queue.
#[derive(Debug)]
pub struct Printing {
    printer: Printer,
    queue: Sender<Job>,
    waiting: Arc<Waiting>,
    lost: AtomicU64,
}

#[derive(Debug)]
enum Job {
    Print(String),
    /// Tells that all before it is done.
    Tell(Sender<()>),
}

#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicU64,
    bytes: AtomicUsize,
}

impl Printing {
    /// Starts the thread that prints.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(printer: Printer) -> io::Result<Self> {
        Self::start_with(printer, move |line| printer.line(line))
    }

    fn start_with(printer: Printer, print: impl Fn(&str) + Send + 'static) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let waiting = Arc::new(Waiting::default());
        let counts = waiting.clone();
        let work = move || {
            for job in jobs {
                match job {
                    Job::Print(line) => {
                        print(&line);
                        counts.bytes.fetch_sub(cost(&line), Ordering::Relaxed);
                        counts.lines.fetch_sub(1, Ordering::Relaxed);
                    }
                    // The one that asked may have lost patience.
                    Job::Tell(done) => drop(done),
                }
            }
        };
        std::thread::Builder::new().name("printing".into()).spawn(work)?;
        Ok(Self { printer, queue, waiting, lost: AtomicU64::new(0) })
    }

    /// Prints one result as [`Printer::event`] does, but does not wait for it; one for which there
    /// is no room is lost.
    pub fn event(&self, event: &str, fields: Value, text: impl FnOnce() -> String) {
        // Threads that come at the same moment may each add a line beyond the bound.
        if self.waiting.bytes.load(Ordering::Relaxed) >= BYTES_MAX {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.send(self.printer.said(event, fields, text));
    }

    /// Prints the last result, with the number of lost lines (`unprinted`), and waits until all is
    /// printed; no longer than a reader takes that stands still, or 10 s.
    pub fn finish(&self, event: &str, mut fields: Value, text: impl FnOnce() -> String) {
        let lost = self.lost.load(Ordering::Relaxed);
        fields["unprinted"] = lost.into();
        let text = || match lost {
            0 => text(),
            lost => format!("{} unprinted {lost}", text()),
        };
        // Always: it says how much is missing.
        self.send(self.printer.said(event, fields, text));
        let (done, told) = mpsc::channel();
        let _ = self.queue.send(Job::Tell(done));
        let mut left = self.waiting.lines.load(Ordering::Relaxed);
        for _ in 0..WAITS_MAX {
            if told.recv_timeout(STILL) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let before = std::mem::replace(&mut left, self.waiting.lines.load(Ordering::Relaxed));
            if left == before {
                break;
            }
        }
        note(&format!("{left} lines are not printed: the reader of stdout stands still"));
    }

    fn send(&self, line: String) {
        self.waiting.bytes.fetch_add(cost(&line), Ordering::Relaxed);
        self.waiting.lines.fetch_add(1, Ordering::Relaxed);
        // The thread ends with the queue.
        let _ = self.queue.send(Job::Print(line));
    }
}

fn cost(line: &str) -> usize {
    line.len() + LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Mutex;

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_time() {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let (go_on, stands_still) = mpsc::channel::<()>();
        let copy = printed.clone();
        let printing = Printing::start_with(Printer::new(true), move |line| {
            let _ = stands_still.recv();
            copy.lock().unwrap().push(line.to_owned());
        })
        .unwrap();
        const LINES: usize = 20_000;
        for number in 0..LINES {
            printing.event("message", json!({ "n": number, "text": "x".repeat(400) }), String::new);
        }
        drop(go_on);
        printing.finish("summary", json!({ "messages": LINES }), String::new);
        let printed = printed.lock().unwrap();
        let (last, lines) = printed.split_last().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        let lost = last["unprinted"].as_u64().unwrap() as usize;
        assert_eq!((lines.len() + lost, &last["messages"]), (LINES, &json!(LINES)));
        assert!(lost > LINES / 4 && lines.len() > 5_000, "{lost}");
        for (number, line) in lines.iter().enumerate() {
            assert!(line.contains(&format!("\"n\":{number},")), "{line}");
        }
    }
}
