//! The clock of a simulation, which jumps from event to event.

use super::{End, Limits, Outcome};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::stage::Output;

/// Two ends and what lies between them, as far as the clock has to know them.
pub(super) trait World {
    /// Lets everything happen that is due at `now`, until `packets_max` packets have entered the
    /// links.
    fn settle(
        &mut self,
        now: Instant,
        packets_max: u64,
        observe: &mut impl FnMut(Direction, &Output),
    );
    /// Returns true if the client has finished.
    fn is_finished(&self) -> bool;
    /// Returns true if nothing is under way.
    fn is_drained(&self) -> bool;
    /// Returns the link of a direction.
    fn link(&self, direction: Direction) -> &Link;
    /// Returns the time at which something next happens; with the server or without it.
    fn deadline(&self, with_server: bool) -> Option<Instant>;

    /// Returns the number of packets that have entered both links.
    fn packets(&self) -> u64 {
        Direction::BOTH.iter().map(|direction| self.link(*direction).counters().entered).sum()
    }
}

/// Runs until the client has finished and nothing is under way. Once the client has finished the
/// server is no longer waited for.
pub(super) fn run(
    world: &mut impl World,
    limits: Limits,
    mut observe: impl FnMut(Direction, &Output),
) -> Outcome {
    let over = Instant::START + limits.time;
    let mut now = Instant::START;
    let mut finished = None;
    let end = loop {
        world.settle(now, limits.packets, &mut observe);
        if world.is_finished() {
            // The run took until here; what is under way has only to leave the links.
            finished.get_or_insert(now);
            if world.is_drained() {
                break End::Finished;
            }
        }
        if world.packets() >= limits.packets {
            break End::PacketsOver;
        }
        match world.deadline(finished.is_none()) {
            None => break End::Stalled,
            Some(next) if next > over => {
                now = over;
                break End::TimeOver;
            }
            Some(next) => now = now.max(next),
        }
    };
    let [up, down] = Direction::BOTH.map(|direction| *world.link(direction).counters());
    Outcome { end, elapsed: finished.unwrap_or(now).since(Instant::START), up, down }
}
