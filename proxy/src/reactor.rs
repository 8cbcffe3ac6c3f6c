//! The event loop's one blocking call, which waits for sockets to be ready.
//!
//! Sockets are registered edge-triggered: an event is told once, so its receiver must work until
//! `WouldBlock`, or stop early to be fair to the others and ask to be called
//! [again](Reactor::again).

use crate::margin::Margin;
use crate::pace::Pace;
use crate::rest::{REST_LEAST, Rest};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_sys::Timer;
use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The most events taken from the system at a time.
const EVENTS: usize = 1024;

/// Identifies a relay, also after it is gone: an answer that comes late finds no relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelayId {
    /// Its place among the relays, which another one may have later.
    pub(crate) index: usize,
    /// Its number among all relays that ever were.
    pub(crate) serial: u64,
}

/// The relay and the socket that a token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The relay, by its place among the relays.
    pub(crate) relay: usize,
    /// Which of its sockets.
    pub(crate) socket: SocketKey,
}

/// A number that a relay gives one of its sockets, and alone can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketKey(pub(crate) usize);

/// The content of an event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readiness {
    /// There is something to read, or the end of it.
    pub(crate) readable: bool,
    /// There is room to write.
    pub(crate) writable: bool,
    /// The socket has failed.
    pub(crate) failed: bool,
    /// The other side will send no more.
    pub(crate) ended: bool,
    /// There is an urgent byte.
    pub(crate) urgent: bool,
}

/// The time that it takes to wake up, at most as a rule: one that slept knows no better when an event
/// came.
const WAKE: Duration = Duration::from_micros(50);

#[derive(Clone, Copy, Debug)]
enum TokenEntry {
    /// The waker or the timer: being woken is all they are for.
    Internal,
    /// Its owner, in half the room: there may be many.
    Socket { relay: u32, socket: u32 },
    /// Given up in this turn; events about it may still be in hand, so the number is not given out
    /// again before the next wait.
    Retired,
}

impl TokenEntry {
    fn of(Owner { relay, socket: SocketKey(key) }: Owner) -> Self {
        let relay = u32::try_from(relay).expect("a process has fewer relays");
        // The last number stays the last.
        let is_last = key == usize::MAX;
        let key = if is_last { Ok(u32::MAX) } else { u32::try_from(key) };
        Self::Socket { relay, socket: key.expect("a process has fewer sockets") }
    }

    fn owner(self) -> Option<Owner> {
        let Self::Socket { relay, socket } = self else { return None };
        let key = if socket == u32::MAX { usize::MAX } else { socket as usize };
        Some(Owner { relay: relay as usize, socket: SocketKey(key) })
    }
}

/// The sockets of the loop and the wait for them.
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    entries: Slab<TokenEntry>,
    retired: Vec<usize>,
    again: VecDeque<Token>,
    /// Those that ask to be called again from a time on; few, so they are in no order.
    later: Vec<(Instant, Token)>,
    clock: Clock,
    timer: Option<(Timer, Token)>,
    /// The time that the timer is set to.
    armed: Option<Instant>,
    waker: Arc<Waker>,
    /// The time to look for events without sleeping, after one.
    spin: Duration,
    /// And before a deadline.
    margin: Margin,
    last_event: Instant,
    pace: Pace,
    /// Set where spinning must not take all the time.
    rest: Option<Rest>,
}

impl Reactor {
    /// A reactor without sockets. A portable one waits with mio's timeout, which is as fine as a
    /// millisecond.
    pub(crate) fn new(clock: Clock, portable: bool, spin: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut entries = Slab::new();
        let waker =
            Arc::new(Waker::new(poll.registry(), Token(entries.insert(TokenEntry::Internal)))?);
        let timer = if portable {
            None
        } else {
            let token = Token(entries.insert(TokenEntry::Internal));
            Timer::new(poll.registry(), token)
                .map(|timer| (timer, token))
                .inspect_err(|error| {
                    log::debug!("no fine timer, deadlines are met to a millisecond: {error}")
                })
                .ok()
        };
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            entries,
            retired: Vec::new(),
            again: VecDeque::new(),
            later: Vec::new(),
            clock,
            timer,
            armed: None,
            waker,
            spin,
            margin: Margin::new(spin),
            last_event: Instant::START,
            pace: Pace::default(),
            rest: None,
        })
    }

    /// Returns the waker, which wakes the loop from another thread.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Registers a socket for all it can report.
    pub(crate) fn add(
        &mut self,
        socket: &mut impl Source,
        owner: Owner,
        interest: Interest,
    ) -> io::Result<Token> {
        let entry = self.entries.vacant_entry();
        let token = Token(entry.key());
        self.poll.registry().register(socket, token, interest)?;
        entry.insert(TokenEntry::of(owner));
        Ok(token)
    }

    /// Gives up a socket, which the caller closes.
    pub(crate) fn remove(&mut self, socket: &mut impl Source, token: Token) {
        if let Err(error) = self.poll.registry().deregister(socket) {
            log::debug!("deregistering {token:?}: {error}");
        }
        self.retire(token);
    }

    /// Gives up a socket that the caller closes at once, and of which there is no second handle.
    pub(crate) fn remove_closing(&mut self, socket: &mut impl Source, token: Token) {
        // The close deregisters it (epoll(7)); elsewhere it is not to be relied on.
        if cfg!(target_os = "linux") {
            self.retire(token);
        } else {
            self.remove(socket, token);
        }
    }

    /// Reports nothing of a socket that was added, until it is heard [again](Self::unmute): who
    /// reads it at times of its own need not be woken for what comes meanwhile.
    ///
    /// # Errors
    /// When the system refuses, or has no timer for [times](Self::again_at) that are soon.
    pub(crate) fn mute(&mut self, socket: &mut impl Source) -> io::Result<()> {
        if self.timer.is_none() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.poll.registry().deregister(socket)
    }

    /// Reports a socket again; at once, if it has something to be read.
    ///
    /// # Errors
    /// When the system refuses: it stays as it is.
    pub(crate) fn unmute(&mut self, socket: &mut impl Source, token: Token) -> io::Result<()> {
        self.poll.registry().register(socket, token, Interest::READABLE)
    }

    fn retire(&mut self, token: Token) {
        self.later.retain(|(_, later)| *later != token);
        self.entries[token.0] = TokenEntry::Retired;
        self.retired.push(token.0);
    }

    /// Returns the owner of `token`; `None` if it was given up meanwhile.
    pub(crate) fn owner(&self, token: Token) -> Option<Owner> {
        self.entries.get(token.0).and_then(|entry| entry.owner())
    }

    /// Asks to be called again, after all others had a turn, without a new event. At most one
    /// request per token at a time: the caller keeps count.
    pub(crate) fn again(&mut self, token: Token) {
        self.again.push_back(token);
    }

    /// Asks to be called again at a time. It is no time to be met to the microsecond: the loop
    /// sleeps until then if it has nothing else to do, and is as late as it wakes. At most one
    /// request per token at a time, this one or the [other](Self::again).
    pub(crate) fn again_at(&mut self, at: Instant, token: Token) {
        self.later.push((at, token));
    }

    /// Calls one at once that asked to be called later.
    pub(crate) fn hasten(&mut self, token: Token) {
        if let Some(place) = self.later.iter().position(|(_, later)| *later == token) {
            self.later.swap_remove(place);
            self.again.push_back(token);
        }
    }

    /// Calls those whose time has come.
    fn call_later(&mut self, now: Instant) {
        let Self { later, again, .. } = self;
        later.retain(|(at, token)| {
            let is_due = *at <= now;
            if is_due {
                again.push_back(*token);
            }
            !is_due
        });
    }

    /// Returns the next token that asked to be called again.
    pub(crate) fn next_again(&mut self) -> Option<Token> {
        self.again.pop_front()
    }

    /// Returns how many asked to be called again.
    pub(crate) fn agains(&self) -> usize {
        self.again.len()
    }

    /// Waits for an event, until `deadline` at the latest, and tells the time.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Instant> {
        for key in self.retired.drain(..) {
            self.entries.remove(key);
        }
        let mut slept = false;
        loop {
            let now = self.clock.now();
            self.call_later(now);
            let due = deadline.is_some_and(|at| at <= now);
            let must_rest = self.rest.as_mut().is_some_and(|rest| rest.is_due(now));
            let margin = if must_rest { REST_LEAST } else { self.margin.get() };
            let expects = self.pace.is_brisk() && !must_rest && now < self.last_event + self.spin;
            let spinning = expects || deadline.is_some_and(|at| at <= now + margin);
            let sleeps = !due && !spinning && self.again.is_empty();
            let timeout = if sleeps {
                slept = true;
                // One that rests is woken when it is due: there is no time to spin before that.
                self.arm(now, deadline, if must_rest { Duration::ZERO } else { margin })
            } else {
                Some(Duration::ZERO)
            };
            match self.poll.poll(&mut self.events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
                Err(error) => return Err(error),
            }
            if sleeps {
                self.note_sleep(now, self.clock.now());
            }
            let quiet = self.events.is_empty();
            if !quiet || due || !spinning || !self.again.is_empty() {
                let now = self.clock.now();
                if !quiet && !self.is_timer_alone() {
                    let patience = self.spin + if slept { WAKE } else { Duration::ZERO };
                    self.pace.note(now.since(self.last_event) <= patience);
                    self.last_event = now;
                }
                if self.armed.is_some_and(|at| at <= now) {
                    self.armed = None;
                }
                self.call_later(now);
                return Ok(now);
            }
        }
    }

    /// Notes that the loop slept from `begun` until `now`.
    fn note_sleep(&mut self, begun: Instant, now: Instant) {
        if let Some(rest) = &mut self.rest {
            rest.slept(now.since(begun));
        }
        // Only a timer that went off meanwhile tells how long it takes to wake.
        if let Some(at) = self.armed.filter(|at| *at > begun)
            && self.is_timer_alone()
        {
            self.margin.note(now.since(at));
        }
    }

    /// Lets no more than eight ninths of the time pass awake by spinning, as one must that runs before
    /// ordinary programs.
    pub(crate) fn take_rests(&mut self) {
        self.rest = Some(Rest::since(self.clock.now()));
    }

    /// Returns true if the timer is all that the last wait reported.
    fn is_timer_alone(&self) -> bool {
        let mut events = self.events.iter();
        let first = events.next().map(|event| event.token());
        first.is_some()
            && first == self.timer.as_ref().map(|(_, token)| *token)
            && events.next().is_none()
    }

    /// Sets the timer so that it leaves time to spin before the deadline, and to the first time at
    /// which one is to be called again. Says how long mio is to wait itself. A timer that goes off
    /// before that stays as it is: to be woken once in vain costs no more than to set it anew each
    /// time that what was due first is done with.
    fn arm(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        margin: Duration,
    ) -> Option<Duration> {
        let later = self.later.iter().map(|(at, _)| *at).min();
        let at = deadline.into_iter().chain(later).min()?;
        let Some((timer, _)) = &self.timer else { return Some(at.since(now)) };
        let wake = deadline.map(|at| at - margin).into_iter().chain(later).min()?;
        if self.armed.is_none_or(|armed| armed > wake) {
            if let Err(error) = timer.arm(wake.since(now)) {
                log::warn!("the timer failed, deadlines are met to a millisecond: {error}");
                self.timer = None;
                return Some(at.since(now));
            }
            self.armed = Some(wake);
        }
        None
    }

    /// Returns the sockets that the last wait reported, and the content of each event.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (Token, Readiness)> {
        self.events.iter().map(|event| {
            let readiness = Readiness {
                readable: event.is_readable() || event.is_read_closed(),
                writable: event.is_writable() || event.is_write_closed(),
                failed: event.is_error(),
                ended: event.is_read_closed(),
                urgent: event.is_priority(),
            };
            (event.token(), readiness)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owned_is_found_by_its_token_until_it_is_given_up() {
        for owner in [
            Owner { relay: 0, socket: SocketKey(0) },
            Owner { relay: 70_000, socket: SocketKey(4_000_000) },
            Owner { relay: 1, socket: SocketKey(usize::MAX) },
        ] {
            assert_eq!(TokenEntry::of(owner).owner(), Some(owner));
        }
        assert_eq!(TokenEntry::Internal.owner(), None);
        assert_eq!(TokenEntry::Retired.owner(), None);
        assert!(size_of::<TokenEntry>() <= 12, "there may be many");
    }
}
