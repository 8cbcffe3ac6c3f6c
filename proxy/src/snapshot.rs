//! What a proxy did up to a moment: read on the event loop, and put in order by whoever asked.

use crate::distribution::Distribution;
use crate::loop_state::LoopState;
use crate::past::Past;
use crate::relay::RelayReport;
use crate::shared::Contended;
use crate::summary::{MemorySummary, SocketSummary, Summary};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use std::collections::BTreeMap;

/// The counters of a proxy, as a loop hands them out: of its own relays.
pub(crate) struct Reading {
    pub(crate) at: Instant,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    /// How many loops there are.
    pub(crate) workers: usize,
    pub(crate) contended: Contended,
    pub(crate) events: Option<EventLines>,
    /// What routes hold, by name.
    pub(crate) held_bytes: BTreeMap<String, u64>,
    pub(crate) memory: MemorySummary,
    pub(crate) is_draining: bool,
    pub(crate) rules_on: bool,
    /// What relays did that are gone.
    pub(crate) past: Past,
    /// What those did that are there.
    pub(crate) page: Page,
}

/// The counters of some relays.
pub(crate) struct Page {
    /// Each with the number of its route among all that ever were.
    reports: Vec<(u64, RelayReport)>,
    /// The place of the next relay, if there is one.
    pub(crate) rest: Option<usize>,
    /// How many relays had gone when it was read.
    gone: u64,
}

impl Page {
    /// Reads the counters of so many relays, from a place on.
    pub(crate) fn of(loop_state: &LoopState, from: usize, relays: usize) -> Self {
        let (reports, rest) = loop_state.fleet.reports(from, relays);
        Self { reports, rest, gone: loop_state.past.relays }
    }
}

impl Reading {
    /// Adds the next page; false if it does not fit, as a relay has gone since.
    pub(crate) fn go_on_with(&mut self, page: Page) -> bool {
        let fits = page.gone == self.page.gone;
        self.page.reports.extend(page.reports);
        self.page.rest = page.rest;
        fits
    }

    /// Adds what another loop has read whole, a moment later.
    pub(crate) fn join(&mut self, mut other: Self) {
        other.past.absorb(&self.past);
        let mut reports = std::mem::take(&mut self.page.reports);
        reports.append(&mut other.page.reports);
        // Route by route, whichever loops have them.
        reports.sort_by_key(|(route, _)| *route);
        other.page.reports = reports;
        *self = other;
    }

    /// Returns what all relays did.
    fn reports(&mut self) -> Vec<RelayReport> {
        let reports = std::mem::take(&mut self.page.reports);
        self.past.with(reports.into_iter().map(|(_, report)| report))
    }

    /// Returns the summary.
    pub(crate) fn summary(mut self) -> Summary {
        let reports = self.reports();
        self.summary_of(&reports)
    }

    fn summary_of(&self, reports: &[RelayReport]) -> Summary {
        let Self { seed, seconds, memory, events, .. } = *self;
        let EventLines { lost, left_out, .. } = events.unwrap_or_default();
        let mut summary = Summary {
            seed,
            seconds,
            events_lost: lost,
            events_left_out: left_out,
            workers: self.workers,
            contended: (self.workers > 1).then_some(self.contended),
            memory,
            ..Summary::default()
        };
        for report in reports {
            let RelayReport { route, transport, links, counts, round_trips } = report;
            summary.memory.waiting += counts.get("waiting").copied().unwrap_or(0);
            for (direction, link) in Direction::BOTH.into_iter().zip(links) {
                summary.links.push(link.summary(route, *transport, direction));
            }
            summary.sockets.push(SocketSummary {
                route: route.clone(),
                protocol: *transport,
                counts: counts.clone(),
                round_trips: round_trips.clone(),
            });
        }
        summary
    }

    /// Returns all there is.
    pub(crate) fn into_snapshot(mut self) -> Snapshot {
        let reports = self.reports();
        let times = reports.iter().flat_map(|report| &report.links);
        Snapshot {
            at: self.at,
            times: times.map(crate::account::LinkReport::times).collect(),
            is_draining: self.is_draining,
            rules_on: self.rules_on,
            summary: self.summary_of(&reports),
            events: self.events,
            held_bytes: self.held_bytes,
        }
    }
}

/// What a proxy did up to a moment, and what it is doing then.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The moment, as the event log tells time.
    pub at: Instant,
    /// The counters.
    pub summary: Summary,
    /// The distributions of each of the [`links`](Summary::links), in the same order.
    pub times: Vec<LinkTimes>,
    /// Where the lines of the event log are, if there is one.
    pub events: Option<EventLines>,
    /// The bytes that each route holds, with what they cost besides themselves, by name.
    pub held_bytes: BTreeMap<String, u64>,
    /// Set when it was asked to end.
    pub is_draining: bool,
    /// Set unless the rules are switched off.
    pub rules_on: bool,
}

/// Where the lines of the event log are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventLines {
    /// Those that were written.
    pub written: u64,
    /// Those that wait for the writer.
    pub waiting: u64,
    /// Those that found no room, or could not be written.
    pub lost: u64,
    /// Those that were not to be written.
    pub left_out: u64,
}

/// The times of what one direction of a route delivered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkTimes {
    /// The delays that rules gave.
    pub delay: Distribution,
    /// How long after they were due packets were sent.
    pub lateness: Distribution,
}
