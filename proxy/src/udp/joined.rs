//! Datagrams that came one by one, made into runs where nothing tells them apart.
//!
//! Senders that hand over one datagram at a time are read one at a time. Without rules all that is in
//! the socket leaves at once: one behind the other in a buffer they are a run like any other, which
//! costs the link and the system as much as one datagram.

use jostle_sys::{Received, SlotBuffer};
use std::iter::Peekable;

/// The most datagrams in a run: those that one message takes.
const RUN_MAX: usize = 64;

/// The most bytes in a run: those that one message takes.
const RUN_BYTES_MAX: usize = 65_507;

/// The most buffers that are kept: half as many as are read at a time, as each holds two at least.
const BUFFERS_MAX: usize = jostle_sys::SLOTS / 2;

/// The buffers in which datagrams are joined. One serves all relays of a loop.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    buffers: Vec<SlotBuffer>,
}

impl Joiner {
    /// Joins a datagram with those that follow it: of the same sender and the same size, of which the
    /// last may be shorter. They arrive together, when the first of them did. What cannot be joined
    /// stays as it is.
    pub(crate) fn join<'a, 'inbox: 'a>(
        &'a mut self,
        first: Received<'inbox>,
        rest: &mut Peekable<impl Iterator<Item = Received<'inbox>>>,
    ) -> Received<'a> {
        let size = first.bytes.len();
        let fits = |last: &Received<'_>, next: &Received<'_>, bytes: usize| {
            let is_alike =
                (first.from, first.asked, first.ecn) == (next.from, next.asked, next.ecn);
            let is_single = next.segment.is_none() && !next.bytes.is_empty();
            let follows = last.bytes.len() == size && next.bytes.len() <= size;
            is_alike && is_single && follows && bytes + next.bytes.len() <= RUN_BYTES_MAX
        };
        let is_joined = first.segment.is_none()
            && size > 0
            && rest.peek().is_some_and(|next| fits(&first, next, size));
        if !is_joined {
            return first;
        }
        let place = self.free();
        let buffer = self.buffers[place].get_mut().expect("it was just found to be free");
        buffer[..size].copy_from_slice(first.bytes);
        let (mut last, mut end, mut count) = (first, size, 1);
        let (mut stamp, mut missed) = (first.stamp, first.missed);
        while count < RUN_MAX
            && let Some(next) = rest.next_if(|next| fits(&last, next, end))
        {
            buffer[end..end + next.bytes.len()].copy_from_slice(next.bytes);
            end += next.bytes.len();
            count += 1;
            // Without a stamp it came just now.
            stamp = stamp.min(next.stamp).or(stamp).or(next.stamp);
            missed = next.missed.or(missed);
            last = next;
        }
        let buffer = &self.buffers[place];
        let (bytes, segment) = (&buffer.as_ref()[..end], Some(size));
        Received { bytes, segment, stamp, missed, buffer: Some(buffer), ..first }
    }

    /// Returns the place of a buffer that nobody keeps.
    fn free(&mut self) -> usize {
        let free = self.buffers.iter_mut().position(|buffer| buffer.get_mut().is_some());
        free.unwrap_or_else(|| {
            if self.buffers.len() >= BUFFERS_MAX {
                // Whoever keeps it frees it.
                self.buffers.pop();
            }
            self.buffers.push(SlotBuffer::new());
            self.buffers.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::ecn::Ecn;
    use std::time::Duration;

    fn received(bytes: &[u8], port: u16, millis: u64) -> Received<'_> {
        Received {
            bytes,
            segment: None,
            from: Some(([127, 0, 0, 1], port).into()),
            asked: None,
            hops: None,
            ecn: Ecn::NotEct,
            stamp: Some(Duration::from_millis(millis)),
            missed: Some(millis as u32),
            buffer: None,
        }
    }

    /// Joins all that was received; what is returned are the sizes of the datagrams of each run.
    fn joined(all: &[Received<'_>]) -> Vec<Vec<usize>> {
        let (mut joiner, mut kept, mut runs) = (Joiner::default(), Vec::new(), Vec::new());
        let mut rest = all.iter().copied().peekable();
        let mut bytes = Vec::new();
        while let Some(first) = rest.next() {
            let run = joiner.join(first, &mut rest);
            assert_eq!((run.from, run.ecn), (first.from, first.ecn));
            bytes.extend_from_slice(run.bytes);
            runs.push(run.datagrams().map(|range| range.len()).collect());
            // What is kept is not written over.
            kept.extend(run.buffer.map(|buffer| (run.bytes.to_vec(), buffer.clone())));
        }
        assert!(kept.iter().all(|(bytes, buffer)| buffer.as_ref().starts_with(bytes)));
        assert!(joiner.buffers.len() <= BUFFERS_MAX);
        let read: Vec<u8> = all.iter().flat_map(|one| one.bytes).copied().collect();
        assert_eq!(bytes, read, "every byte is there once, in its order");
        runs
    }

    #[test]
    fn those_of_one_sender_and_size_are_joined_and_a_shorter_one_ends_them() {
        let bytes: Vec<u8> = (0..=255).collect();
        let of = |size: usize, port, millis| received(&bytes[255 - size..255], port, millis);
        let sizes = [of(100, 1, 1), of(100, 1, 2), of(40, 1, 3), of(40, 1, 4), of(100, 1, 5)];
        assert_eq!(joined(&sizes), [vec![100, 100, 40], vec![40], vec![100]]);
        let senders = [of(9, 1, 1), of(9, 1, 2), of(9, 2, 3), of(9, 2, 4), of(9, 1, 5)];
        assert_eq!(joined(&senders), [vec![9, 9], vec![9, 9], vec![9]]);
        let marked = Received { ecn: Ecn::Ce, ..of(9, 1, 2) };
        assert_eq!(joined(&[of(9, 1, 1), marked, marked]), [vec![9], vec![9, 9]]);
        assert_eq!(
            joined(&[of(0, 1, 1), of(0, 1, 2), of(9, 1, 3)]).len(),
            3,
            "empty ones are alone"
        );
    }

    #[test]
    fn runs_stay_as_they_are() {
        let bytes = [7; 100];
        let run = Received { segment: Some(50), ..received(&bytes, 1, 1) };
        let single = received(&bytes[..50], 1, 2);
        assert_eq!(joined(&[run, single, run]), [vec![50, 50], vec![50], vec![50, 50]]);
    }

    #[test]
    fn a_run_is_no_more_than_a_message_takes() {
        let bytes = vec![7; 3000];
        let of = |size: usize, count| joined(&vec![received(&bytes[..size], 1, 1); count]);
        let counts = |runs: Vec<Vec<usize>>| runs.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(counts(of(10, 150)), [64, 64, 22]);
        assert_eq!(counts(of(3000, 30)), [21, 9]);
        // More at once than there are buffers to be kept.
        assert_eq!(counts(of(3000, 21 * 40)), [21; 40]);
    }

    #[test]
    fn what_it_says_is_of_the_first_that_came_and_the_last_that_was_missed() {
        let bytes = [7; 9];
        let mut joiner = Joiner::default();
        let all = [received(&bytes, 1, 5), received(&bytes, 1, 4), received(&bytes, 1, 6)];
        let mut rest = all[1..].iter().copied().peekable();
        let run = joiner.join(all[0], &mut rest);
        assert_eq!((run.stamp, run.missed), (Some(Duration::from_millis(4)), Some(6)));
        assert_eq!(run.datagrams().len(), 3);
    }
}
