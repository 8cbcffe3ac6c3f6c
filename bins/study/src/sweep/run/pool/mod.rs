//! Work on several threads, in memory that does not grow with the number of items.

use anyhow::bail;
use jostle_console::stop::Stop;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The order in which results are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the items; results that are early wait.
    OfItems,
    /// As they come.
    OfResults,
}

/// Items and results under way.
struct State<I, R> {
    items: I,
    /// How many items were taken, and how many results given out.
    taken: u64,
    given: u64,
    /// Results that wait, by the number of their item.
    ready: BTreeMap<u64, R>,
    /// Whether nothing more is to be taken.
    is_over: bool,
    /// Whether a thread has panicked: its result never comes.
    is_broken: bool,
}

struct Shared<I, R> {
    state: Mutex<State<I, R>>,
    changed: Condvar,
    /// No more items than this are taken whose results were not given out.
    window: u64,
}

/// Threads that work through items.
pub(super) struct Pool<I, R> {
    shared: Arc<Shared<I, R>>,
    order: Order,
    threads: Vec<JoinHandle<()>>,
}

impl<I, T, R> Pool<I, R>
where
    I: Iterator<Item = T> + Send + 'static,
    R: Send + 'static,
{
    /// Starts `threads` threads that `work` on the items.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(
        items: I,
        threads: usize,
        order: Order,
        work: impl Fn(T) -> R + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        /// Early results that may wait for a late one, per thread.
        const WINDOW: u64 = 64;
        let state = State {
            items,
            taken: 0,
            given: 0,
            ready: BTreeMap::new(),
            is_over: false,
            is_broken: false,
        };
        let window = threads as u64 * WINDOW;
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), window });
        let work = Arc::new(work);
        let mut pool = Self { shared, order, threads: Vec::new() };
        for _ in 0..threads {
            let (shared, work) = (pool.shared.clone(), work.clone());
            let run = move || shared.work(&*work);
            pool.threads.push(std::thread::Builder::new().name("cells".to_owned()).spawn(run)?);
        }
        Ok(pool)
    }

    /// Gives each result to `take`, until there are no more or `stop` is requested.
    ///
    /// # Errors
    /// The first error of `take`, and a panic of a thread.
    pub(super) fn give(
        &self,
        stop: &Stop,
        mut take: impl FnMut(R) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let shared = self.shared.clone();
        let _attached = stop.attach_with(move || {
            // Under the lock: whoever has just looked at the request waits by now.
            shared.lock().is_over = true;
            shared.changed.notify_all();
        });
        while let Some(result) = self.next(stop)? {
            take(result)?;
        }
        Ok(())
    }

    fn next(&self, stop: &Stop) -> anyhow::Result<Option<R>> {
        let mut state = self.shared.lock();
        loop {
            if state.is_broken {
                bail!("a cell has failed in a way that is a fault of jostle; the message is above");
            }
            if stop.is_requested() || state.is_over && state.given == state.taken {
                return Ok(None);
            }
            let next = match self.order {
                Order::OfItems => state.given,
                Order::OfResults => state.ready.first_key_value().map_or(0, |(number, _)| *number),
            };
            if let Some(result) = state.ready.remove(&next) {
                state.given += 1;
                self.shared.changed.notify_all();
                return Ok(Some(result));
            }
            state = self.shared.wait(state);
        }
    }
}

impl<I, R> Pool<I, R> {
    /// Waits until every thread has ended; no item is taken any more.
    pub(super) fn join(mut self) {
        self.end();
        for thread in std::mem::take(&mut self.threads) {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }

    fn end(&self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl<I, R> Drop for Pool<I, R> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<I, R> Shared<I, R> {
    fn lock(&self) -> MutexGuard<'_, State<I, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<I, R>>) -> MutexGuard<'a, State<I, R>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Iterator<Item = T>, T, R> Shared<I, R> {
    fn work(&self, work: &impl Fn(T) -> R) {
        let _alarm = Alarm(self);
        while let Some((number, item)) = self.take() {
            let result = work(item);
            self.lock().ready.insert(number, result);
            self.changed.notify_all();
        }
    }

    fn take(&self) -> Option<(u64, T)> {
        let mut state = self.lock();
        while !state.is_over && state.taken - state.given >= self.window {
            state = self.wait(state);
        }
        if state.is_over {
            return None;
        }
        let item = state.items.next();
        match item {
            Some(item) => {
                state.taken += 1;
                Some((state.taken - 1, item))
            }
            None => {
                state.is_over = true;
                self.changed.notify_all();
                None
            }
        }
    }
}

/// Says that a thread has panicked.
struct Alarm<'a, I, R>(&'a Shared<I, R>);

impl<I, R> Drop for Alarm<'_, I, R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().is_broken = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
