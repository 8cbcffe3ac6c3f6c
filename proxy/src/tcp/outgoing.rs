//! The way out of the links: what has come of the streams of a pass is written to their receivers.

use super::TcpRelay;
use super::connection::Progress;
use super::end::End;
use crate::turn::Turn;
use bytes::Bytes;
use jostle_common::chance::Direction;

/// Pieces that follow each other are written with one call up to so many bytes: a copy costs a tenth
/// of a call for each segment.
const GATHERED_MAX: usize = 64 << 10;

/// Bytes on their way to the receiver of a direction of a connection.
pub(super) type Leaving = (u32, Direction, Bytes);

impl TcpRelay {
    /// Hands the bytes that have come out of the links to their receivers.
    pub(super) fn hand_out_all(&mut self, turn: &mut Turn) {
        let leaving = std::mem::take(&mut self.carriage.leaving);
        for run in leaving.chunk_by(|one, next| (one.0, one.1) == (next.0, next.1)) {
            self.hand_out(run, turn);
        }
        self.carriage.leaving = leaving;
        self.carriage.leaving.clear();
    }

    /// Hands pieces of one stream, of which there are some, to its receiver.
    fn hand_out(&mut self, run: &[Leaving], turn: &mut Turn) {
        let Some(carrier) = &mut self.carriage.carrier else { return };
        let (id, direction, _) = run[0];
        let total: usize = run.iter().map(|(.., bytes)| bytes.len()).sum();
        // One that is closing was forgotten, and hears nothing more.
        let is_open = |index: &usize| {
            self.connections.get(*index).is_some_and(|one| one.progress != Progress::Closing)
        };
        let index = self.connections.place(id).filter(is_open);
        let target = index.and_then(|index| self.connections.at(index).target(direction));
        let (Some(index), Some(target)) = (index, target) else {
            // The receiver is gone, its reset is under way.
            return carrier.consumed(turn.now, id, direction, total);
        };
        let (own, trimmed);
        let run = if direction == Direction::Down && target.follows_requests() {
            // What its server was not asked for goes no further.
            let mut heard = |(id, direction, bytes): &Leaving| {
                (*id, *direction, bytes.slice(..target.hear_answer(bytes)))
            };
            trimmed = run.iter().map(&mut heard).collect::<Vec<_>>();
            own = trimmed.iter().map(|(.., bytes)| bytes.len()).sum();
            &trimmed[..]
        } else {
            own = total;
            run
        };
        let more = total - own;
        let written = write(run, target, &mut turn.scratch);
        let mut before = written;
        for (.., bytes) in run {
            let kept = bytes.len() - before.min(bytes.len());
            before -= bytes.len() - kept;
            if kept > 0 {
                target.keep(bytes.slice(bytes.len() - kept..), &self.memory);
            }
        }
        let broken = target.is_broken();
        self.connections.at(index).last = turn.now;
        // A broken end keeps nothing: what it does not take is as good as taken.
        let consumed = if broken { total } else { written + more };
        self.accounts[direction.index()].written(written);
        if consumed > 0 {
            carrier.consumed(turn.now, id, direction, consumed);
            self.resume(index, direction, turn);
        }
        if broken {
            self.ask_again(index, direction.opposite(), turn);
        }
        if more > 0 || (direction == Direction::Down && self.askings.are_wanted()) {
            self.turn_page(index, more > 0, turn);
        }
    }
}

/// Writes what `target` takes at once of pieces of one stream, small ones together, and returns how
/// much.
fn write(run: &[Leaving], target: &mut End, scratch: &mut [u8]) -> usize {
    let (mut written, mut rest) = (0, run);
    while let Some((.., first)) = rest.first() {
        let mut gathered = 0;
        let fits = |(.., bytes): &&Leaving| {
            gathered += bytes.len();
            gathered <= GATHERED_MAX
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (pieces, others) = rest.split_at(count);
        let bytes = if count == 1 {
            &first[..]
        } else {
            let mut end = 0;
            for (.., bytes) in pieces {
                scratch[end..end + bytes.len()].copy_from_slice(bytes);
                end += bytes.len();
            }
            &scratch[..end]
        };
        let taken = target.write_now(bytes);
        written += taken;
        if taken < bytes.len() {
            break;
        }
        rest = others;
    }
    written
}
