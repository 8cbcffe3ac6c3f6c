//! The fate of a packet: one type for counters, the event log and every other sink.

use crate::event_log;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::link::{Drawn, Link};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::stage::{Output, Reason};
use std::io;

/// The fate of a packet, from socket to socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It left for its receiver.
    Delivered,
    /// It ended here.
    Discarded(Loss),
}

/// The place and reason of a discard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A rule of the link discarded it.
    Link(Reason),
    /// There was no room for its flow, or for it.
    NoRoom,
    /// No socket to the upstream could be had.
    NoUpstream,
    /// It is an answer from somewhere else than the upstream's address, or its port unless answers
    /// from others are followed.
    Foreign,
    /// It claims to come from a socket of the proxy itself, or had gone round too often.
    Looped,
    /// Its receiver has not shown that it is there, and would have got several times what it sent.
    Amplified,
    /// Its flow was closed when it came out of the link, as happens to late copies.
    Orphaned,
    /// The socket's send buffer was full.
    NoBuffer,
    /// The system will not send it for its size.
    TooBig,
    /// The system did not send it for another reason.
    SendFailed,
    /// A rule discarded these bytes of a delivered TCP stream.
    Stream,
    /// Its sender has no association with this proxy.
    NoAssociation,
    /// It says in no way that can be read where it goes.
    Malformed,
    /// It is a fragment of a datagram, which are not put together here.
    Fragment,
    /// It goes where nobody may go from here.
    NotAllowed,
    /// It came to a socket that its flow had left by a rule.
    OldAddress,
}

impl Loss {
    /// The losses around the link, in the order of their declaration.
    pub const AROUND: [Self; 15] = [
        Self::NoRoom,
        Self::NoUpstream,
        Self::Foreign,
        Self::Looped,
        Self::Amplified,
        Self::Orphaned,
        Self::NoBuffer,
        Self::TooBig,
        Self::SendFailed,
        Self::Stream,
        Self::NoAssociation,
        Self::Malformed,
        Self::Fragment,
        Self::NotAllowed,
        Self::OldAddress,
    ];

    /// The number of losses, the link's included.
    pub(crate) const COUNT: usize = Reason::ALL.len() + Self::AROUND.len();

    /// Returns all of them, the link's first.
    pub fn all() -> impl Iterator<Item = Self> {
        Reason::ALL.into_iter().map(Self::Link).chain(Self::AROUND)
    }

    /// Returns the name in counters and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link(reason) => reason.name(),
            Self::NoRoom => "no_room",
            Self::NoUpstream => "no_upstream",
            Self::Foreign => "foreign",
            Self::Looped => "looped",
            Self::Amplified => "amplified",
            Self::Orphaned => "orphaned",
            Self::NoBuffer => "no_buffer",
            Self::TooBig => "too_big",
            Self::SendFailed => "send_failed",
            Self::Stream => "stream",
            Self::NoAssociation => "no_association",
            Self::Malformed => "malformed",
            Self::Fragment => "fragment",
            Self::NotAllowed => "not_allowed",
            Self::OldAddress => "old_address",
        }
    }

    /// Returns its place among [`all`](Self::all).
    pub(crate) const fn index(self) -> usize {
        let around = match self {
            Self::Link(reason) => return reason as usize,
            Self::NoRoom => 0,
            Self::NoUpstream => 1,
            Self::Foreign => 2,
            Self::Looped => 3,
            Self::Amplified => 4,
            Self::Orphaned => 5,
            Self::NoBuffer => 6,
            Self::TooBig => 7,
            Self::SendFailed => 8,
            Self::Stream => 9,
            Self::NoAssociation => 10,
            Self::Malformed => 11,
            Self::Fragment => 12,
            Self::NotAllowed => 13,
            Self::OldAddress => 14,
        };
        Reason::ALL.len() + around
    }
}

impl Fate {
    /// Returns the fate that the link gave a packet.
    pub const fn of(output: &Output) -> Self {
        match output {
            Output::Deliver(_) => Self::Delivered,
            Output::Discard(_, reason) => Self::Discarded(Loss::Link(*reason)),
        }
    }
}

/// A packet whose fate has just become known. Its bytes are still there.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The transport.
    pub transport: Transport,
    /// Its direction.
    pub direction: Direction,
    /// The packet. Its number is 0 if it never entered the link, and then its flow is 0 too if it
    /// had none.
    pub packet: &'a Packet,
    /// Its fate.
    pub fate: Fate,
    /// The time at which it was out of our hands.
    pub released: Instant,
    /// The link that knows the names of the rules.
    pub(crate) link: &'a Link,
}

impl<'a> Settled<'a> {
    /// Returns its bytes as they left; a segment of a modelled stream carries none.
    pub fn payload(&self) -> &'a [u8] {
        match self.packet.body() {
            Body::Data(bytes) => bytes,
            Body::Segment(_) | Body::Cross(_) | Body::End | Body::Reset => &[],
        }
    }

    /// Writes its line of the event log.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        event_log::write_line(to, self)
    }

    /// Returns the keys of the rules that chose it, each with what it drew if that was a hit, and
    /// below what.
    pub fn draws(&self) -> impl Iterator<Item = (&'a str, Option<(f64, f64)>)> {
        let Self { packet, link, .. } = *self;
        let chose = (0..64).filter(|place| packet.trace.rules & (1 << place) != 0);
        chose.map(|place| {
            let hit = |drawn: Drawn| Some((drawn.number, drawn.below?));
            let drawn = link.drawn(place, packet).and_then(hit);
            // A rule that was set anew since has drawn below something else.
            (link.rule_key(place), drawn.filter(|(number, below)| number < below))
        })
    }

    /// Returns the keys of the rules that chose it: dropped, damaged, copied or held it back.
    pub fn rules(&self) -> impl Iterator<Item = &'a str> {
        let Self { packet, link, .. } = *self;
        (0..64)
            .filter(|place| packet.trace.rules & (1 << place) != 0)
            .map(|place| link.rule_key(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_has_a_place_and_a_name_of_its_own() {
        let all: Vec<Loss> = Loss::all().collect();
        assert_eq!(all.len(), Loss::COUNT);
        for (place, loss) in all.iter().enumerate() {
            assert_eq!(loss.index(), place);
            assert!(all[..place].iter().all(|other| other.name() != loss.name()), "{loss:?}");
        }
    }
}
