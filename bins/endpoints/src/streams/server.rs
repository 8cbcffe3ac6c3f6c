//! A server of many conversations on one event loop.
//!
//! When all places are taken, the next client is accepted and waits. It gets the first place that
//! is free; and if one of those that have a place has been silent for long, the longest silent
//! yields.

use super::accept::Acceptor;
use super::conversation::{Conversation, Step};
use super::{PIECE_BYTES_MAX, TURN};
use crate::accept_errors::check_descriptors;
use crate::hints::Hints;
use crate::protocol::stream::StreamEndpoint;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::{STOP, Stop};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

const LISTENER: Token = Token(0);
/// The silence after which a connection yields that has never brought a byte.
const YIELD_UNHEARD: Duration = Duration::from_secs(5);
/// The silence after which any other yields: people think before they type the next line.
const YIELD_HEARD: Duration = Duration::from_secs(30);

/// A conversation of a server, as its watcher sees it.
#[derive(Debug)]
pub struct Visit<'a, E> {
    /// Its number: 1, 2, 3 … in the order in which they were accepted.
    pub ordinal: u64,
    /// The address of the other end.
    pub peer: SocketAddr,
    /// The endpoint.
    pub endpoint: &'a mut E,
    /// True if this is the last that is seen of it: it is over, or the server stops.
    pub is_over: bool,
}

/// The settings of a [`StreamServer`].
#[derive(Clone, Copy, Debug)]
pub struct StreamServerSettings {
    /// The most connections that may be open at once; further ones wait in the system's backlog.
    pub clients_max: usize,
    /// The time that a peer may leave answers unread; for ever when `None`.
    pub patience: Option<Duration>,
    /// True if a connection that has long been silent yields its place to one that waits.
    pub yields: bool,
}

/// The counts of a server over its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamServerReport {
    /// Connections that had long been silent and gave their place to another.
    pub yielded: u64,
}

/// A listener, and the loop that serves what it accepts.
#[derive(Debug)]
pub struct StreamServer {
    settings: StreamServerSettings,
    acceptor: Acceptor,
    poll: Poll,
}

impl StreamServer {
    /// Listens on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub fn bind(listen: SocketAddr, settings: StreamServerSettings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let acceptor = Acceptor::bind(listen, &poll, LISTENER)?;
        check_descriptors()?;
        Ok(Self { settings, acceptor, poll })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Serves each connection with an endpoint made by `open`, until `stop` is requested. `watch`
    /// sees an endpoint after each step in which something moved, and once more at its end. When it
    /// breaks off, no more connections are accepted, and the loop ends with those that are open.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run<E: StreamEndpoint>(
        self,
        stop: &Stop,
        open: impl FnMut(Instant) -> E,
        watch: impl FnMut(Visit<'_, E>) -> ControlFlow<()>,
    ) -> io::Result<StreamServerReport> {
        let _attached = stop.attach(&self.poll)?;
        let Self { settings, acceptor, poll } = self;
        let (conversations, buffer) = (BTreeMap::new(), vec![0; PIECE_BYTES_MAX]);
        let clock = Clock::start();
        let (waiting, report, is_closing) = (None, StreamServerReport::default(), false);
        let hints = Hints::default();
        let mut serving = ServerLoop {
            settings,
            acceptor,
            conversations,
            waiting,
            buffer,
            clock,
            report,
            seated: 0,
            is_closing,
            hints,
            open,
            watch,
        };
        serving.run(poll, stop)?;
        Ok(serving.report)
    }
}

/// A server that runs.
struct ServerLoop<E, O, W> {
    settings: StreamServerSettings,
    acceptor: Acceptor,
    conversations: BTreeMap<Token, (SocketAddr, Conversation, E)>,
    /// The connection that waits for a place.
    waiting: Option<(TcpStream, SocketAddr)>,
    buffer: Vec<u8>,
    clock: Clock,
    report: StreamServerReport,
    /// The number of connections that have got a place.
    seated: usize,
    /// True if it ends with what is open.
    is_closing: bool,
    hints: Hints,
    open: O,
    watch: W,
}

impl<E, O, W> ServerLoop<E, O, W>
where
    E: StreamEndpoint,
    O: FnMut(Instant) -> E,
    W: FnMut(Visit<'_, E>) -> ControlFlow<()>,
{
    fn run(&mut self, mut poll: Poll, stop: &Stop) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            self.accept(&poll);
            if stop.is_requested() {
                self.close();
                return Ok(());
            }
            self.turn();
            if self.is_closing && self.conversations.is_empty() {
                return Ok(());
            }
            let wait = self.deadline().map(|deadline| deadline.since(self.clock.now()));
            match poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => events.iter().for_each(|event| self.note(event.token())),
            }
        }
    }

    fn note(&mut self, token: Token) {
        match token {
            LISTENER => self.acceptor.note(self.clock.now()),
            STOP => {}
            token => {
                if let Some((_, conversation, _)) = self.conversations.get_mut(&token) {
                    conversation.ready();
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        // A full server must not wake for connections that it cannot take.
        let accept = self.acceptor.deadline().filter(|_| self.accepts());
        let waits = self.waiting.is_some() && !self.is_closing;
        let seat = match waits {
            true if self.has_room() => Some(Instant::START),
            true => self.yielding().map(|(at, _)| at),
            false => None,
        };
        let open = self.conversations.values();
        open.filter_map(|(_, conversation, endpoint)| conversation.deadline(endpoint))
            .chain(accept)
            .chain(seat)
            .min()
    }

    fn has_room(&self) -> bool {
        self.conversations.len() < self.settings.clients_max
    }

    /// Returns true if a connection would be taken, if only to wait for a place.
    fn accepts(&self) -> bool {
        !self.is_closing && (self.has_room() || self.settings.yields && self.waiting.is_none())
    }

    /// Returns the conversation that is the first to yield its place, and the time at which it
    /// may be made to.
    fn yielding(&self) -> Option<(Instant, Token)> {
        let yields_at = |conversation: &Conversation| {
            let silence = if conversation.has_heard() { YIELD_HEARD } else { YIELD_UNHEARD };
            conversation.moved() + silence
        };
        let open = self.conversations.iter();
        open.filter(|(_, (_, _, endpoint))| endpoint.may_yield())
            .map(|(token, (_, conversation, _))| (yields_at(conversation), *token))
            .min()
    }

    fn accept(&mut self, poll: &Poll) {
        self.make_room();
        while self.accepts() {
            let now = self.clock.now();
            if self.waiting.is_none() {
                self.waiting = self.acceptor.accept(now);
            }
            if self.waiting.is_none() || !self.has_room() {
                return;
            }
            self.seat(poll, now);
        }
    }

    /// Gives a place to the connection that waits.
    fn seat(&mut self, poll: &Poll, now: Instant) {
        let Some((mut stream, peer)) = self.waiting.take() else { return };
        self.seated += 1;
        // Connections count from 1; 0 is the listener.
        let token = Token(self.seated);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = poll.registry().register(&mut stream, token, interest) {
            log::warn!("cannot serve {peer}: {error}");
            return;
        }
        let conversation = Conversation::new(now, stream, self.settings.patience);
        self.conversations.insert(token, (peer, conversation, (self.open)(now)));
    }

    /// Ends a conversation that has long been silent, if a connection waits for its place.
    fn make_room(&mut self) {
        if self.waiting.is_none() || self.has_room() {
            return;
        }
        let now = self.clock.now();
        let Some((_, token)) = self.yielding().filter(|(at, _)| *at <= now) else { return };
        let Some((peer, conversation, mut endpoint)) = self.conversations.remove(&token) else {
            return;
        };
        log::info!("{peer} was silent, and gives its place to another");
        self.report.yielded += 1;
        conversation.yield_place(now, &mut endpoint);
        let (ordinal, endpoint) = (token.0 as u64, &mut endpoint);
        let visit = Visit { ordinal, peer, endpoint, is_over: true };
        self.is_closing |= (self.watch)(visit).is_break();
    }

    /// Gives each conversation its turn.
    fn turn(&mut self) {
        let Self { conversations, buffer, clock, is_closing, hints, watch, .. } = self;
        conversations.retain(|token, (peer, conversation, endpoint)| {
            for _ in 0..TURN {
                let step = conversation.step(*clock, endpoint, buffer);
                if let Some(hint) = endpoint.take_hint() {
                    hints.tell(clock.now(), *peer, &hint);
                }
                if step == Step::Waits {
                    return true;
                }
                let is_over = step == Step::Over;
                let ordinal = token.0 as u64;
                let visit = Visit { ordinal, peer: *peer, endpoint, is_over };
                *is_closing |= watch(visit).is_break();
                if is_over {
                    return false;
                }
            }
            true
        });
    }

    /// Ends what is open.
    fn close(&mut self) {
        for (token, (peer, _conversation, mut endpoint)) in std::mem::take(&mut self.conversations)
        {
            let ordinal = token.0 as u64;
            let endpoint = &mut endpoint;
            endpoint.handle_stop(self.clock.now());
            let _ = (self.watch)(Visit { ordinal, peer, endpoint, is_over: true });
        }
    }
}
