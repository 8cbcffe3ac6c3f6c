//! A bulk transfer without bytes: a modelled sender that always has more to send, its receiver, and
//! a way back for acknowledgements that only takes time.
//!
//! The caller carries the segments: it asks `poll` for the next one whenever there is room for one
//! on the way, and gives those that arrive to `arrive`. After each call, and when
//! [`deadline`](Bulk::deadline) has come, `work` does what is due.

use super::connection::WINDOW;
use super::receiver::Receiver;
use super::sender::Sender;
use crate::route::CongestionControl;
use crate::segment::{Ack, Data, PAYLOAD_MAX};
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// The most bytes in flight: whole segments of the window that a connection of the model has.
const FLIGHT_MAX: u64 = WINDOW - WINDOW % PAYLOAD_MAX as u64;

/// A transfer that never ends.
#[derive(Debug)]
pub(crate) struct Bulk {
    sender: Sender,
    receiver: Receiver,
    written: u64,
    /// Acknowledgements on their way back, and when they reach the sender.
    acks: VecDeque<(Instant, Ack)>,
    /// True if the sender may have a segment to send.
    is_ready: bool,
}

impl Bulk {
    /// Begins a transfer at `now`, over a connection that stands.
    pub(crate) fn new(control: CongestionControl, now: Instant) -> Self {
        let mut sender = Sender::new(control);
        sender.start(now, None, 0);
        let receiver = Receiver::default();
        let mut bulk = Self { sender, receiver, written: 0, acks: VecDeque::new(), is_ready: true };
        bulk.write();
        bulk
    }

    /// Lets the sender have as much to send as the receiver's window allows.
    fn write(&mut self) {
        let end = self.receiver.in_order() + FLIGHT_MAX;
        self.sender.write(end - self.written);
        self.written = end;
    }

    /// Returns the time of the next acknowledgement or timer; `None`: not before something arrives.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let acks = self.acks.front().map(|(at, _)| *at);
        // What the sender does when its timer has run out it does when it is next polled.
        let timer = self.sender.deadline().filter(|_| !self.is_ready);
        [acks, timer, self.receiver.deadline()].into_iter().flatten().min()
    }

    /// Does what is due at `now`; `back` is the time that an acknowledgement takes.
    pub(crate) fn work(&mut self, now: Instant, back: Duration) {
        self.acknowledge(now, back);
        while let Some((_, ack)) = self.acks.pop_front_if(|(at, _)| *at <= now) {
            self.sender.handle_ack(now, &ack);
        }
        self.sender.handle_timer(now);
        self.write();
        self.is_ready = true;
    }

    fn acknowledge(&mut self, now: Instant, back: Duration) {
        if let Some(ack) = self.receiver.poll(now) {
            // They keep their order though the way may become shorter.
            let latest = self.acks.back().map_or(now, |(at, _)| *at);
            self.acks.push_back(((now + back).max(latest), ack));
        }
    }

    /// Returns true if [`poll`](Self::poll) may have a segment.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Returns the next segment, sent at `now`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Data> {
        let data = self.sender.poll(now);
        self.is_ready = data.is_some();
        data
    }

    /// Takes in a segment that arrives whole at `now`; returns the bytes that have become part of
    /// the stream by it.
    pub(crate) fn arrive(&mut self, now: Instant, data: &Data, back: Duration) -> u64 {
        let before = self.receiver.in_order();
        // Its segments say Not-ECT, so none is marked.
        self.receiver.handle(now, data, false);
        self.acknowledge(now, back);
        self.receiver.in_order() - before
    }

    /// Returns true if nothing was acknowledged for so long that the connection has timed out.
    pub(crate) const fn has_given_up(&self) -> bool {
        self.sender.has_given_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a transfer over a way of 10 ms there and 10 ms back, without loss, for a second.
    fn run(control: CongestionControl) -> (u64, usize) {
        let (there, back) = (Duration::from_millis(10), Duration::from_millis(10));
        let mut bulk = Bulk::new(control, Instant::START);
        let mut flying: VecDeque<(Instant, Data)> = VecDeque::new();
        let (mut now, mut received, mut most) = (Instant::START, 0, 0);
        loop {
            while let Some(data) = bulk.poll(now) {
                assert_eq!(data.payload, PAYLOAD_MAX, "the window is of whole segments");
                flying.push_back((now + there, data));
            }
            most = most.max(flying.len());
            let next = flying.front().map(|(at, _)| *at);
            now = next.into_iter().chain(bulk.deadline()).min().unwrap();
            if now > Instant::from_secs(1) {
                return (received, most);
            }
            while let Some((at, data)) = flying.pop_front_if(|(at, _)| *at <= now) {
                received += bulk.arrive(at, &data, back);
            }
            bulk.work(now, back);
        }
    }

    #[test]
    fn a_window_a_round_trip_is_sent_and_no_more_than_the_receiver_takes() {
        for control in [CongestionControl::Cubic, CongestionControl::Reno] {
            let (received, most) = run(control);
            let window = FLIGHT_MAX as usize / PAYLOAD_MAX as usize;
            // Slow start doubles what is sent in each of 50 round trips, up to the window; then a
            // window is on the way there, which takes 10 ms.
            assert!(most <= window && most > window / 2, "{control:?}: {most} of {window}");
            assert!(received > 50 * FLIGHT_MAX && received < 100 * FLIGHT_MAX, "{received}");
        }
    }
}
