//! What the client of a connection has asked for, and how it is answered.

use jostle_forward::{Failure, Target, http, socks};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// The request of a connection.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// What its client asked for.
    pub(super) target: Target,
    /// The addresses of it that may be reached.
    pub(super) addresses: VecDeque<SocketAddr>,
    pub(super) answer: Answer,
    /// The reason why the target was not reached, as the client is to be told.
    pub(super) failure: Option<Failure>,
}

/// The way in which a client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Socks,
    Tunnel,
    /// What the server says is the answer; only a failure is told here.
    Fetch,
    /// It was answered.
    Given,
}

impl Answer {
    /// Returns the answer that the target is there, at an address of ours.
    pub(super) fn success(self, bound: SocketAddr) -> Vec<u8> {
        match self {
            Self::Socks => socks::succeeded(bound),
            Self::Tunnel => http::ESTABLISHED.to_vec(),
            Self::Fetch | Self::Given => Vec::new(),
        }
    }

    /// Returns the answer that it was not reached.
    pub(super) fn failure(self, failure: Failure) -> Vec<u8> {
        match self {
            Self::Socks => socks::failed(failure),
            Self::Tunnel | Self::Fetch => http::failed(failure),
            Self::Given => Vec::new(),
        }
    }
}

impl Request {
    /// Takes the way in which its client is to be answered; there is none but once.
    pub(super) fn take_answer(&mut self) -> Answer {
        std::mem::replace(&mut self.answer, Answer::Given)
    }

    /// Returns true while its client waits for an answer.
    pub(super) fn is_owed(&self) -> bool {
        self.answer != Answer::Given
    }

    /// Notes why its target was not reached.
    pub(super) const fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// Returns the address that is tried first.
    pub(super) fn first_address(&self) -> Option<SocketAddr> {
        self.addresses.front().copied()
    }

    /// Takes the addresses to try, in order.
    pub(super) fn take_addresses(&mut self) -> VecDeque<SocketAddr> {
        std::mem::take(&mut self.addresses)
    }
}

/// Returns what a client is told that a connect failed with.
pub(super) fn failure_of(kind: io::ErrorKind) -> Failure {
    match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
            Failure::ConnectionRefused
        }
        io::ErrorKind::TimedOut => Failure::TimedOut,
        io::ErrorKind::NetworkUnreachable => Failure::NetworkUnreachable,
        io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
            Failure::HostUnreachable
        }
        _ => Failure::General,
    }
}
