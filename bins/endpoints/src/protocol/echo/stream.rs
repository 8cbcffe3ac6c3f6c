//! Echo over a byte stream, where a message is a line.

use super::{EchoClient, MESSAGE_BYTES_MAX};
use crate::protocol::Endpoint as _;
use crate::protocol::line_server::LineService;
use crate::protocol::lines::{Line, Lines, Overlong};
use crate::protocol::stream::StreamEndpoint;
use bytes::{Bytes, BytesMut};
use jostle_common::time::Instant;

/// Answers each line of one client with itself.
#[derive(Clone, Debug, Default)]
pub struct EchoService {
    messages: Vec<Bytes>,
}

impl EchoService {
    /// Returns the messages that were answered since the last call, in order.
    pub fn take_messages(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.messages)
    }
}

impl LineService for EchoService {
    const LINE_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 1;
    const OVERLONG: Overlong = Overlong::Cut;

    fn answer(&mut self, line: Line<'_>, answers: &mut BytesMut) {
        self.messages.push(Bytes::copy_from_slice(line.text().unwrap_or_default()));
        if let Line::Whole(line) = line {
            answers.extend_from_slice(line);
        }
    }
}

/// Says the messages of an [`EchoClient`] as lines, and hears their answers.
#[derive(Debug)]
pub struct EchoStream {
    client: EchoClient,
    lines: Lines,
    /// The reason why the stream ended before everything was said.
    broken: Option<String>,
}

impl EchoStream {
    /// Creates the stream of a client, whose server is at the other end of the stream.
    pub const fn new(client: EchoClient) -> Self {
        let lines = Lines::new(MESSAGE_BYTES_MAX + 1, Overlong::Cut);
        Self { client, lines, broken: None }
    }

    /// Returns the client.
    pub const fn client(&mut self) -> &mut EchoClient {
        &mut self.client
    }

    /// Returns the reason why the stream ended before everything was said, if it did.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Returns the client, at the end.
    pub fn into_client(self) -> EchoClient {
        self.client
    }
}

impl StreamEndpoint for EchoStream {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        let Self { client, lines, .. } = self;
        let server = client.server();
        lines.push(bytes, |line| client.handle(now, server, line.text().unwrap_or_default()));
    }

    fn handle_end(&mut self, now: Instant) {
        if self.client.is_finished() {
            return;
        }
        if let Some(rest) = self.lines.finish() {
            self.client.handle(now, self.client.server(), &rest);
        }
        if !self.client.has_said_all() {
            self.broken = Some("the server closed the connection".to_owned());
        }
        self.client.end();
    }

    fn handle_break(&mut self, _now: Instant, reason: &str) {
        self.broken = Some(reason.to_owned());
        self.client.end();
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        let message = self.client.poll(now)?;
        Some([&message.payload[..], b"\n"].concat().into())
    }

    fn deadline(&self) -> Option<Instant> {
        self.client.deadline()
    }

    fn is_finished(&self) -> bool {
        self.client.is_finished()
    }

    fn has_said_all(&self) -> bool {
        self.client.has_said_all() || self.is_finished()
    }

    fn listens_while_sending(&self) -> bool {
        true
    }
}
