//! How much left in windows of time.

/// When packets left, and their sizes.
pub(crate) type Deliveries = Vec<(u64, u64)>;

/// The fewest and the most bytes that left in any window of this length which lies between two
/// deliveries.
pub(crate) fn windows(deliveries: &Deliveries, window: u64) -> (u64, u64) {
    let end = deliveries.last().unwrap().0;
    let (mut least, mut most) = (u64::MAX, 0);
    // Windows that begin just behind a delivery hold the fewest, those that begin with one the
    // most.
    let (mut last, mut bytes) = (0, 0);
    for (first, (begin, size)) in deliveries.iter().enumerate() {
        while last < deliveries.len() && deliveries[last].0 <= begin + window {
            bytes += deliveries[last].1;
            last += 1;
        }
        if begin + window <= end {
            most = most.max(bytes);
            let at_the_end =
                deliveries[first..last].iter().rev().take_while(|(at, _)| *at == begin + window);
            let ends: u64 = size + at_the_end.map(|(_, size)| size).sum::<u64>();
            least = least.min(bytes.saturating_sub(ends));
        }
        bytes -= size;
    }
    (least, most)
}
