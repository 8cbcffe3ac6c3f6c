//! One transfer in virtual time: a client connects, sends, and ends its stream.

use super::counters::Counters;
use super::event::Event;
use super::model::Model;
use crate::link::Link;
use crate::memory::Memory;
use crate::route::CongestionControl;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::time::Duration;

/// The bytes that are sent, again and again; nothing looks at them.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// The outcome of a transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The time from before the client connected until the server had read everything; `None` when
    /// it was stopped before.
    pub time: Option<Duration>,
    /// Bytes that the server read.
    pub received: u64,
    /// The counters of the client's sender.
    pub counters: Counters,
    /// The round-trip times that the client's sender sampled, and the one of the server's
    /// handshake.
    pub round_trips: RoundTrips,
}

/// Sends `bytes` from client to server over these links, up first, for at most `limit`. Virtual
/// time begins with zero.
pub fn transfer(
    links: [Link; 2],
    control: CongestionControl,
    bytes: u64,
    limit: Duration,
) -> Outcome {
    const ID: u32 = 1;
    let mut model = Model::new(links, control, Memory::default());
    let mut now = Instant::START;
    let (mut unsent, mut received, mut time) = (bytes, 0, None);
    model.open(now, ID);
    loop {
        while unsent > 0 && model.room(ID, Direction::Up) > 0 {
            let piece = unsent.min(model.room(ID, Direction::Up).min(ZEROS.len()) as u64);
            model.push(now, ID, Direction::Up, Bytes::from_static(&ZEROS[..piece as usize]));
            unsent -= piece;
            if unsent == 0 {
                model.finish(now, ID, Direction::Up);
            }
        }
        if let Some(event) = model.poll(now) {
            if let Event::Data { bytes, .. } = event {
                received += bytes.len() as u64;
                model.consumed(now, ID, Direction::Up, bytes.len());
            }
            continue;
        }
        if received == bytes {
            time = Some(now.since(Instant::START));
            break;
        }
        match model.deadline() {
            Some(at) if at <= Instant::START + limit => now = at,
            _ => break,
        }
    }
    Outcome { time, received, counters: model.counters(), round_trips: model.round_trips().clone() }
}
