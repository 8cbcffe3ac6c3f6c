//! Echo over a byte stream, where a message is a line.

use super::{EchoClient, MESSAGE_BYTES_MAX};
use crate::protocol::Endpoint as _;
use crate::protocol::hint::Hint;
use crate::protocol::line_server::LineService;
use crate::protocol::lines::{
    Line, Lines, Overlong, SILENCE, Silence, UNFINISHED_BYTES_MAX, late_newline,
};
use crate::protocol::stream::StreamEndpoint;
use bytes::{Bytes, BytesMut};
use jostle_common::time::Instant;

/// Answers each line of one client with itself.
///
/// What comes without a newline is answered after a silence. To a client that never sent one it is
/// a message; one that speaks lines gets its bytes, and the message is told when its line is whole.
#[derive(Clone, Debug, Default)]
pub struct EchoService {
    messages: Vec<Bytes>,
    /// True if the client sent a newline.
    speaks_lines: bool,
    /// The bytes of the unfinished line that were answered already.
    answered: usize,
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
            self.speaks_lines |= line.ends_with(b"\n");
            let answered = std::mem::take(&mut self.answered);
            answers.extend_from_slice(&line[answered.min(line.len())..]);
        }
    }

    fn answer_unfinished(
        &mut self,
        text: &[u8],
        _silence: Silence,
        answers: &mut BytesMut,
    ) -> bool {
        let is_message = !self.speaks_lines && text.len() <= UNFINISHED_BYTES_MAX;
        if is_message && self.answered == 0 {
            self.answer(Line::Whole(text), answers);
            return true;
        }
        answers.extend_from_slice(&text[self.answered..]);
        self.answered = text.len();
        false
    }

    fn answer_late_newline(&mut self, newline: &[u8], answers: &mut BytesMut) {
        self.speaks_lines = true;
        answers.extend_from_slice(newline);
    }
}

/// Says the messages of an [`EchoClient`] as lines, and hears their answers.
///
/// A server may answer without a newline. Its text is taken for an answer after a silence if it is
/// the message that must be answered next: a part of a longer answer is not.
#[derive(Debug)]
pub struct EchoStream {
    client: EchoClient,
    lines: Lines,
    /// The time at which the server has been silent behind a text without a newline.
    silent_at: Option<Instant>,
    /// True if the last answer was taken before its newline came.
    is_ahead: bool,
    /// The reason why the stream ended before everything was said.
    broken: Option<String>,
}

impl EchoStream {
    /// Creates the stream of a client, whose server is at the other end of the stream.
    pub const fn new(client: EchoClient) -> Self {
        let lines = Lines::new(MESSAGE_BYTES_MAX + 1, Overlong::Cut);
        Self { client, lines, silent_at: None, is_ahead: false, broken: None }
    }

    /// Returns the client.
    pub const fn client(&mut self) -> &mut EchoClient {
        &mut self.client
    }

    /// Returns the reason why the stream ended before everything was said, if it did.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Takes in that the server is silent behind a text without a newline.
    fn take_unfinished(&mut self, now: Instant) {
        let Self { client, lines, .. } = self;
        let (text, size) = (lines.unfinished(), lines.unfinished().len());
        if client.next_answer().is_some_and(|message| message == text) {
            client.remark(|| Hint::new(format!("answered {size} bytes without a newline")));
            client.handle(now, client.server(), text);
            lines.finish();
            self.is_ahead = true;
        } else {
            client.remark(|| {
                Hint::new(format!(
                    "answered {size} bytes without a newline, which are not the message: an answer \
                     is the message and a newline"
                ))
            });
        }
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
        let ahead = std::mem::take(&mut self.is_ahead);
        let bytes = if ahead { &bytes[late_newline(bytes).len()..] } else { bytes };
        lines.push(bytes, |line| client.handle(now, server, line.text().unwrap_or_default()));
        self.silent_at = (!lines.unfinished().is_empty()).then(|| now + SILENCE);
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
        if self.silent_at.take_if(|at| *at <= now).is_some() {
            self.take_unfinished(now);
        }
        let message = self.client.poll(now)?;
        Some([&message.payload[..], b"\n"].concat().into())
    }

    fn deadline(&self) -> Option<Instant> {
        let silent_at = self.silent_at.filter(|_| !self.is_finished());
        self.client.deadline().into_iter().chain(silent_at).min()
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

    fn take_hint(&mut self) -> Option<Hint> {
        self.client.take_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::EchoClientSettings;
    use super::*;
    use crate::protocol::line_server::LineServer;
    use std::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn server() -> LineServer<EchoService> {
        LineServer::new(EchoService::default(), at(0), Duration::from_secs(60))
    }

    fn told(server: &mut LineServer<EchoService>) -> Vec<Bytes> {
        server.service().take_messages()
    }

    #[test]
    fn messages_without_newlines_are_answered_one_by_one() {
        let mut server = server();
        for (begun, message) in [(0, "hello"), (300, "Gr\u{fc}\u{df}e"), (900, "bye\r")] {
            server.handle(at(begun), message.as_bytes());
            assert_eq!(server.poll(at(begun + 199)), None);
            assert_eq!(server.poll(at(begun + 200)).unwrap(), message);
            assert_eq!(told(&mut server), [message]);
        }
        // A newline that comes late makes no message of its own, but it comes back.
        server.handle(at(2000), b"\nline\n");
        assert_eq!(server.poll(at(2000)).unwrap(), "\nline\n");
        assert_eq!(told(&mut server), ["line"]);
    }

    #[test]
    fn a_client_that_speaks_lines_has_its_bytes_early_and_its_messages_whole() {
        let mut server = server();
        server.handle(at(0), b"one\ntw");
        assert_eq!(server.poll(at(0)).unwrap(), "one\n");
        assert_eq!(server.poll(at(200)).unwrap(), "tw");
        server.handle(at(300), b"o and");
        assert_eq!(server.poll(at(500)).unwrap(), "o and");
        server.handle(at(600), b" more\nend");
        assert_eq!(server.poll(at(600)).unwrap(), " more\n");
        assert_eq!(told(&mut server), ["one", "two and more"]);
        assert_eq!(server.poll(at(800)).unwrap(), "end");
        server.handle_end(at(900));
        assert_eq!((server.poll(at(900)), server.is_finished()), (None, true));
        assert_eq!(told(&mut server), ["end"]);
        // A long line in several segments is one message, also when it is the first.
        let mut slow = self::server();
        let line = [&[b'x'; UNFINISHED_BYTES_MAX + 1][..], b"y\n"];
        slow.handle(at(0), line[0]);
        assert_eq!(slow.poll(at(200)).unwrap().len(), UNFINISHED_BYTES_MAX + 1);
        slow.handle(at(300), line[1]);
        assert_eq!(slow.poll(at(300)).unwrap(), "y\n");
        assert_eq!(told(&mut slow)[0].len(), UNFINISHED_BYTES_MAX + 2);
    }

    fn stream(messages: &[&'static str]) -> EchoStream {
        let mut client = EchoClient::new(EchoClientSettings::new(([127, 0, 0, 1], 9002).into()));
        let mut sent = Vec::new();
        let mut said = |client: &mut EchoClient| sent.extend(client.poll(at(0)));
        for message in messages {
            client.push(Bytes::from_static(message.as_bytes()));
            said(&mut client);
        }
        client.close();
        assert_eq!(sent.len(), messages.len());
        EchoStream::new(client)
    }

    #[test]
    fn an_answer_without_a_newline_is_one_if_it_is_the_message() {
        let mut natural = stream(&["hello"]);
        natural.handle(at(10), b"hello");
        assert_eq!((natural.poll(at(209)), natural.is_finished()), (None, false));
        assert_eq!((natural.poll(at(210)), natural.is_finished()), (None, true));
        let hint = natural.take_hint().unwrap().to_string();
        assert_eq!(hint, "answered 5 bytes without a newline");
        assert_eq!(natural.into_client().into_parts().0.intact, 1);
        // What is a part of a longer answer waits for its rest.
        let mut cut = stream(&["line 10", "line 1"]);
        cut.handle(at(10), b"line 1");
        assert_eq!(cut.poll(at(300)), None);
        cut.handle(at(400), b"0\nline 1\n");
        let report = cut.into_client().into_parts().0;
        assert_eq!((report.intact, report.unknown), (2, 0));
        let mut other = stream(&["hello"]);
        other.handle(at(10), b"HELLO");
        assert_eq!(other.poll(at(210)), None);
        assert!(other.take_hint().unwrap().to_string().contains("not the message"));
    }

    #[test]
    fn an_answer_that_adds_to_the_message_is_told_of_once() {
        let mut stream = stream(&["hello", "world"]);
        stream.handle(at(10), b"echo: hello\necho: world\n");
        let hint = stream.take_hint().unwrap().to_string();
        assert!(hint.starts_with("answered 11 bytes that hold a message and more"), "{hint}");
        assert_eq!(stream.take_hint(), None);
        assert_eq!(stream.into_client().into_parts().0.unknown, 2);
    }
}
