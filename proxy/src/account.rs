//! The account of one direction of a relay: each packet that came in is written down once, when its
//! fate is known.
//!
//! `in + copies = delivered + discarded + held`, from socket to socket: a packet that was refused
//! before the link came in and was discarded, one that the system did not send is not delivered.

use crate::delays::Delays;
use crate::fate::{Fate, Loss, Settled};
use crate::lateness::Lateness;
use crate::observed::{FlowEvent, Observed};
use crate::sinks::Sinks;
use crate::snapshot::LinkTimes;
use crate::summary::LinkSummary;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::counters::{Counters, CrossCounters, EcnCounters};
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use std::collections::BTreeMap;

/// One direction of a relay.
#[derive(Debug)]
pub(crate) struct Account {
    route: String,
    transport: Transport,
    direction: Direction,
    totals: LinkReport,
    /// Packets whose fate is known and that had entered the link.
    settled: u64,
}

/// The fates of the packets of one direction, as numbers that can be added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkReport {
    entered: u64,
    copies: u64,
    delivered: u64,
    discarded: [u64; Loss::COUNT],
    corrupted: u64,
    ecn: EcnCounters,
    /// Set when IP headers can neither be read nor be written.
    ecn_is_lost: bool,
    held: u64,
    missed_by_kernel: u64,
    /// Set when the kernel does not tell how many those are.
    missed_is_unknown: bool,
    bytes_in: u64,
    bytes_out: u64,
    /// Bytes of delivered streams that rules discarded, by rule.
    bytes_discarded: BTreeMap<String, u64>,
    cross: CrossCounters,
    lateness: Lateness,
    delays: Delays,
}

/// A packet that came in and goes no further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused<'a> {
    /// The ordinal of its flow, 0 if it has none.
    pub(crate) flow: u32,
    pub(crate) at: Instant,
    pub(crate) ecn: Ecn,
    pub(crate) payload: &'a [u8],
}

impl Account {
    pub(crate) fn new(route: &str, transport: Transport, direction: Direction) -> Self {
        let totals = LinkReport::default();
        Self { route: route.to_owned(), transport, direction, totals, settled: 0 }
    }

    /// Writes down what became of a packet that left `link`, or of all packets of a run, and was
    /// out of our hands at `released`. Marks leave no trace.
    pub(crate) fn settle(
        &mut self,
        link: &Link,
        packet: &Packet,
        fate: Fate,
        released: Instant,
        sinks: &mut Sinks,
    ) {
        if packet.is_mark() {
            if sinks.are_observers() {
                self.observe(
                    packet.flow,
                    packet.at,
                    FlowEvent::Left(self.direction, packet),
                    sinks,
                );
            }
            return;
        }
        let packets = packet.count();
        self.settled += u64::from(packets);
        match fate {
            Fate::Delivered => {
                let totals = &mut self.totals;
                totals.delivered += u64::from(packets);
                totals.corrupted += u64::from(packet.is_damaged()) * u64::from(packets);
                totals.ecn.count(packet);
                totals.lateness.record(released.since(packet.at), packets);
                totals.delays.record(packet.at.since(packet.entered), packets);
            }
            Fate::Discarded(loss) => self.totals.discarded[loss.index()] += u64::from(packets),
        }
        // Each packet is told of singly, if anyone listens.
        if packets == 1 || sinks.are_none() {
            return self.tell(link, packet, fate, released, sinks);
        }
        for single in packet.singles() {
            self.tell(link, &single, fate, released, sinks);
        }
    }

    /// Tells who observes flows of a packet that enters the link, or of each one of a run.
    pub(crate) fn arrive(&self, packet: &Packet, sinks: &mut Sinks) {
        if sinks.are_observers() {
            for single in packet.singles() {
                let arrived = FlowEvent::Arrived(self.direction, &single);
                self.observe(packet.flow, packet.at, arrived, sinks);
            }
        }
    }

    /// Tells who observes flows what happened to one.
    pub(crate) fn observe(&self, flow: u32, at: Instant, event: FlowEvent<'_>, sinks: &mut Sinks) {
        let (route, transport) = (&self.route, self.transport);
        sinks.observe(&Observed { route, transport, flow, at, event });
    }

    /// Writes down bytes of a delivered stream that a rule discarded. They crossed the link of
    /// `link` before, in packets whose fate is known.
    pub(crate) fn discard(
        &mut self,
        link: &Link,
        packet: &Packet,
        released: Instant,
        sinks: &mut Sinks,
    ) {
        let rule = packet.trace.rules.trailing_zeros();
        let rule = link.rule_key(u8::try_from(rule).unwrap_or(u8::MAX)).to_owned();
        *self.totals.bytes_discarded.entry(rule).or_default() += u64::from(packet.size());
        self.tell(link, packet, Fate::Discarded(Loss::Stream), released, sinks);
    }

    /// Writes down a packet that did not get as far as the link.
    pub(crate) fn refuse(
        &mut self,
        link: &Link,
        refused: Refused<'_>,
        loss: Loss,
        sinks: &mut Sinks,
    ) {
        let Refused { flow, at, ecn, payload } = refused;
        self.totals.entered += 1;
        self.totals.bytes_in += payload.len() as u64;
        self.totals.discarded[loss.index()] += 1;
        if !sinks.are_none() {
            let body = Body::data(Bytes::copy_from_slice(payload));
            let packet = Packet::new(flow, at, body).with_ecn(ecn);
            self.tell(link, &packet, Fate::Discarded(loss), at, sinks);
        }
    }

    fn tell(&self, link: &Link, packet: &Packet, fate: Fate, released: Instant, sinks: &mut Sinks) {
        if sinks.are_none() {
            return;
        }
        let Self { transport, direction, .. } = *self;
        let route = &self.route;
        sinks.record(&Settled { route, transport, direction, packet, fate, released, link });
    }

    /// Counts a piece of a stream that went straight from socket to socket.
    pub(crate) const fn passed(&mut self) {
        self.totals.entered += 1;
        self.totals.delivered += 1;
    }

    /// Counts bytes read from the sender.
    pub(crate) const fn read(&mut self, bytes: usize) {
        self.totals.bytes_in += bytes as u64;
    }

    /// Counts bytes handed to the receiver's socket.
    pub(crate) const fn written(&mut self, bytes: usize) {
        self.totals.bytes_out += bytes as u64;
    }

    /// Counts datagrams that the kernel dropped before they could be read.
    pub(crate) const fn missed(&mut self, datagrams: u64) {
        self.totals.missed_by_kernel += datagrams;
    }

    /// Notes that the kernel does not tell of those.
    pub(crate) const fn missed_is_unknown(&mut self) {
        self.totals.missed_is_unknown = true;
    }

    /// Notes that what IP headers say of congestion is not carried across.
    pub(crate) const fn ecn_is_lost(&mut self) {
        self.totals.ecn_is_lost = true;
    }

    /// Returns how many packets were discarded so.
    pub(crate) const fn lost(&self, loss: Loss) -> u64 {
        self.totals.discarded[loss.index()]
    }

    /// Returns what happened so far, with the counters of the link, if there is one. A packet
    /// that entered the link and has no fate yet is held.
    pub(crate) fn report(&self, link: Option<&Counters>) -> LinkReport {
        let mut report = self.totals.clone();
        if let Some(link) = link {
            report.entered += link.entered;
            report.copies += link.copies;
            report.cross += link.cross;
            report.held = (link.entered + link.copies).saturating_sub(self.settled);
        }
        report
    }
}

impl LinkReport {
    /// Adds datagrams that the kernel dropped and that are not in the account yet.
    pub(crate) const fn missed(&mut self, datagrams: u64) {
        self.missed_by_kernel += datagrams;
    }

    /// Adds what happened in another link of the same name.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.entered += other.entered;
        self.copies += other.copies;
        self.delivered += other.delivered;
        for (count, more) in self.discarded.iter_mut().zip(&other.discarded) {
            *count += more;
        }
        self.corrupted += other.corrupted;
        self.ecn.absorb(&other.ecn);
        self.ecn_is_lost |= other.ecn_is_lost;
        self.held += other.held;
        self.missed_by_kernel += other.missed_by_kernel;
        self.missed_is_unknown |= other.missed_is_unknown;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        for (rule, bytes) in &other.bytes_discarded {
            *self.bytes_discarded.entry(rule.clone()).or_default() += bytes;
        }
        self.cross += other.cross;
        self.lateness.absorb(&other.lateness);
        self.delays.absorb(&other.delays);
    }

    /// Returns the distributions of what it delivered.
    pub(crate) fn times(&self) -> LinkTimes {
        LinkTimes { delay: self.delays.distribution(), lateness: self.lateness.distribution() }
    }

    /// Returns the line of the summary. The link's reasons are always there, the others when they
    /// happened.
    pub(crate) fn summary(
        &self,
        route: &str,
        protocol: Transport,
        direction: Direction,
    ) -> LinkSummary {
        let discarded: BTreeMap<_, _> = Loss::all()
            .map(|loss| (loss, self.discarded[loss.index()]))
            .filter(|(loss, count)| *count > 0 || matches!(loss, Loss::Link(_)))
            .map(|(loss, count)| (loss.name(), count))
            .collect();
        LinkSummary {
            route: route.to_owned(),
            protocol,
            direction,
            entered: self.entered,
            copies: self.copies,
            delivered: self.delivered,
            discarded,
            corrupted: self.corrupted,
            ecn: (!self.ecn_is_lost).then_some(self.ecn),
            held: self.held,
            missed_by_kernel: (!self.missed_is_unknown).then_some(self.missed_by_kernel),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            bytes_discarded: self.bytes_discarded.clone(),
            cross: (!self.cross.is_none()).then_some(self.cross),
            lateness: self.lateness.summary(),
            delay: self.delays.summary(),
        }
    }
}
