//! Reading the sockets of a relay: how much in a turn, and when again.

use super::coalescing::NextRead;
use super::{UdpPart, UdpRelay};
use crate::turn::Turn;
use jostle_common::time::Instant;
use jostle_sys::SLOTS;
use mio::Token;
use mio::net::UdpSocket;
use std::io;

/// The datagrams or runs of them that are read from a socket before the others have their turn.
const SLOTS_PER_TURN: usize = 4 * SLOTS;

/// The fewest that are asked for with one read: to ask for more costs a little each.
pub(super) const SLOTS_LEAST: usize = 4;

/// As many bytes are read and sent at a time as stay in a processor's own cache.
const BYTES_AT_A_TIME: usize = 256 << 10;

/// A socket of the relay, while it is looked at.
struct SocketOf<'a> {
    socket: &'a mut UdpSocket,
    token: Token,
    /// Set while the relay waits to read it again.
    again: &'a mut bool,
}

impl UdpRelay {
    /// Returns a socket, unless it was closed.
    fn socket(&mut self, part: UdpPart) -> Option<SocketOf<'_>> {
        let (socket, token, again) = match part {
            UdpPart::Listener(index) => {
                let one = self.listeners.get_mut(index)?;
                (&mut one.socket, one.token, &mut one.again)
            }
            UdpPart::Flow(index) => {
                let flow = self.flows.get_mut(index)?;
                (&mut flow.socket.0, flow.socket.1, &mut flow.again)
            }
            UdpPart::Old(index) => {
                let old = self.old.get_mut(index)?;
                (&mut old.socket, old.token, &mut old.again)
            }
            UdpPart::Stray => {
                let stray = self.stray.as_mut()?;
                (&mut stray.socket, stray.token, &mut stray.again)
            }
        };
        Some(SocketOf { socket, token, again })
    }

    /// Returns true if nothing that comes to a socket is taken in any more.
    fn is_over_at(&self, part: UdpPart) -> bool {
        let flow = match part {
            UdpPart::Flow(index) => self.flows.get(index),
            UdpPart::Old(index) => match self.old.flow(index).map(|flow| self.flows.get(flow)) {
                Some(Some(flow)) => Some(flow),
                // It outlived its flow.
                Some(None) => return true,
                None => None,
            },
            UdpPart::Listener(_) | UdpPart::Stray => None,
        };
        flow.is_some_and(|flow| self.listeners.is_retired(flow.client.listener))
    }

    /// Asks to be called for a socket in its turn.
    pub(super) fn ask_again(&mut self, part: UdpPart, turn: &mut Turn) {
        if let Some(SocketOf { token, again, .. }) = self.socket(part)
            && !std::mem::replace(again, true)
        {
            turn.reactor.again(token);
        }
    }

    /// Reads a socket that has something, up to a fair share.
    pub(super) fn read(&mut self, part: UdpPart, turn: &mut Turn) {
        let mut left = SLOTS_PER_TURN;
        while left > 0 {
            let is_over = self.is_over_at(part);
            let asked = self.slots.min(left);
            let Some(SocketOf { socket, again, .. }) = self.socket(part) else { return };
            *again = false;
            if is_over {
                return;
            }
            match turn.datagrams.inbox.receive(socket, asked) {
                Ok(count) => {
                    let (mut bytes, mut datagrams) = (0, 0);
                    for received in turn.datagrams.inbox.received() {
                        bytes += received.bytes.len();
                        datagrams += received.datagrams().len();
                    }
                    self.slots = slots_next(asked, count, bytes);
                    self.coalescing.read(part, datagrams);
                    left -= count;
                    let goes_on = self.take(part, turn);
                    self.let_go(turn);
                    if !goes_on {
                        return;
                    }
                    if count < asked {
                        return self.ran_dry(part, turn);
                    }
                }
                Err(error) => {
                    left = left.saturating_sub(SLOTS);
                    match error.kind() {
                        io::ErrorKind::WouldBlock => return self.ran_dry(part, turn),
                        io::ErrorKind::Interrupted => {}
                        io::ErrorKind::ConnectionRefused => self.note_refusals(1, turn),
                        _ => {
                            log::debug!("route {}: receiving: {error}", self.route.name);
                            self.counts.receive_failed += 1;
                        }
                    }
                }
            }
        }
        self.ask_again(part, turn);
    }

    /// Decides when to read a socket again that has no more.
    fn ran_dry(&mut self, part: UdpPart, turn: &mut Turn) {
        if !matches!(part, UdpPart::Listener(_) | UdpPart::Flow(_)) {
            return;
        }
        match self.coalescing.next_read(part, turn.reactor.now()) {
            NextRead::Reported => {}
            NextRead::At(at) => self.ask_again_at(at, part, turn),
            NextRead::FirstAt(at) => {
                let Some(SocketOf { socket, .. }) = self.socket(part) else { return };
                match turn.reactor.mute(socket) {
                    Ok(()) => self.ask_again_at(at, part, turn),
                    Err(_) => self.coalescing.forget(part),
                }
            }
            NextRead::ReportedAgain => self.unmute(part, turn),
        }
    }

    fn ask_again_at(&mut self, at: Instant, part: UdpPart, turn: &mut Turn) {
        if let Some(SocketOf { token, again, .. }) = self.socket(part)
            && !std::mem::replace(again, true)
        {
            turn.reactor.again_at(at, token);
        }
    }

    /// Lets a socket report again that was read at intervals.
    fn unmute(&mut self, part: UdpPart, turn: &mut Turn) {
        let Some(SocketOf { socket, token, .. }) = self.socket(part) else { return };
        if let Err(error) = turn.reactor.unmute(socket, token) {
            log::debug!("route {}: hearing of a socket again: {error}", self.route.name);
            let at = self.coalescing.keep(part, turn.reactor.now());
            self.ask_again_at(at, part, turn);
        }
    }

    /// Reads no socket at intervals any more.
    pub(super) fn end_coalescing(&mut self, turn: &mut Turn) {
        for part in self.coalescing.end() {
            self.unmute(part, turn);
            if let Some(SocketOf { token, .. }) = self.socket(part) {
                turn.reactor.hasten(token);
            }
        }
    }
}

/// Returns how many datagrams or runs to ask for with the next read, behind one that asked for so
/// many and got `count` of together so many bytes.
fn slots_next(asked: usize, count: usize, bytes: usize) -> usize {
    let most = BYTES_AT_A_TIME / (bytes / count.max(1)).max(1);
    let wanted = if count < asked { 2 * count } else { SLOTS };
    wanted.min(most).clamp(SLOTS_LEAST, SLOTS)
}
