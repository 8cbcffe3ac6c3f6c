//! SOCKS5: the greeting and request of a client (RFC 1928), user and password (RFC 1929), the
//! answers, the header of relayed datagrams ([`datagram`]), and who may send them
//! ([`Associations`]).

mod associations;
pub mod datagram;

pub use associations::{Admission, AssociationId, AssociationLimits, Associations, Sender};

use crate::credentials::Credentials;
use crate::target::{Host, Target};
use crate::{Asked, Failure, Malformed, Progress};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const VERSION: u8 = 5;

/// The version of the exchange of user and password.
const LOGIN_VERSION: u8 = 1;

/// No user and password are wanted.
const METHOD_NONE: u8 = 0;
/// They are.
const METHOD_LOGIN: u8 = 2;
/// The client offers nothing that is taken here.
const METHOD_NO_OTHER: u8 = 0xff;

const CONNECT: u8 = 1;
const BIND: u8 = 2;
const ASSOCIATE: u8 = 3;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

const SUCCEEDED: u8 = 0;
const FAILED: u8 = 1;
const COMMAND_UNKNOWN: u8 = 7;
const ADDRESS_UNKNOWN: u8 = 8;

/// What a browser reads that was told of an HTTP proxy here.
const IS_NO_HTTP: &[u8] = b"HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain\r\n\
    Connection: close\r\n\r\nThis is a SOCKS5 proxy; write socks5:// in the client's settings.\n";

/// The negotiation with a client, up to its request.
#[derive(Debug)]
pub struct Negotiation {
    credentials: Option<Credentials>,
    step: Step,
    /// The bytes that are no whole message yet: at most 513, what a login may have.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    Login,
    Request,
    Done,
}

/// What a step makes of the bytes that are there.
enum Outcome {
    /// It needs more.
    Short,
    /// So many bytes were the message, and this comes next.
    Next(usize, Step),
    Asked(usize, Asked),
    Refused(Malformed),
}

impl Negotiation {
    /// Stands before the greeting. With credentials the client must name them.
    pub const fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, step: Step::Greeting, held: Vec::new() }
    }

    /// Takes bytes of the client, and adds to `answer` what is to be written to it. Once something
    /// was asked for, what stands behind the request is left in [`rest`](Self::rest).
    pub fn handle(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Progress {
        self.held.extend_from_slice(bytes);
        loop {
            let step = match self.step {
                Step::Greeting => self.greeting(answer),
                Step::Login => self.login(answer),
                Step::Request => request(&self.held, answer),
                Step::Done => return Progress::More,
            };
            match step {
                Outcome::Short => return Progress::More,
                Outcome::Next(taken, next) => {
                    self.held.drain(..taken);
                    self.step = next;
                }
                Outcome::Asked(taken, asked) => {
                    self.held.drain(..taken);
                    self.step = Step::Done;
                    return Progress::Asked(asked);
                }
                Outcome::Refused(why) => {
                    self.held.clear();
                    self.step = Step::Done;
                    return Progress::Refused(why);
                }
            }
        }
    }

    /// Returns the bytes behind the request: the first of the stream.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn greeting(&self, answer: &mut Vec<u8>) -> Outcome {
        let (version, methods, taken) = match *self.held.as_slice() {
            [] => return Outcome::Short,
            [version, ..] if version != VERSION => {
                if version.is_ascii_uppercase() {
                    answer.extend_from_slice(IS_NO_HTTP);
                }
                return Outcome::Refused(Malformed::Bytes);
            }
            [_] => return Outcome::Short,
            [version, count, ref rest @ ..] => {
                let count = usize::from(count);
                let Some(methods) = rest.get(..count) else { return Outcome::Short };
                (version, methods, 2 + count)
            }
        };
        let wanted = if self.credentials.is_some() { METHOD_LOGIN } else { METHOD_NONE };
        if !methods.contains(&wanted) {
            answer.extend([version, METHOD_NO_OTHER]);
            return Outcome::Refused(Malformed::Credentials);
        }
        answer.extend([version, wanted]);
        let next = if wanted == METHOD_LOGIN { Step::Login } else { Step::Request };
        Outcome::Next(taken, next)
    }

    fn login(&self, answer: &mut Vec<u8>) -> Outcome {
        let [version, rest @ ..] = self.held.as_slice() else { return Outcome::Short };
        if *version != LOGIN_VERSION {
            return Outcome::Refused(Malformed::Bytes);
        }
        let Some((user, rest)) = counted(rest) else { return Outcome::Short };
        let Some((password, _)) = counted(rest) else { return Outcome::Short };
        let right = self.credentials.as_ref().is_some_and(|known| known.are(user, password));
        answer.extend([LOGIN_VERSION, if right { SUCCEEDED } else { FAILED }]);
        match right {
            true => Outcome::Next(3 + user.len() + password.len(), Step::Request),
            false => Outcome::Refused(Malformed::Credentials),
        }
    }
}

/// Takes a part whose length stands in front of it in one byte.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn request(bytes: &[u8], answer: &mut Vec<u8>) -> Outcome {
    let mut refuse = |reply, why| {
        answer.extend(reply_of(reply, None));
        Outcome::Refused(why)
    };
    let (command, rest) = match *bytes {
        [] => return Outcome::Short,
        [version, ..] if version != VERSION => return refuse(FAILED, Malformed::Bytes),
        [_, command, 0, ref rest @ ..] => (command, rest),
        [_, _, _, ..] => return refuse(FAILED, Malformed::Bytes),
        _ => return Outcome::Short,
    };
    if !matches!(command, CONNECT | BIND | ASSOCIATE) {
        return refuse(COMMAND_UNKNOWN, Malformed::Bytes);
    }
    let (host, port, taken) = match address(rest) {
        Ok(Some(said)) => said,
        Ok(None) => return Outcome::Short,
        Err(AddressError::Kind) => return refuse(ADDRESS_UNKNOWN, Malformed::Bytes),
        Err(AddressError::Name) => return refuse(FAILED, Malformed::Bytes),
    };
    let taken = 3 + taken;
    match command {
        // Here the address is where the client will send from, as far as it knows.
        ASSOCIATE => Outcome::Asked(taken, Asked::Associate(Sender { host, port })),
        BIND => refuse(COMMAND_UNKNOWN, Malformed::Unsupported),
        _ if port == 0 => refuse(FAILED, Malformed::Bytes),
        _ => Outcome::Asked(taken, Asked::Connect(Target { host, port })),
    }
}

/// The reason why an address cannot be read.
enum AddressError {
    /// Its kind is unknown.
    Kind,
    /// It is a name that is none.
    Name,
}

/// Reads a kind, an address and a port: the host, the port, and how many bytes they took; `None`
/// if there are not enough.
fn address(bytes: &[u8]) -> Result<Option<(Host, u16, usize)>, AddressError> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    let (host, rest) = match *kind {
        IPV4 => match rest.split_first_chunk::<4>() {
            Some((octets, rest)) => (Host::Address(Ipv4Addr::from(*octets).into()), rest),
            None => return Ok(None),
        },
        IPV6 => match rest.split_first_chunk::<16>() {
            Some((octets, rest)) => (Host::Address(Ipv6Addr::from(*octets).to_canonical()), rest),
            None => return Ok(None),
        },
        NAME => match counted(rest) {
            Some((name, rest)) => {
                let name = std::str::from_utf8(name).map_err(|_| AddressError::Name)?;
                (Host::read(name).map_err(|_| AddressError::Name)?, rest)
            }
            None => return Ok(None),
        },
        _ => return Err(AddressError::Kind),
    };
    let Some((port, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    Ok(Some((host, u16::from_be_bytes(*port), bytes.len() - rest.len())))
}

/// Returns the answer to a request that was carried out; `bound` is the address that leads to the
/// target, or that datagrams are sent to.
pub fn succeeded(bound: SocketAddr) -> Vec<u8> {
    reply_of(SUCCEEDED, Some(bound))
}

/// Returns the answer to a request that was not.
pub fn failed(failure: Failure) -> Vec<u8> {
    let reply = match failure {
        Failure::General => FAILED,
        Failure::NotAllowed => 2,
        Failure::NetworkUnreachable => 3,
        Failure::HostUnreachable => 4,
        Failure::ConnectionRefused => 5,
        // The time to live has expired: the one that speaks of time.
        Failure::TimedOut => 6,
    };
    reply_of(reply, None)
}

fn reply_of(reply: u8, bound: Option<SocketAddr>) -> Vec<u8> {
    let mut answer = vec![VERSION, reply, 0];
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    write_address(&mut answer, bound.unwrap_or(nowhere));
    answer
}

fn write_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            out.push(IPV4);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(IPV6);
            out.extend(ip.octets());
        }
    }
    out.extend(address.port().to_be_bytes());
}

#[cfg(test)]
mod tests;
