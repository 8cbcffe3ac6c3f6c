//! The pipes of a loop, by which bulk transfers pass from socket to socket: a direction has one
//! only while something is in it.

use crate::descriptors::Descriptors;
use jostle_common::time::Instant;
use jostle_sys::Pipe;
use std::time::Duration;

/// The bytes that a pipe is made for. A page of a socket's buffer takes a place of it however
/// little is on that.
const BYTES: usize = 256 << 10;

/// The most pipes at a time: as many receivers may be slow before what others are sent is copied.
const MOST: usize = 64;

/// The descriptors that a pipe takes.
const DESCRIPTORS: usize = 2;

/// The time after which pipes that nobody needed are closed.
const REST: Duration = Duration::from_secs(1);

/// The pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    idle: Vec<Pipe>,
    /// Those that are there, idle or not.
    made: usize,
    most: usize,
    /// The time at which one was given back last.
    used: Instant,
}

impl Pipes {
    /// Makes none yet, and no more than a thirty-second of what the process may have open; none
    /// ever unless they are `wanted`.
    pub(crate) fn new(wanted: bool, limit: usize) -> Self {
        let most = if wanted { MOST.min(limit / 32 / DESCRIPTORS) } else { 0 };
        Self { idle: Vec::new(), made: 0, most, used: Instant::START }
    }

    /// Returns an empty pipe, if there may be another one.
    pub(crate) fn take(&mut self, descriptors: &mut Descriptors) -> Option<Pipe> {
        if let Some(pipe) = self.idle.pop() {
            return Some(pipe);
        }
        if self.made >= self.most || !descriptors.take(DESCRIPTORS) {
            return None;
        }
        match Pipe::new(BYTES) {
            Ok(pipe) => {
                self.made += 1;
                Some(pipe)
            }
            Err(error) => {
                log::debug!("a pipe: {error}");
                descriptors.give(DESCRIPTORS);
                None
            }
        }
    }

    /// Takes a pipe back. One with something in it is of no use any more.
    pub(crate) fn give(&mut self, pipe: Pipe, now: Instant, descriptors: &mut Descriptors) {
        self.used = now;
        if pipe.held() == 0 && self.made <= self.most {
            self.idle.push(pipe);
        } else {
            drop(pipe);
            self.made -= 1;
            descriptors.give(DESCRIPTORS);
        }
    }

    /// Makes no more: the system does not let them do what they are for.
    pub(crate) const fn refuse(&mut self) {
        self.most = 0;
    }

    /// Returns when to close those that nobody needs.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.idle.is_empty()).then(|| self.used + REST)
    }

    /// Closes those that nobody needed for a while.
    pub(crate) fn rest(&mut self, now: Instant, descriptors: &mut Descriptors) {
        if self.deadline().is_some_and(|at| at <= now) {
            let count = self.idle.len();
            self.idle.clear();
            self.made -= count;
            descriptors.give(count * DESCRIPTORS);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::descriptors::DescriptorTable;
    use crate::reactor::Reactor;
    use crate::shared::Contention;
    use jostle_common::clock::Clock;

    fn descriptors() -> Descriptors {
        let reactor = Reactor::new(Clock::start(), true, Duration::ZERO).expect("descriptors");
        let table = DescriptorTable::new(1000, 8, None);
        let waits = &Contention::default().descriptors;
        Descriptors::of_loops(table, &[reactor.waker()], waits).remove(0)
    }

    /// Returns how many may still be taken.
    fn left(descriptors: &mut Descriptors) -> usize {
        let left = (0..1000).take_while(|_| descriptors.take(1)).count();
        descriptors.give(left);
        left
    }

    #[test]
    fn there_are_no_more_than_may_be_and_none_when_nobody_needs_them() {
        let mut descriptors = descriptors();
        let before = left(&mut descriptors);
        let mut pipes = Pipes::new(true, 200);
        let taken: Vec<Pipe> = std::iter::from_fn(|| pipes.take(&mut descriptors)).collect();
        assert_eq!((taken.len(), pipes.made, pipes.deadline()), (3, 3, None));
        assert_eq!(left(&mut descriptors), before - 3 * DESCRIPTORS);
        let at = Instant::from_secs(5);
        taken.into_iter().for_each(|pipe| pipes.give(pipe, at, &mut descriptors));
        assert_eq!(pipes.deadline(), Some(at + REST));
        let again = pipes.take(&mut descriptors).expect("it was given back");
        assert_eq!((pipes.idle.len(), pipes.made), (2, 3));
        pipes.rest(at + REST, &mut descriptors);
        assert_eq!((pipes.idle.len(), pipes.made), (0, 1));
        pipes.refuse();
        assert!(pipes.take(&mut descriptors).is_none());
        pipes.give(again, at, &mut descriptors);
        assert_eq!((pipes.idle.len(), pipes.made, pipes.deadline()), (0, 0, None));
        assert_eq!(left(&mut descriptors), before);
        assert!(Pipes::new(false, 1000).take(&mut descriptors).is_none());
    }
}
