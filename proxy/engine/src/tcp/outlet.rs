//! The outlet for what comes out of a connection.

use super::event::Event;
use crate::packet::Body;
use crate::segment::Segment;
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// The outlet for what comes out of a connection.
pub(super) struct Outlet<'a> {
    pub(super) now: Instant,
    pub(super) id: u32,
    /// The segments that are to enter the links.
    pub(super) sends: &'a mut VecDeque<(Direction, u32, Body)>,
    /// True if segments that follow each other are sent as a train.
    pub(super) joins: bool,
    pub(super) events: &'a mut VecDeque<Event>,
    /// The streams of which bytes are in order that were not handed out.
    pub(super) ready: &'a mut Vec<(u32, Direction)>,
    /// True if the bytes of each segment are handed out by themselves.
    pub(super) hands_out_each: bool,
    /// The counter of the senders' samples of the round-trip time.
    pub(super) round_trips: &'a mut RoundTrips,
}

impl Outlet<'_> {
    pub(super) fn send(&mut self, direction: Direction, segment: Segment) {
        // All that waits leaves at the same time.
        if self.joins
            && let Some((last_direction, id, Body::Segment(last))) = self.sends.back_mut()
            && (*last_direction, *id) == (direction, self.id)
            && last.join(&segment)
        {
            return;
        }
        self.sends.push_back((direction, self.id, Body::Segment(Box::new(segment))));
    }

    pub(super) fn record(&mut self, round_trip: Option<u64>) {
        if let Some(nanos) = round_trip {
            self.round_trips.record(Duration::from_nanos(nanos));
        }
    }
}
