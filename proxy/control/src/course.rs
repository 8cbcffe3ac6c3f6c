//! How a connection stands: for whom it waits, and since when.

use crate::settings::Patience;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// The silence after which a connection may be closed for another that waits: between requests, and
/// within one. Shorter, and who has just connected could not have asked yet.
const IDLE_LEAST: Duration = Duration::from_millis(100);
const SILENCE_LEAST: Duration = Duration::from_secs(1);

/// The course of one connection, shared by its socket, its requests and those who wait for a place.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    clock: Clock,
    state: Arc<Mutex<State>>,
    leave: Arc<Notify>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the client takes nothing more of what it asked for.
    stalled: Option<Instant>,
    /// Since when it sends nothing more, and may be gone.
    ended: Option<Instant>,
    /// Set while a request's body was not read to its end.
    unread: bool,
    leaving: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// Within a request's head.
    Head,
    /// Within a request's body.
    Body,
    /// All is there, and the answer is made or sent.
    Ours,
}

impl Course {
    /// Begins with a connection.
    pub(crate) fn new(clock: Clock) -> Self {
        let state = State {
            phase: Phase::Idle,
            since: clock.now(),
            stalled: None,
            ended: None,
            unread: false,
            leaving: false,
        };
        Self { clock, state: Arc::new(Mutex::new(state)), leave: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // None of the changes can be left half done.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn enter(&self, phase: Phase, unread: bool) {
        let now = self.clock.now();
        let mut state = self.state();
        (state.phase, state.since, state.unread) = (phase, now, unread);
    }

    /// Notes that bytes came.
    pub(crate) fn has_read(&self) {
        let State { phase, unread, .. } = *self.state();
        if phase == Phase::Idle {
            self.enter(Phase::Head, unread);
        }
    }

    /// Notes whether the client takes what is written.
    pub(crate) fn has_written(&self, takes: bool) {
        let now = self.clock.now();
        let mut state = self.state();
        state.stalled = if takes { None } else { state.stalled.or(Some(now)) };
    }

    /// Notes whether the client has ended its side.
    pub(crate) fn sees_end(&self, ended: bool) {
        let now = self.clock.now();
        let mut state = self.state();
        state.ended = if ended { state.ended.or(Some(now)) } else { None };
    }

    /// Notes that a request's head is there.
    pub(crate) fn begins(&self) {
        self.enter(Phase::Body, true);
    }

    /// Notes that the whole request is there.
    pub(crate) fn has_all(&self) {
        self.enter(Phase::Ours, false);
    }

    /// Notes that the answer is made.
    pub(crate) fn ends(&self) {
        let unread = self.has_unread();
        self.enter(Phase::Idle, unread);
    }

    /// Returns true if a part of the last request was not read: its sender may still be sending.
    pub(crate) fn has_unread(&self) -> bool {
        self.state().unread
    }

    /// Returns true if the client let us wait for too long.
    pub(crate) fn is_overdue(&self, patience: &Patience) -> bool {
        self.state().is_overdue(self.clock.now(), patience)
    }

    /// Returns since when the client is silent, if it could leave its place to another.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        self.state().silent_since(self.clock.now())
    }

    /// Returns true between two requests.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().phase == Phase::Idle
    }

    /// Returns true if it was asked to end.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state().leaving
    }

    /// Asks the connection to end.
    pub(crate) fn ask_to_leave(&self) {
        self.state().leaving = true;
        self.leave.notify_one();
    }

    /// Waits until it is asked to end.
    pub(crate) async fn is_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl State {
    fn is_overdue(&self, now: Instant, patience: &Patience) -> bool {
        let limit = match self.phase {
            Phase::Idle => Some(patience.idle),
            Phase::Head => Some(patience.head),
            // Whoever reads the body waits no longer than it should, and says so.
            Phase::Body | Phase::Ours => None,
        };
        let is_late = limit.is_some_and(|limit| now.since(self.since) >= limit);
        let waits_for_reader = self.deaf().is_some_and(|since| now.since(since) >= patience.write);
        is_late || waits_for_reader
    }

    /// Returns since when nobody seems to read what is sent.
    fn deaf(&self) -> Option<Instant> {
        [self.stalled, self.ended].into_iter().flatten().min()
    }

    fn silent_since(&self, now: Instant) -> Option<Instant> {
        let (since, least) = match self.phase {
            Phase::Ours => (self.deaf()?, SILENCE_LEAST),
            Phase::Head | Phase::Body => (self.since, SILENCE_LEAST),
            Phase::Idle => (self.since, IDLE_LEAST),
        };
        (!self.leaving && now.since(since) >= least).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(1),
        body: Duration::from_secs(2),
        idle: Duration::from_secs(4),
        write: Duration::from_secs(8),
    };

    fn at(seconds: f64) -> Instant {
        Instant::START + Duration::from_secs_f64(seconds)
    }

    fn state(phase: Phase, stalled: Option<Instant>) -> State {
        State { phase, since: at(0.0), stalled, ended: None, unread: false, leaving: false }
    }

    #[test]
    fn each_wait_for_a_client_has_its_end() {
        for (phase, stalled, ends) in [
            (Phase::Idle, None, Some(4.0)),
            (Phase::Head, None, Some(1.0)),
            (Phase::Body, None, None),
            (Phase::Ours, None, None),
            (Phase::Ours, Some(at(1.0)), Some(9.0)),
        ] {
            let state = state(phase, stalled);
            match ends {
                Some(ends) => {
                    assert!(!state.is_overdue(at(ends - 0.001), &PATIENCE), "{state:?}");
                    assert!(state.is_overdue(at(ends), &PATIENCE), "{state:?}");
                }
                None => assert!(!state.is_overdue(at(1000.0), &PATIENCE), "{state:?}"),
            }
        }
    }

    #[test]
    fn who_has_ended_its_side_is_answered_and_not_for_ever() {
        let state = State { ended: Some(at(1.0)), ..state(Phase::Ours, None) };
        assert!(!state.is_overdue(at(8.9), &PATIENCE) && state.is_overdue(at(9.0), &PATIENCE));
        assert_eq!(state.silent_since(at(2.0)), Some(at(1.0)));
    }

    #[test]
    fn only_who_is_silent_leaves_its_place() {
        for (phase, stalled, since) in [
            (Phase::Idle, None, Some(0.0)),
            (Phase::Head, None, Some(0.0)),
            (Phase::Body, None, Some(0.0)),
            (Phase::Ours, None, None),
            (Phase::Ours, Some(at(1.0)), Some(1.0)),
        ] {
            let state = state(phase, stalled);
            assert_eq!(state.silent_since(at(2.0)), since.map(at), "{state:?}");
            assert_eq!(State { leaving: true, ..state }.silent_since(at(2.0)), None);
        }
        for (phase, least) in [(Phase::Idle, 0.1), (Phase::Head, 1.0), (Phase::Body, 1.0)] {
            assert_eq!(state(phase, None).silent_since(at(least - 0.01)), None);
            assert_eq!(state(phase, None).silent_since(at(least)), Some(at(0.0)));
        }
    }
}
