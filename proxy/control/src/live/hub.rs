//! The one who reads the counters each second, and those who are told of it.

use super::events::Readers;
use super::history::History;
use super::hits::HitReader;
use super::second::Second;
use super::{state, stream};
use crate::registry::{Origin, Registry};
use axum::body::Bytes;
use jostle_proxy::Snapshot;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::MissedTickBehavior;

/// The time from one reading of the counters to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// The seconds that wait for a watcher; of a slower one the oldest are lost.
const SECONDS_WAITING: usize = 16;

/// The most that watch at once.
pub(super) const WATCHERS_MAX: usize = 32;

/// What happens, for all who watch.
#[derive(Debug)]
pub(crate) struct Live {
    registry: Arc<Registry>,
    told: Mutex<Told>,
    seconds: broadcast::Sender<Bytes>,
    state: watch::Sender<Bytes>,
    watchers: AtomicUsize,
    keeps_history: AtomicBool,
    /// Those who read the fates of packets.
    pub(super) readers: Readers,
}

#[derive(Debug, Default)]
struct Told {
    history: History,
    /// Set while the sampler runs.
    is_sampled: bool,
}

/// One who watches. Dropping it ends that.
pub(super) struct Watcher {
    live: Arc<Live>,
    /// What happened before.
    pub(super) history: Bytes,
    pub(super) seconds: broadcast::Receiver<Bytes>,
    pub(super) state: watch::Receiver<Bytes>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.live.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            told: Mutex::default(),
            seconds: broadcast::Sender::new(SECONDS_WAITING),
            state: watch::Sender::new(Bytes::new()),
            watchers: AtomicUsize::new(0),
            keeps_history: AtomicBool::new(false),
            readers: Readers::default(),
        }
    }

    /// Reads the counters each second from now on, whether somebody watches or not, so that who
    /// comes later sees the last ten minutes. Must be called on the API's runtime.
    pub(crate) fn keep_history(self: &Arc<Self>) {
        self.keeps_history.store(true, Ordering::Relaxed);
        self.start_sampler(&mut self.lock());
    }

    /// Lets one more watch, unless there are too many.
    pub(super) fn watch(self: &Arc<Self>) -> Option<Watcher> {
        let more = |watchers| (watchers < WATCHERS_MAX).then_some(watchers + 1);
        self.watchers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        // Under the lock no second comes between the history and those that follow.
        let mut told = self.lock();
        self.start_sampler(&mut told);
        Some(Watcher {
            live: Arc::clone(self),
            history: stream::event("history", &told.history.to_json()),
            seconds: self.seconds.subscribe(),
            state: self.state.subscribe(),
        })
    }

    /// Tells of the configuration if it has changed.
    pub(super) fn look_at_state(&self) {
        let now = stream::event("state", state::current(&self.registry).as_bytes());
        self.state.send_if_modified(|known| {
            let changed = *known != now;
            *known = now;
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns how many watch.
    pub(super) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    fn is_watched(&self) -> bool {
        self.watchers() > 0
    }

    fn start_sampler(self: &Arc<Self>, told: &mut Told) {
        if !std::mem::replace(&mut told.is_sampled, true) {
            tokio::spawn(sample(Arc::clone(self)));
        }
    }

    /// Returns true if the sampler may end: nobody wants it. Then it has ended.
    fn is_over(&self) -> bool {
        let mut told = self.lock();
        let over = !self.is_watched() && !self.keeps_history.load(Ordering::Relaxed);
        if over {
            // What happens from now on is in no second.
            *told = Told::default();
        }
        over
    }

    fn tell(&self, second: &Second) {
        let json = Bytes::from(serde_json::to_vec(second).unwrap_or_default());
        let mut told = self.lock();
        // Nobody may be there.
        let _ = self.seconds.send(stream::event("second", &json));
        told.history.push(json);
    }
}

/// Reads the counters each second for as long as somebody wants that, or the proxy runs.
async fn sample(live: Arc<Live>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sampler = Some(Sampler::default());
    while !live.is_over() {
        ticks.tick().await;
        let Some(mut next) = sampler.take() else { break };
        let live = Arc::clone(&live);
        // The proxy answers between two turns, which may take a moment.
        let done = tokio::task::spawn_blocking(move || next.take(&live).then_some(next));
        sampler = done.await.ok().flatten();
    }
}

/// What the sampler knows from its last reading.
#[derive(Default)]
struct Sampler {
    before: Option<Snapshot>,
    /// Counts hits while somebody watches.
    hits: Option<HitReader>,
}

impl Sampler {
    /// Reads the counters and tells of what happened since the last time; false when the proxy has
    /// ended.
    fn take(&mut self, live: &Live) -> bool {
        let control = live.registry.control();
        let Ok(now) = control.snapshot() else { return false };
        let hits = self.hits.as_ref().map(HitReader::take);
        if let Some(before) = self.before.replace(now) {
            let now = self.before.as_ref().expect("it was just put there");
            let present = names(&live.registry);
            live.tell(&Second::between(&before, now, hits, |name| present.contains(name)));
        }
        live.look_at_state();
        self.count_hits(live);
        true
    }

    /// Begins or ends to count hits: with the reading that was just taken, so that what is counted
    /// until the next one belongs to that second.
    fn count_hits(&mut self, live: &Live) {
        if !live.is_watched() {
            self.hits = None;
        } else if self.hits.is_none() {
            let reader = HitReader::default();
            let counter = Box::new(reader.counter());
            self.hits = live.registry.control().add_sink(counter).is_ok().then_some(reader);
        }
    }
}

fn names(registry: &Registry) -> BTreeSet<String> {
    registry.open(Origin::Api).iter().map(|(name, _)| name.to_owned()).collect()
}
