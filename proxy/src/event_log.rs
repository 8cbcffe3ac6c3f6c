//! The event log: one JSON object per line for each packet and what became of it.

use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::link::Link;
use jostle_engine::stage::Output;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

/// What is written in one go.
const BUFFER_BYTES: usize = 64 << 10;

/// The longest a line waits in the buffer while the loop turns.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// Where packets' fates are written, if anywhere.
pub(crate) struct EventLog {
    file: Option<BufWriter<Box<dyn Write + Send>>>,
    /// When the oldest line in the buffer is to be written.
    due: Option<Instant>,
    /// How many lines were not written.
    lost: u64,
    failed: bool,
}

/// Whose packets a line is about.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The route's name.
    pub(crate) route: String,
    /// The transport.
    pub(crate) protocol: Transport,
    /// Which way.
    pub(crate) direction: Direction,
}

impl EventLog {
    pub(crate) fn new(file: Option<Box<dyn Write + Send>>) -> Self {
        let file = file.map(|file| BufWriter::with_capacity(BUFFER_BYTES, file));
        Self { file, due: None, lost: 0, failed: false }
    }

    /// How many lines were not written.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// When [`flush`](Self::flush) is due.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Writes what became of a packet that was released, or found discarded, at `released`.
    pub(crate) fn record(
        &mut self,
        subject: &Subject,
        link: &Link,
        output: &Output,
        released: Instant,
    ) {
        let Some(file) = &mut self.file else { return };
        if self.failed {
            self.lost += 1;
            return;
        }
        self.due = self.due.or(Some(released + FLUSH_AFTER));
        if let Err(error) = write_line(file, subject, link, output, released) {
            self.lost += 1;
            self.fail(&error);
        }
    }

    /// Hands the buffer to the system.
    pub(crate) fn flush(&mut self) {
        self.due = None;
        if self.failed {
            return;
        }
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            self.fail(&error);
        }
    }

    /// One report is enough: a full disk stays full for the next line.
    fn fail(&mut self, error: &io::Error) {
        log::error!("the event log ends here, it cannot be written: {error}");
        self.failed = true;
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
    let subject = Subject { route: route.to_owned(), protocol: Transport::Udp, direction };
    write_line(file, &subject, link, output, output.packet().at)
}

/// Times are seconds since the run began, with all nanoseconds.
fn write_line(
    file: &mut impl Write,
    subject: &Subject,
    link: &Link,
    output: &Output,
    released: Instant,
) -> io::Result<()> {
    let packet = output.packet();
    write!(file, r#"{{"t":{},"route":"#, packet.at)?;
    serde_json::to_writer(&mut *file, &subject.route)?;
    write!(
        file,
        r#","protocol":"{}","direction":"{}","packet":{},"copy":{},"flow":{},"size":{},"#,
        subject.protocol, subject.direction, packet.number, packet.copy, packet.flow, packet.size
    )?;
    match output {
        Output::Deliver(_) => file.write_all(br#""fate":"delivered","reason":null,"rules":["#)?,
        Output::Discard(_, reason) => {
            write!(file, r#""fate":"discarded","reason":"{}","rules":["#, reason.name())?;
        }
    }
    let mut first = true;
    for place in (0..64).filter(|place| packet.trace.rules & (1 << place) != 0) {
        if !std::mem::take(&mut first) {
            file.write_all(b",")?;
        }
        serde_json::to_writer(&mut *file, link.rule_key(place))?;
    }
    let seconds = |duration: Duration| Instant::START + duration;
    writeln!(
        file,
        r#"],"delay":{},"lateness":{},"flipped_bits":{}}}"#,
        seconds(packet.at.since(packet.entered)),
        seconds(released.since(packet.at)),
        packet.trace.flipped_bits
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::link::LinkKey;
    use jostle_engine::packet::{Body, Packet};
    use jostle_engine::profile::Timeline;
    use jostle_engine::stage::Stage;
    use std::sync::{Arc, Mutex};

    fn link() -> Link {
        Link::new(
            LinkKey { seed: 1, route: "a\"b".into(), direction: Direction::Up },
            &Timeline::default(),
        )
    }

    fn subject() -> Subject {
        Subject { route: "a\"b".into(), protocol: Transport::Udp, direction: Direction::Up }
    }

    fn outputs(link: &mut Link) -> Output {
        link.handle(Packet::new(3, Instant::from_micros(20), Body::Data("four".into())));
        link.poll(Instant::from_micros(20)).unwrap()
    }

    #[test]
    fn a_line_has_its_fields_in_order_and_is_json() {
        let mut link = link();
        let output = outputs(&mut link);
        let mut line = Vec::new();
        write_line(&mut line, &subject(), &link, &output, Instant::from_micros(21)).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"t":0.000020000,"route":"a\"b","protocol":"udp","direction":"up","packet":1,"copy":0,"flow":3,"size":4,"#,
                r#""fate":"delivered","reason":null,"rules":[],"delay":0.000000000,"lateness":0.000001000,"flipped_bits":0}"#,
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
        let mut log = EventLog::new(Some(Box::new(Disk(Arc::new(Mutex::new(0))))));
        let mut link = link();
        let output = outputs(&mut link);
        for _ in 0..1000 {
            log.record(&subject(), &link, &output, Instant::from_micros(21));
        }
        // The buffer took some hundred lines before the disk was asked.
        assert!((300..1000).contains(&log.lost()), "{}", log.lost());
    }
}
