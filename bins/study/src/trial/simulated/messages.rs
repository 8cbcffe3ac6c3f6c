//! Checked messages over a stream.

use super::{Cell, Ended};
use crate::rows::Row;
use crate::trial::{Taken, Trial};
use bytes::Bytes;
use jostle_common::time::Instant;
use jostle_endpoints::protocol::messages::{MessagesClient, Session};
use jostle_endpoints::protocol::stream::StreamEndpoint;

pub(super) fn run(cell: &Cell<'_>, row: &mut Row) -> Ended {
    let mut client = Speaker::new(cell.trial);
    let mut server = Listener::new(cell.trial);
    let outcome = cell.stream(&mut client, &mut server).run(cell.limits(), |_, _| {});
    let ended = Ended::new(outcome, client.client.outcome().copied());
    let mut report = client.client.report().clone();
    report.ended = Some(report.started.unwrap_or(Instant::START) + ended.elapsed(report.elapsed()));
    cell.trial.write_messages(row, &report, &server.taken, server.session.report());
    ended
}

/// A client that is handed the trial's messages as it has room for them.
struct Speaker<'a> {
    client: MessagesClient,
    trial: &'a Trial,
    /// The number of messages that it was handed.
    handed: u64,
}

impl<'a> Speaker<'a> {
    fn new(trial: &'a Trial) -> Self {
        let mut speaker =
            Self { client: MessagesClient::new(trial.messages_client()), trial, handed: 0 };
        speaker.hand();
        speaker
    }

    fn hand(&mut self) {
        while self.handed < self.trial.count() && self.client.has_room() {
            self.client.push(self.trial.message(self.handed));
            self.handed += 1;
        }
        if self.handed == self.trial.count() {
            self.client.close();
        }
    }
}

impl StreamEndpoint for Speaker<'_> {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        self.client.handle(now, bytes);
    }

    fn handle_end(&mut self, now: Instant) {
        self.client.handle_end(now);
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        self.hand();
        self.client.poll(now)
    }

    fn deadline(&self) -> Option<Instant> {
        self.client.deadline()
    }

    fn is_finished(&self) -> bool {
        self.client.is_finished()
    }
}

/// A session whose messages are compared with the trial's, and forgotten.
struct Listener<'a> {
    session: Session,
    trial: &'a Trial,
    taken: Taken,
}

impl<'a> Listener<'a> {
    fn new(trial: &'a Trial) -> Self {
        Self { session: Session::new(Instant::START, None), trial, taken: Taken::default() }
    }

    fn compare(&mut self) {
        for message in self.session.take_messages() {
            self.taken.take(self.trial, &message);
        }
    }
}

impl StreamEndpoint for Listener<'_> {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        self.session.handle(now, bytes);
        self.compare();
    }

    fn handle_end(&mut self, now: Instant) {
        self.session.handle_end(now);
        self.compare();
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        self.session.poll(now)
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn is_finished(&self) -> bool {
        self.session.is_finished()
    }
}
