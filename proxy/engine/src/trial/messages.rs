//! Checked messages over a stream.

use super::{Cell, Found, Units, ending};
use bytes::Bytes;
use jostle_common::protocol::messages::{Client, Session};
use jostle_common::protocol::stream::StreamEndpoint;
use jostle_common::time::Instant;
use jostle_common::trial::Trial;

pub(super) fn run(cell: &Cell<'_>) -> Found {
    let mut client = Speaker::new(cell.trial);
    let mut server = Listener::new(cell.trial);
    let mut simulation = cell.stream(&mut client, &mut server);
    let outcome = simulation.run(cell.limits(), |_, _| {});
    let (report, heard) = (client.client.report(), server.session.report());
    let damaged = heard.delivered - server.right;
    Found {
        outcome,
        ending: ending(client.client.outcome().copied()),
        elapsed: report.elapsed(),
        units: Units {
            intact: server.right,
            missing: cell.trial.count() - heard.delivered,
            damaged,
            intact_bytes: server.right * cell.trial.size().bytes(),
        },
        digest_equal: None,
        doubled: Some(heard.doubled),
        late: None,
        retransmissions: Some(report.resends),
        round_trips: Some(report.round_trips.clone()),
    }
}

/// A client that is handed the trial's messages as it has room for them.
struct Speaker<'a> {
    client: Client,
    trial: &'a Trial,
    /// How many it was handed.
    handed: u64,
}

impl<'a> Speaker<'a> {
    fn new(trial: &'a Trial) -> Self {
        let mut speaker = Self { client: Client::new(trial.messages_client()), trial, handed: 0 };
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
    /// How many were delivered as they were sent.
    right: u64,
}

impl<'a> Listener<'a> {
    fn new(trial: &'a Trial) -> Self {
        Self { session: Session::new(Instant::START, None), trial, right: 0 }
    }

    fn compare(&mut self) {
        for message in self.session.take_messages() {
            self.right += u64::from(message.bytes == self.trial.message(message.sequence));
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
