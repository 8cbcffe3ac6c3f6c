//! The event loop's one blocking call, which waits for sockets to be ready.
//!
//! Sockets are registered edge-triggered: an event is told once, so its receiver must work until
//! `WouldBlock`, or stop early to be fair to the others and ask to be called
//! [again](Reactor::again).

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
}

#[derive(Clone, Copy, Debug)]
enum TokenEntry {
    /// The waker or the timer: being woken is all they are for.
    Internal,
    Socket(Owner),
    /// Given up in this turn; events about it may still be in hand, so the number is not given out
    /// again before the next wait.
    Retired,
}

/// The sockets of the loop and the wait for them.
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    entries: Slab<TokenEntry>,
    retired: Vec<usize>,
    again: VecDeque<Token>,
    clock: Clock,
    timer: Option<Timer>,
    /// The time that the timer is set to.
    armed: Option<Instant>,
    waker: Arc<Waker>,
    /// The time to look for events without sleeping, after one and before a deadline.
    spin: Duration,
    last_event: Instant,
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
            clock,
            timer,
            armed: None,
            waker,
            spin,
            last_event: Instant::START,
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
        entry.insert(TokenEntry::Socket(owner));
        Ok(token)
    }

    /// Gives up a socket, which the caller closes.
    pub(crate) fn remove(&mut self, socket: &mut impl Source, token: Token) {
        if let Err(error) = self.poll.registry().deregister(socket) {
            log::debug!("deregistering {token:?}: {error}");
        }
        self.entries[token.0] = TokenEntry::Retired;
        self.retired.push(token.0);
    }

    /// Returns the owner of `token`; `None` if it was given up meanwhile.
    pub(crate) fn owner(&self, token: Token) -> Option<Owner> {
        match self.entries.get(token.0) {
            Some(TokenEntry::Socket(owner)) => Some(*owner),
            _ => None,
        }
    }

    /// Asks to be called again, after all others had a turn, without a new event. At most one
    /// request per token at a time: the caller keeps count.
    pub(crate) fn again(&mut self, token: Token) {
        self.again.push_back(token);
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
        loop {
            let now = self.clock.now();
            let due = deadline.is_some_and(|at| at <= now);
            let spinning = now < self.last_event + self.spin
                || deadline.is_some_and(|at| at <= now + self.spin);
            let timeout = if due || spinning || !self.again.is_empty() {
                Some(Duration::ZERO)
            } else {
                self.arm(now, deadline)
            };
            match self.poll.poll(&mut self.events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
                Err(error) => return Err(error),
            }
            let quiet = self.events.is_empty();
            if !quiet || due || !spinning || !self.again.is_empty() {
                let now = self.clock.now();
                if !quiet {
                    self.last_event = now;
                }
                if self.armed.is_some_and(|at| at <= now) {
                    self.armed = None;
                }
                return Ok(now);
            }
        }
    }

    /// Sets the timer so that it leaves time to spin before the deadline, and says how long mio is
    /// to wait itself.
    fn arm(&mut self, now: Instant, deadline: Option<Instant>) -> Option<Duration> {
        let at = deadline?;
        let Some(timer) = &self.timer else { return Some(at.since(now)) };
        let wake = at - self.spin;
        if self.armed != Some(wake) {
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
            };
            (event.token(), readiness)
        })
    }
}
