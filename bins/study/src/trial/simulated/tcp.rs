//! A file over a stream: the bare file and its end one way, a line that says what was stored the
//! other.

use super::received::Appended;
use super::{Cell, Content, Ended};
use crate::rows::Row;
use crate::trial::FileResult;
use bytes::Bytes;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use jostle_endpoints::protocol::storage::{Sink, Source};
use jostle_endpoints::protocol::stream::StreamEndpoint;

/// How much is written at once.
const PIECE: usize = 64 << 10;
/// The longest line that is an answer.
const LINE_MAX: usize = 1024;

pub(super) fn run(cell: &Cell<'_>, row: &mut Row) -> Ended {
    let mut client = Client::new(cell.content);
    let mut server =
        Server { received: Appended::new(cell.content), answer: None, has_ended: false };
    let mut simulation = cell.stream(&mut client, &mut server);
    let outcome = simulation.run(cell.limits(), |_, _| {});
    let senders = simulation.carrier().senders().map(|(senders, trips)| (senders, trips.clone()));
    drop(simulation);
    let result = FileResult {
        size: cell.content.size(),
        elapsed: outcome.elapsed,
        equal: server.received.is_equal(),
        chunks: server.received.chunks(),
        doubled: None,
        late: None,
        retransmissions: senders.as_ref().map(|(senders, _)| senders.retransmissions),
        round_trips: senders.map(|(_, trips)| trips),
    };
    result.write(row);
    Ended::new(outcome, client.ending)
}

/// What a server answers that has stored a file.
fn answer(size: u64, digest: Digest) -> String {
    format!("received {size} {digest}\n")
}

/// Sends the file.
struct Client {
    content: Content,
    /// The bytes that were sent.
    sent: usize,
    /// What came of the answer.
    line: Vec<u8>,
    ending: Option<Result<(), String>>,
}

impl Client {
    fn new(content: &Content) -> Self {
        Self { content: content.clone(), sent: 0, line: Vec::new(), ending: None }
    }

    /// Reads the answer, as far as it came: a name, a size and a digest.
    fn judge(&mut self) {
        let is_whole =
            self.line.ends_with(b"\n") && self.line.split(|byte| *byte == b' ').count() == 3;
        let is_expected =
            self.line == answer(self.content.size(), self.content.digest()).as_bytes();
        self.ending = Some(match (is_whole, is_expected) {
            (true, true) => Ok(()),
            (true, false) => Err("the server stored something else than was sent".to_owned()),
            (false, _) => Err("the server did not say that it stored the file".to_owned()),
        });
    }
}

impl StreamEndpoint for Client {
    fn handle(&mut self, _now: Instant, bytes: &[u8]) {
        if self.ending.is_some() {
            return;
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() >= LINE_MAX || self.line.contains(&b'\n') {
            self.judge();
        }
    }

    fn handle_end(&mut self, _now: Instant) {
        if self.ending.is_none() {
            self.judge();
        }
    }

    fn poll(&mut self, _now: Instant) -> Option<Bytes> {
        if self.has_said_all() {
            return None;
        }
        let bytes = self.content.bytes();
        let piece = bytes.slice(self.sent..bytes.len().min(self.sent + PIECE));
        self.sent += piece.len();
        Some(piece)
    }

    fn deadline(&self) -> Option<Instant> {
        (!self.has_said_all()).then_some(Instant::START)
    }

    fn is_finished(&self) -> bool {
        self.ending.is_some()
    }

    fn has_said_all(&self) -> bool {
        self.sent == self.content.bytes().len() || self.is_finished()
    }
}

/// Receives it, and answers when it has ended.
struct Server {
    received: Appended,
    answer: Option<Bytes>,
    has_ended: bool,
}

impl StreamEndpoint for Server {
    fn handle(&mut self, _now: Instant, bytes: &[u8]) {
        self.received.append(bytes).expect("comparing does not fail");
    }

    fn handle_end(&mut self, _now: Instant) {
        self.has_ended = true;
        // A connection without a byte is a port probe.
        self.answer = self.received.is_equal().map(|is_equal| {
            // Of a file that is not the one which was sent, nobody looks at the digest.
            let digest = if is_equal { self.received.content().digest() } else { Digest([0; 32]) };
            answer(self.received.size(), digest).into()
        });
    }

    fn poll(&mut self, _now: Instant) -> Option<Bytes> {
        self.answer.take()
    }

    fn deadline(&self) -> Option<Instant> {
        self.answer.is_some().then_some(Instant::START)
    }

    fn is_finished(&self) -> bool {
        self.has_ended && self.answer.is_none()
    }
}
