//! How many packets each rule chose, counted while somebody watches.

use jostle_common::chance::Direction;
use jostle_proxy::{Settled, Sink};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Packets by route, direction and the key of the rule that chose them.
pub(super) type Hits = BTreeMap<String, [BTreeMap<String, u64>; 2]>;

/// The other end of a [`HitCounter`]. Dropping it ends the counting.
#[derive(Debug, Default)]
pub(super) struct HitReader {
    counted: Arc<Mutex<Hits>>,
    over: Arc<AtomicBool>,
}

/// A sink that counts hits, and hands them over whenever the counters are read.
pub(super) struct HitCounter {
    hits: Hits,
    counted: Arc<Mutex<Hits>>,
    over: Arc<AtomicBool>,
}

impl HitReader {
    /// Returns a sink for it.
    pub(super) fn counter(&self) -> HitCounter {
        let (counted, over) = (Arc::clone(&self.counted), Arc::clone(&self.over));
        HitCounter { hits: Hits::new(), counted, over }
    }

    /// Returns what was counted between the last reading of the counters and the one before.
    pub(super) fn take(&self) -> Hits {
        let mut counted = self.counted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::take(&mut *counted)
    }
}

impl Drop for HitReader {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Sink for HitCounter {
    fn record(&mut self, settled: &Settled<'_>) {
        for rule in settled.rules() {
            count(&mut self.hits, settled.route, settled.direction, rule, 1);
        }
    }

    fn counters_read(&mut self) {
        // The loop waits for nobody: what is not taken now comes with the next reading.
        let Ok(mut counted) = self.counted.try_lock() else { return };
        for (route, ways) in std::mem::take(&mut self.hits) {
            for (direction, rules) in Direction::BOTH.into_iter().zip(ways) {
                for (rule, hits) in rules {
                    count(&mut counted, &route, direction, &rule, hits);
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

fn count(hits: &mut Hits, route: &str, direction: Direction, rule: &str, more: u64) {
    let ways = match hits.get_mut(route) {
        Some(ways) => ways,
        None => hits.entry(route.to_owned()).or_default(),
    };
    let rules = &mut ways[direction.index()];
    match rules.get_mut(rule) {
        Some(known) => *known += more,
        None => {
            rules.insert(rule.to_owned(), more);
        }
    }
}
