//! The event log: one JSON object per line for each packet and its fate, and for each fresh socket
//! of a flow.
//!
//! Lines are made on the event loop and written by a thread of their own. Between them is a bounded
//! queue: when the disk does not keep up, or a pipe is not read, lines are skipped and counted,
//! and traffic goes on.

use crate::fate::{Fate, Settled};
use crate::selection::Selection;
use crate::sinks::SocketChange;
use crate::snapshot::EventLines;
use crate::spool::{Spool, SpoolEnd};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::link::Link;
use jostle_engine::stage::Output;
use std::io::{self, Write};
use std::sync::mpsc::TrySendError;
use std::time::Duration;

/// The size of what is handed to the writer in one go.
const CHUNK_BYTES: usize = 64 << 10;

/// The most chunks that wait for the writer: 4 MiB.
const CHUNKS_MAX: usize = 64;

/// The longest a line waits for its chunk to fill.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// What became of the log in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// Lines that were not written.
    pub(crate) lost: u64,
    /// Fates that were not wanted.
    pub(crate) left_out: u64,
    /// The reason why writing ended early.
    pub(crate) error: Option<String>,
}

/// Lines that travel together.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    lines: u64,
}

/// The loop's end of the event log.
pub(crate) struct EventLog {
    only: Selection,
    /// Fates that it does not want.
    left_out: u64,
    chunk: Chunk,
    /// The time at which the oldest line of the chunk is to be handed on.
    due: Option<Instant>,
    spool: Spool<Chunk>,
    /// Lines handed to the writer.
    queued: u64,
    skipped: u64,
}

impl EventLog {
    /// Starts the writer of the fates that are wanted.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn start(file: Box<dyn Write + Send>, only: Selection) -> io::Result<Self> {
        let spool = Spool::start("event log", file, CHUNKS_MAX, |chunk: Chunk| chunk.bytes)?;
        let (chunk, due, queued, skipped, left_out) = (Chunk::default(), None, 0, 0, 0);
        Ok(Self { only, left_out, chunk, due, spool, queued, skipped })
    }

    /// Returns where its lines are.
    pub(crate) fn lines(&self) -> EventLines {
        let SpoolEnd { written, error } = self.spool.progress();
        let handed_on = self.queued.saturating_sub(written);
        // Who has ended writes none of those.
        let (waiting, lost) = if error.is_some() { (0, handed_on) } else { (handed_on, 0) };
        EventLines {
            written,
            waiting: waiting + self.chunk.lines,
            lost: lost + self.skipped,
            left_out: self.left_out,
        }
    }

    /// Returns when [`flush`](Self::flush) is due.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the fate of a packet.
    pub(crate) fn record(&mut self, settled: &Settled<'_>) {
        if !self.only.wants(settled) {
            self.left_out += 1;
            return;
        }
        self.add_line(settled.released, |bytes| write_line(bytes, settled));
    }

    /// Writes that a flow leaves from a fresh socket.
    pub(crate) fn record_change(&mut self, change: &SocketChange<'_>) {
        if self.only.wants_change(change) {
            self.add_line(change.at, |bytes| write_change(bytes, change));
        }
    }

    /// Adds a line to the chunk, unless the queue is full.
    fn add_line(&mut self, now: Instant, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        if self.chunk.bytes.len() >= CHUNK_BYTES && !self.hand_on() {
            self.skipped += 1;
            return;
        }
        write(&mut self.chunk.bytes).expect("memory takes whatever is written");
        self.chunk.lines += 1;
        self.due = self.due.or(Some(now + FLUSH_AFTER));
    }

    /// Hands the lines on that wait for their chunk to fill.
    pub(crate) fn flush(&mut self, now: Instant) {
        if self.due.is_some_and(|at| at <= now) && !self.hand_on() {
            self.due = Some(now + FLUSH_AFTER);
        }
    }

    /// Hands the chunk to the writer; false if the queue is full. Without a writer its lines are
    /// lost.
    fn hand_on(&mut self) -> bool {
        let chunk = std::mem::take(&mut self.chunk);
        let lines = chunk.lines;
        match self.spool.offer(chunk) {
            Ok(()) => self.queued += lines,
            Err(TrySendError::Full(chunk)) => {
                self.chunk = chunk;
                return false;
            }
            Err(TrySendError::Disconnected(_)) => self.skipped += lines,
        }
        self.due = None;
        true
    }

    /// Waits for the writer, for two seconds at most, and returns what became of the log.
    pub(crate) fn finish(mut self) -> LogEnd {
        if self.chunk.lines > 0 && !self.hand_on() {
            self.skipped += self.chunk.lines;
        }
        let SpoolEnd { written, error } = self.spool.finish();
        let lost = self.skipped + self.queued - written;
        LogEnd { lost, left_out: self.left_out, error }
    }
}

/// Writes the line of a packet that left a link in virtual time: released when it was due.
///
/// # Errors
/// When it cannot be written.
pub fn write_event(
    file: &mut impl Write,
    route: &str,
    direction: Direction,
    link: &Link,
    output: &Output,
) -> io::Result<()> {
    let packet = output.packet();
    let (transport, fate) = (Transport::Udp, Fate::of(output));
    let released = packet.at;
    write_line(file, &Settled { route, transport, direction, packet, fate, released, link })
}

/// Times are seconds since the run began, with all nanoseconds.
pub(crate) fn write_line(file: &mut impl Write, settled: &Settled<'_>) -> io::Result<()> {
    let Settled { route, transport, direction, packet, fate, released, .. } = *settled;
    write!(file, r#"{{"t":{},"route":"#, packet.at)?;
    serde_json::to_writer(&mut *file, route)?;
    write!(
        file,
        r#","protocol":"{transport}","direction":"{direction}","packet":{},"copy":{},"#,
        packet.number,
        packet.copy()
    )?;
    write!(file, r#""flow":{},"size":{},"#, packet.flow, packet.size())?;
    match fate {
        Fate::Delivered => file.write_all(br#""fate":"delivered","reason":null,"rules":["#)?,
        Fate::Discarded(loss) => {
            write!(file, r#""fate":"discarded","reason":"{}","rules":["#, loss.name())?;
        }
    }
    let mut first = true;
    for rule in settled.rules() {
        if !std::mem::take(&mut first) {
            file.write_all(b",")?;
        }
        serde_json::to_writer(&mut *file, rule)?;
    }
    let seconds = |duration: Duration| Instant::START + duration;
    write!(
        file,
        r#"],"delay":{},"lateness":{},"flipped_bits":{}"#,
        seconds(packet.at.since(packet.entered)),
        seconds(released.since(packet.at)),
        packet.flipped_bits()
    )?;
    if packet.ecn.takes_marks() {
        write!(file, r#","ecn":"{}","marked":{}"#, packet.ecn, packet.is_marked())?;
    }
    file.write_all(b"}\n")
}

/// Writes the line of a flow that leaves from a fresh socket.
fn write_change(file: &mut impl Write, change: &SocketChange<'_>) -> io::Result<()> {
    let SocketChange { route, flow, at, rule, from, to, delivers_old } = *change;
    write!(file, r#"{{"t":{at},"event":"rebind","route":"#)?;
    serde_json::to_writer(&mut *file, route)?;
    write!(file, r#","protocol":"udp","flow":{flow},"rule":"#)?;
    serde_json::to_writer(&mut *file, rule)?;
    let old = if delivers_old { "deliver" } else { "drop" };
    writeln!(file, r#","from":"{from}","to":"{to}","old":"{old}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::link::LinkKey;
    use jostle_engine::packet::{Body, Packet};
    use jostle_engine::profile::Timeline;
    use jostle_engine::stage::Stage;
    use std::sync::mpsc::{self, Receiver};
    use std::sync::{Arc, Mutex};

    fn link() -> Link {
        Link::new(
            LinkKey { seed: 1, route: "a\"b".into(), direction: Direction::Up },
            &Timeline::default(),
        )
    }

    fn settled<'a>(link: &'a Link, output: &'a Output) -> Settled<'a> {
        Settled {
            route: "a\"b",
            transport: Transport::Udp,
            direction: Direction::Up,
            packet: output.packet(),
            fate: Fate::of(output),
            released: Instant::from_micros(21),
            link,
        }
    }

    fn output(link: &mut Link) -> Output {
        link.handle(Packet::new(3, Instant::from_micros(20), Body::data("four")));
        link.poll(Instant::from_micros(20)).unwrap()
    }

    #[test]
    fn a_line_has_its_fields_in_order_and_is_json() {
        let mut link = link();
        let output = output(&mut link);
        let mut line = Vec::new();
        write_line(&mut line, &settled(&link, &output)).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"t":0.000020000,"route":"a\"b","protocol":"udp","direction":"up","#,
                r#""packet":1,"copy":0,"flow":3,"size":4,"#,
                r#""fate":"delivered","reason":null,"rules":[],"#,
                r#""delay":0.000000000,"lateness":0.000001000,"flipped_bits":0}"#,
                "\n"
            )
        );
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["route"], "a\"b");
    }

    /// A disk that is full after so many bytes.
    struct Disk(Arc<Mutex<usize>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.0.lock().unwrap();
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(*room);
            *room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_counted_and_nothing_else_fails() {
        let mut link = link();
        let output = output(&mut link);
        let settled = settled(&link, &output);
        let mut line = Vec::new();
        write_line(&mut line, &settled).unwrap();
        // Room for a hundred lines and a half.
        for (room, written) in [(0, 0), (line.len() * 201 / 2, 100), (usize::MAX, 1000)] {
            let disk = Disk(Arc::new(Mutex::new(room)));
            let mut log = EventLog::start(Box::new(disk), Selection::ALL).unwrap();
            for _ in 0..1000 {
                log.record(&settled);
            }
            let LogEnd { lost, error, .. } = log.finish();
            assert_eq!(lost, 1000 - written, "{room} bytes of room");
            assert_eq!(error.is_some(), lost > 0, "{error:?}");
        }
    }

    /// A pipe that is not read until the other end of the channel is dropped.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_sleeps_costs_lines_but_stops_nothing() {
        let mut link = link();
        let output = output(&mut link);
        let settled = settled(&link, &output);
        let (wake, asleep) = mpsc::channel();
        let mut log = EventLog::start(Box::new(Stuck(asleep)), Selection::ALL).unwrap();
        for _ in 0..100_000 {
            log.record(&settled);
        }
        let EventLines { written, waiting, lost: skipped, .. } = log.lines();
        assert_eq!(written + waiting + skipped, 100_000);
        // The queue, the chunk in front of it and the one in the writer's hands.
        let most = (CHUNKS_MAX + 2) * CHUNK_BYTES / 150;
        assert!(skipped > 100_000 - most as u64 && skipped < 100_000, "{skipped}");
        drop(wake);
        let LogEnd { lost, error, .. } = log.finish();
        assert!(lost >= skipped, "what could not be queued at the end is lost too");
        assert_eq!(error, None, "it was slow, that is all");
    }

    /// A pipe that somebody opens at the so-manieth attempt to write, if ever, and that is full at
    /// every other.
    struct Pipe {
        attempts: usize,
        opened_at: usize,
        taken: Arc<Mutex<usize>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.attempts += 1;
            if self.attempts < self.opened_at {
                return Err(io::ErrorKind::NotConnected.into());
            }
            if self.attempts.is_multiple_of(2) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(4096);
            *self.taken.lock().unwrap() += count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_is_waited_for_as_long_as_the_run_goes_on() {
        let mut link = link();
        let output = output(&mut link);
        let settled = settled(&link, &output);
        for (opened_at, comes) in [(1, true), (5, true), (usize::MAX, false)] {
            let taken = Arc::default();
            let pipe = Pipe { attempts: 0, opened_at, taken: Arc::clone(&taken) };
            let mut log = EventLog::start(Box::new(pipe), Selection::ALL).unwrap();
            for _ in 0..100 {
                log.record(&settled);
            }
            log.flush(Instant::from_secs(10));
            for _ in 0..10_000 {
                if *taken.lock().unwrap() > 0 || !comes {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
            let LogEnd { lost, error, .. } = log.finish();
            assert_eq!((lost, error.is_some()), (if comes { 0 } else { 100 }, !comes));
        }
    }
}
