//! The same packets in runs and one by one, and the same transfers in trains and segment by segment.

use super::{ZEROS, conserves, drain_all};
use bytes::Bytes;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::packet::Packet;
use jostle_engine::stage::{Output, Stage};
use std::fmt::Debug;

/// The most packets of a run: they fit into a datagram's bytes at 1500 each.
pub(crate) const RUN_MAX: u64 = 43;

/// How packets that come together enter a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// Those of a flow as one: the fast path.
    Together,
    Singly,
}

/// Finds something out both ways, and returns it if it is equal.
pub(crate) fn both_ways<T: Debug + PartialEq>(find: impl Fn(Way) -> T) -> T {
    let [together, singly] = [Way::Together, Way::Singly].map(find);
    let beginning = |found: &T| format!("{found:?}").chars().take(1000).collect::<String>();
    assert!(together == singly, "{}\n{}", beginning(&together), beginning(&singly));
    together
}

/// Feeds `count` packets of `size` bytes in runs of 1 to [`RUN_MAX`], and hands every output to
/// `see`, packet by packet; whatever comes or goes, nothing disappears. On average the packets are
/// `gap` nanoseconds apart: those of a run come when its first would. Returns how many outputs there
/// were.
pub(crate) fn feed_runs(
    link: &mut Link,
    way: Way,
    count: u64,
    gap: u64,
    size: usize,
    mut see: impl FnMut(Output),
) -> u64 {
    let (mut fed, mut outputs) = (0, 0);
    let mut see_each = |output: Output| {
        outputs += 1;
        output.singles().for_each(&mut see);
    };
    for nth in 0.. {
        // 7919 and the most are coprime: every length has its turn.
        let length = (nth * 7919 % RUN_MAX + 1).min(count - fed);
        if length == 0 {
            break;
        }
        let at = Instant::from_nanos(fed * gap);
        fed += length;
        let bytes = Bytes::from_static(&ZEROS[..length as usize * size]);
        let run = Packet::run(1, at, bytes, size as u16);
        while let Some(output) = link.poll(at) {
            see_each(output);
            conserves(link);
        }
        match way {
            Way::Together => link.handle(run),
            Way::Singly => run.singles().for_each(|single| link.handle(single)),
        }
        conserves(link);
    }
    drain_all(link).into_iter().for_each(see_each);
    conserves(link);
    assert_eq!((link.counters().entered, link.held()), (count, 0));
    outputs
}
