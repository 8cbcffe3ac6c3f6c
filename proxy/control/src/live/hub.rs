//! The one who reads the counters each second, and those who are told of it.

use super::endings::Endings;
use super::events::Readers;
use super::history::History;
use super::hits::HitReader;
use super::second::Second;
use super::{state, stream};
use crate::registry::{self, Origin, Registry};
use axum::body::Bytes;
use jostle_proxy::Snapshot;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::MissedTickBehavior;

/// The time from one reading of the counters to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// The seconds that wait for a watcher; of a slower one the oldest are lost.
const SECONDS_WAITING: usize = 16;

/// The most that watch at once, and that read events: each of these costs the event loop a line per
/// packet.
const WATCHERS_MAX: usize = 32;
const READERS_MAX: usize = 8;

/// The time between two changes of the configuration that are told apart: many quick ones are told
/// as one.
const QUIET: Duration = Duration::from_millis(50);

/// What happens, for all who watch.
#[derive(Debug)]
pub(crate) struct Live {
    registry: Arc<Registry>,
    told: Mutex<Told>,
    seconds: broadcast::Sender<Bytes>,
    state: watch::Sender<Bytes>,
    watchers: AtomicUsize,
    /// The most that watch at once.
    pub(super) watchers_max: usize,
    keeps_history: AtomicBool,
    /// Those who read the fates of packets.
    pub(super) readers: Readers,
}

#[derive(Debug, Default)]
struct Told {
    history: History,
    /// Set while the sampler runs.
    is_sampled: bool,
    /// Set since somebody first wanted to be told of changes.
    is_followed: bool,
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
    /// `connections` are those that the API has: who watches takes half of them at most.
    pub(crate) fn new(registry: Arc<Registry>, connections: usize) -> Self {
        let quarter = (connections / 4).max(1);
        Self {
            registry,
            told: Mutex::default(),
            seconds: broadcast::Sender::new(SECONDS_WAITING),
            state: watch::Sender::new(Bytes::new()),
            watchers: AtomicUsize::new(0),
            watchers_max: quarter.min(WATCHERS_MAX),
            keeps_history: AtomicBool::new(false),
            readers: Readers::new(quarter.min(READERS_MAX)),
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
        let more = |watchers| (watchers < self.watchers_max).then_some(watchers + 1);
        self.watchers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        // Under the lock no second comes between the history and those that follow.
        let mut told = self.lock();
        self.start_sampler(&mut told);
        if !std::mem::replace(&mut told.is_followed, true) {
            tokio::spawn(follow_changes(Arc::clone(self)));
        }
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
            (told.history, told.is_sampled) = (History::default(), false);
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
            live.tell(&Second::between(&before, now, hits, &present(&live.registry)));
        }
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

/// Tells of the configuration each time that it has changed.
async fn follow_changes(live: Arc<Live>) {
    let changed = Arc::new(Notify::new());
    let (registry, notified) = (Arc::clone(&live.registry), Arc::clone(&changed));
    let watch = move || {
        let watcher: registry::Watcher = Box::new(move |_| {
            notified.notify_one();
            ControlFlow::Continue(())
        });
        registry.open(Origin::Api).watch(watcher);
        // It may have changed before.
        live.look_at_state();
        live
    };
    let Ok(live) = tokio::task::spawn_blocking(watch).await else { return };
    let mut quiet = tokio::time::interval(QUIET);
    quiet.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        changed.notified().await;
        quiet.tick().await;
        if live.is_watched() {
            let live = Arc::clone(&live);
            let looked = tokio::task::spawn_blocking(move || live.look_at_state()).await;
            if looked.is_err() {
                log::error!("the configuration could not be read");
            }
        }
    }
}

fn present(registry: &Registry) -> BTreeMap<String, Endings> {
    let table = registry.open(Origin::Api);
    table.iter().map(|(name, entry)| (name.to_owned(), Endings::of(entry))).collect()
}
