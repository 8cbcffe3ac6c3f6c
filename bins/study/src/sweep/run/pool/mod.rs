//! Work on several threads, in memory that does not grow with the number of items.

use anyhow::bail;
use crossbeam_channel::{Receiver, Sender, bounded, select_biased, unbounded};
use jostle_console::stop::Stop;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// The order in which results are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResultOrder {
    /// The order of the items; results that are early wait.
    OfItems,
    /// As they come.
    OfResults,
}

/// Early results that may wait for a late one, per thread.
const WINDOW: u64 = 64;

/// Threads that work through items. They are not joined unless asked: what cannot be interrupted
/// ends with the process.
pub(super) struct Pool<I: Iterator, R> {
    items: I,
    order: ResultOrder,
    /// No more items than this are taken whose results were not given out.
    window: u64,
    /// The number of items that were taken.
    taken: u64,
    /// Items that no thread has begun, with their numbers. The threads end with the sender.
    waiting: Sender<(u64, I::Item)>,
    /// The other end, to take back what is not to be begun any more.
    begun: Receiver<(u64, I::Item)>,
    /// Results by the numbers of their items; `None` of one whose thread has panicked.
    results: Receiver<(u64, Option<R>)>,
    threads: Vec<JoinHandle<()>>,
}

impl<I, T, R> Pool<I, R>
where
    I: Iterator<Item = T>,
    T: Send + 'static,
    R: Send + 'static,
{
    /// Starts `threads` threads that `work` on the items.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(
        items: I,
        threads: usize,
        order: ResultOrder,
        work: impl Fn(T) -> R + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let work = Arc::new(work);
        let (waiting, begun) = unbounded();
        let (finished, results) = unbounded();
        let window = threads as u64 * WINDOW;
        let (taken, handles) = (0, Vec::new());
        let mut pool =
            Self { items, order, window, taken, waiting, begun, results, threads: handles };
        for _ in 0..threads {
            let (begun, finished, work) = (pool.begun.clone(), finished.clone(), work.clone());
            let run = move || {
                for (number, item) in begun {
                    // The panic was reported by its hook; here it must not become a silence.
                    let result = catch_unwind(AssertUnwindSafe(|| work(item))).ok();
                    if finished.send((number, result)).is_err() {
                        break;
                    }
                }
            };
            pool.threads.push(Builder::new().name("cells".to_owned()).spawn(run)?);
        }
        pool.refill(0);
        Ok(pool)
    }

    /// Takes items until as many are under way as may be.
    fn refill(&mut self, given: u64) {
        while self.taken - given < self.window {
            let Some(item) = self.items.next() else { return };
            self.waiting.send((self.taken, item)).expect("the pool has the other end itself");
            self.taken += 1;
        }
    }

    /// Gives each result to `take`, until there are no more or `stop` is requested.
    ///
    /// # Errors
    /// The first error of `take`, and a panic of a thread.
    pub(super) fn give(
        &mut self,
        stop: &Stop,
        mut take: impl FnMut(R) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (stopping, stopped) = bounded(1);
        let _attached = stop.attach_with(move || {
            // One request is enough.
            let _ = stopping.try_send(());
        });
        let mut ready = BTreeMap::new();
        let mut given = 0;
        while given < self.taken && !stop.is_requested() {
            // Early results wait in `ready` until they are next, or leave at once where order is
            // free.
            let next = match self.order {
                ResultOrder::OfItems => given,
                ResultOrder::OfResults => ready.first_key_value().map_or(0, |(number, _)| *number),
            };
            if let Some(result) = ready.remove(&next) {
                given += 1;
                take(result)?;
                self.refill(given);
                continue;
            }
            select_biased! {
                recv(stopped) -> _ => break,
                recv(self.results) -> finished => {
                    match finished.expect("a thread has its item until it has sent the result") {
                        (number, Some(result)) => ready.insert(number, result),
                        (_, None) => bail!(
                            "a cell has failed in a way that is a fault of jostle; the message is \
                             above"
                        ),
                    };
                }
            }
        }
        Ok(())
    }

    /// Waits until every thread has ended what it has begun; no item is begun any more.
    pub(super) fn join(self) {
        let Self { waiting, begun, threads, .. } = self;
        // Items that no thread has begun are taken back before the channel is closed.
        while begun.try_recv().is_ok() {}
        drop((waiting, begun));
        for thread in threads {
            thread.join().expect("panics of the work are caught");
        }
    }
}

#[cfg(test)]
mod tests;
