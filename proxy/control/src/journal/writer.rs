//! Writing a journal while a run goes on.
//!
//! Changes are noted where they are made, under the registry's lock, and written by a thread of
//! their own. Between them is a bounded queue: when the file takes nothing, changes are left out
//! and counted, and once there is room again a line says how many, and what holds then.

use super::canonical::Texts;
use super::line::{Said, When, line};
use crate::registry::{Change, Changed, Deed, Entry, Origin, Registry};
use jostle_common::clock::Clock;
use jostle_engine::route::Route;
use jostle_proxy::{Began, Control, Spool, SpoolEnd};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// The most changes that wait to be written.
const CHANGES_MAX: usize = 256;

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    queue: Arc<Mutex<Option<Queue>>>,
    control: Control,
}

/// What became of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalEnd {
    /// Lines that were written.
    pub lines: u64,
    /// Lines that are not in it.
    pub lost: u64,
    /// The reason why writing ended early.
    pub error: Option<String>,
}

#[derive(Debug)]
struct Queue {
    spool: Spool<Noted>,
    /// Changes that were handed to the writer, and its other lines.
    queued: u64,
    /// Changes that found no room, all of them.
    lost: u64,
    /// Those of them of which no line tells yet.
    untold: u64,
}

/// A change as it waits to be written.
#[derive(Debug)]
struct Noted {
    when: When,
    what: What,
    /// Set behind changes that were left out: how many, and all that holds now.
    resumed: Option<Resumed>,
}

#[derive(Debug)]
struct Resumed {
    lost: u64,
    rules_on: bool,
    routes: Vec<Route>,
}

#[derive(Debug)]
enum What {
    Start {
        rules_on: bool,
        routes: Vec<Route>,
    },
    Proxy {
        origin: Origin,
        deed: Deed,
        name: String,
        revision: u64,
        began: Began,
        route: Option<Box<Route>>,
    },
    Rules {
        origin: Origin,
        on: bool,
        began: Vec<(String, Began)>,
    },
    End {
        lost: u64,
    },
}

impl Journal {
    /// Writes to `file` what is configured now, under the seed of the run, and every change from
    /// now on. A file that says `WouldBlock`, or `NotConnected` while the run goes on, is tried
    /// again.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(registry: &Registry, seed: u64, file: Box<dyn Write + Send>) -> io::Result<Self> {
        let mut keeper = Keeper { seed, texts: Texts::default() };
        let spool = Spool::start("journal", file, CHANGES_MAX, move |noted| keeper.lines(noted))?;
        let mut queue = Queue { spool, queued: 0, lost: 0, untold: 0 };
        let control = registry.control().clone();
        let mut table = registry.open(Origin::Start);
        let routes = table.iter().map(|(_, entry)| entry.as_route()).collect();
        let what = What::Start { rules_on: table.rules_are_on(), routes };
        let when = When { at: control.now(), wall: Clock::wall() };
        queue.offer(Noted { when, what, resumed: None });
        let queue = Arc::new(Mutex::new(Some(queue)));
        let told = Arc::clone(&queue);
        table.watch(Box::new(move |change| {
            let mut queue = told.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(queue) = &mut *queue else { return ControlFlow::Break(()) };
            queue.note(change);
            ControlFlow::Continue(())
        }));
        drop(table);
        Ok(Self { queue, control })
    }

    /// Writes that the run has ended, waits for the writer, for two seconds at most, and returns
    /// what became of the journal.
    pub fn finish(self) -> JournalEnd {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queue) = queue else { return JournalEnd::default() };
        let when = When { at: self.control.now(), wall: Clock::wall() };
        let lost = queue.lost;
        queue.offer(Noted { when, what: What::End { lost }, resumed: None });
        let Queue { spool, queued, lost, .. } = queue;
        let SpoolEnd { written, error } = spool.finish();
        JournalEnd { lines: written, lost: lost + queued.saturating_sub(written), error }
    }
}

impl Queue {
    /// Notes a change, or counts it if there is no room.
    fn note(&mut self, change: &Change<'_>) {
        // All that holds is a long line. It is written once those in front of it are, not for each
        // place that becomes free.
        if self.untold > 0 && self.spool.progress().written < self.queued {
            self.lost += 1;
            self.untold += 1;
            return;
        }
        let &Change { at, origin, changed, proxies, rules_on } = change;
        let what = match changed {
            Changed::Proxy { name, deed, began } => {
                let entry = proxies.get(name);
                let revision = entry.map_or(0, |entry| entry.revision);
                let route = entry.map(Entry::as_route).map(Box::new);
                let name = name.to_owned();
                What::Proxy { origin, deed, name, revision, began, route }
            }
            Changed::Rules { on, began } => {
                let name_of = |id| proxies.iter().find(|(_, entry)| entry.id == Some(id));
                let named = began
                    .iter()
                    .filter_map(|(id, began)| name_of(*id).map(|(name, _)| (name.clone(), *began)));
                What::Rules { origin, on, began: named.collect() }
            }
        };
        let resumed = (self.untold > 0).then(|| Resumed {
            lost: self.untold,
            rules_on,
            routes: proxies.values().map(Entry::as_route).collect(),
        });
        self.offer(Noted { when: When { at, wall: Clock::wall() }, what, resumed });
    }

    fn offer(&mut self, noted: Noted) {
        let lines = 1 + u64::from(noted.resumed.is_some());
        let is_change = !matches!(noted.what, What::Start { .. } | What::End { .. });
        if self.spool.offer(noted).is_ok() {
            self.queued += lines;
            self.untold = 0;
        } else if is_change {
            self.lost += 1;
            self.untold += 1;
        }
    }
}

/// The writer's view of the configuration, for its digest.
struct Keeper {
    seed: u64,
    texts: Texts,
}

impl Keeper {
    /// Writes the lines of a change.
    fn lines(&mut self, Noted { when, what, resumed }: Noted) -> Vec<u8> {
        let mut lines = String::new();
        if let Some(Resumed { lost, rules_on, routes }) = resumed {
            let configuration = self.all(&routes);
            let said = Said::Lost { lost, rules_on, configuration };
            lines.push_str(&line(when, &said, self.texts.digest(self.seed)));
        }
        let began: Vec<(String, Began)>;
        let named: String;
        let said = match what {
            What::Start { rules_on, routes } => {
                Said::Start { rules_on, configuration: self.all(&routes) }
            }
            What::Proxy { origin, deed, name, revision, began, route } => {
                named = name;
                let name = &named;
                let route = route.map(|route| route.to_public_value());
                match &route {
                    Some(route) => self.texts.set(name, route.clone()),
                    None => self.texts.remove(name),
                }
                Said::Proxy { origin, deed, name, revision, began, route }
            }
            What::Rules { origin, on, began: all } => {
                began = all;
                Said::Rules { origin, on, began: &began }
            }
            What::End { lost } => Said::End { lost },
        };
        lines.push_str(&line(when, &said, self.texts.digest(self.seed)));
        lines.into_bytes()
    }

    /// Takes over all routes, and returns the configuration that they are.
    fn all(&mut self, routes: &[Route]) -> Value {
        self.texts.clear();
        let sorted: BTreeMap<&str, Value> =
            routes.iter().map(|route| (route.name.as_str(), route.to_public_value())).collect();
        sorted.iter().for_each(|(name, route)| self.texts.set(name, route.clone()));
        json!({ "seed": self.seed, "proxies": sorted.into_values().collect::<Value>() })
    }
}
