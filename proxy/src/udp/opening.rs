//! A new client: its flow, and the socket to the upstream that it has.

use super::flows::FlowClient;
use super::intake::IntakeTurn;
use super::stray::{self, Stray};
use super::{UdpPart, UdpRelay};
use crate::client::NewClient;
use crate::descriptors::Descriptors;
use crate::fate::Loss;
use crate::observed::{Crossing, FlowEvent};
use crate::reactor::{Owner, Reactor};
use crate::sinks::Sinks;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_sys::{DatagramOptions, is_out_of_descriptors, prepare_datagram_socket, set_hops};
use mio::Interest;
use mio::net::UdpSocket;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The most hops that are left to begin with: a circle is gone after so many datagrams.
const HOPS_MAX: u8 = 64;

impl UdpRelay {
    /// Begins the flow of a new client, and tells of it.
    pub(super) fn begin(
        &mut self,
        client: &FlowClient,
        addresses: Vec<SocketAddr>,
        hops: Option<u8>,
        turn: &mut IntakeTurn<'_>,
    ) -> Result<usize, Loss> {
        let opened = one_less(hops).and_then(|hops| {
            if let Some(hook) = turn.on_client {
                let (route, address) = (&self.route.name, client.address);
                hook(NewClient { route, transport: Transport::Udp, address });
            }
            self.open(client.clone(), addresses, hops, turn)
        });
        if turn.sinks.are_observers() {
            self.tell_of_flow(&opened, client, turn.now, turn.sinks);
        }
        opened
    }

    /// Tells who observes flows where the one of `client` leads, or that there is none.
    fn tell_of_flow(
        &mut self,
        opened: &Result<usize, Loss>,
        client: &FlowClient,
        now: Instant,
        sinks: &mut Sinks,
    ) {
        let heard = self.listeners.get_mut(client.listener).map(|one| one.socket.local_addr());
        let Some(Ok(mut listener)) = heard else { return };
        if let Some(asked) = client.asked {
            listener.set_ip(asked);
        }
        let flow = opened.as_ref().ok().and_then(|index| self.flows.get_mut(*index));
        let ordinal = flow.as_ref().map_or(0, |flow| flow.ordinal);
        let ends = flow.and_then(|flow| Some((flow.socket.0.local_addr().ok()?, flow.receiver())));
        let account = &self.lanes[Direction::Up.index()].account;
        let crossing = Crossing::Pieces;
        let opened = FlowEvent::Opened { client: client.address, listener, crossing };
        account.observe(ordinal, now, opened, sinks);
        if let Some(target) = &client.target {
            account.observe(ordinal, now, FlowEvent::AskedFor(target), sinks);
        }
        if let Some((local, upstream)) = ends {
            account.observe(ordinal, now, FlowEvent::Reached { local, upstream }, sinks);
        }
    }

    /// Opens a flow for a new client, if need be in place of the one that has been silent for
    /// longest.
    fn open(
        &mut self,
        client: FlowClient,
        addresses: Vec<SocketAddr>,
        hops: Option<u8>,
        turn: &mut IntakeTurn<'_>,
    ) -> Result<usize, Loss> {
        let IntakeTurn { reactor, descriptors, portable, now, .. } = turn;
        let (portable, now) = (*portable, *now);
        if addresses.is_empty() {
            return Err(Loss::NoUpstream);
        }
        // One address must not take all places: when it has many, a flow of its own makes room.
        let source = client.address.ip();
        let has_share = self.flows.has_too_much(source)
            || !descriptors.may_have_another(Transport::Udp, source);
        let is_free =
            !has_share && !self.flows.are_full() && descriptors.take_for(Transport::Udp, now);
        if !is_free {
            let Some(index) = self.flows.evictable(has_share.then_some(source)) else {
                if !has_share {
                    descriptors.warn("new UDP clients are refused");
                }
                return Err(Loss::NoRoom);
            };
            self.close(index, reactor, descriptors);
            self.counts.evicted += 1;
            descriptors.take_in_place(Transport::Udp);
        }
        let mut loss = Loss::NoUpstream;
        let part = UdpPart::Flow(self.flows.next_index());
        let owner = Owner { relay: self.id.index, socket: part.key() };
        for address in addresses {
            let opening = Opening {
                upstream: address,
                from: None,
                follow: self.route.follow,
                hops,
                portable,
            };
            match opening.open() {
                Ok(mut socket) => match reactor.add(&mut socket, owner, Interest::READABLE) {
                    Ok(token) => {
                        self.counts.opened += 1;
                        descriptors.add_client(Transport::Udp, source);
                        let peer = self.route.follow.then_some(address);
                        let is_asked = client.target.is_some();
                        let index = self.flows.add(client, address, (socket, token), peer, now);
                        self.flows.get_mut(index).expect("it was just added").hops = hops;
                        if peer.is_none() && !is_asked && !portable && !self.upstream_spoke {
                            self.look_for_strays(index, reactor, descriptors);
                        }
                        return Ok(index);
                    }
                    Err(error) => log::debug!("route {}: {error}", self.route.name),
                },
                Err(error) => {
                    log::debug!("route {}: a socket to {address}: {error}", self.route.name);
                    if is_out_of_descriptors(&error) {
                        descriptors.warn("new UDP clients are refused");
                        loss = Loss::NoRoom;
                        break;
                    }
                }
            }
        }
        descriptors.give_for(Transport::Udp);
        Err(loss)
    }

    /// Lets a second socket listen on the port of a flow, unless there is one.
    fn look_for_strays(
        &mut self,
        flow: usize,
        reactor: &mut Reactor,
        descriptors: &mut Descriptors,
    ) {
        if self.stray.is_some() || !descriptors.take(1) {
            return;
        }
        let owner = Owner { relay: self.id.index, socket: UdpPart::Stray.key() };
        let connected = &self.flows.get_mut(flow).expect("it was just added").socket.0;
        let opened = stray::beside(connected).and_then(|mut socket| {
            let token = reactor.add(&mut socket, owner, Interest::READABLE)?;
            Ok(Stray { socket, token, flow, again: false })
        });
        match opened {
            Ok(stray) => self.stray = Some(stray),
            Err(error) => {
                descriptors.give(1);
                log::debug!("route {}: a second socket: {error}", self.route.name);
            }
        }
    }
}

/// Returns how many hops a flow's datagrams may take if its client's had so many left: one less, as
/// behind a router. So whatever goes round a circle of proxies dies out, though each of them takes
/// it for something new.
pub(super) fn one_less(hops: Option<u8>) -> Result<Option<u8>, Loss> {
    match hops {
        None => Ok(None),
        Some(0 | 1) => Err(Loss::Looped),
        Some(hops) => Ok(Some(hops.min(HOPS_MAX) - 1)),
    }
}

/// A socket to the upstream that is to be opened.
pub(super) struct Opening {
    pub(super) upstream: SocketAddr,
    /// The address that it leaves from; the system chooses one unless stated.
    pub(super) from: Option<IpAddr>,
    /// True if answers may come from other ports: then it cannot be connected.
    pub(super) follow: bool,
    pub(super) hops: Option<u8>,
    pub(super) portable: bool,
}

impl Opening {
    pub(super) fn open(&self) -> io::Result<UdpSocket> {
        let Self { upstream, from, follow, hops, portable } = *self;
        let socket = Socket::new(Domain::for_address(upstream), Type::DGRAM, None)?;
        let ipv6 = upstream.is_ipv6();
        let options = DatagramOptions { portable, asked_address: false, ipv6, hops: false };
        prepare_datagram_socket(&socket, options)?;
        if let Some(hops) = hops {
            set_hops(&socket, ipv6, hops)?;
        }
        let any: IpAddr = if ipv6 { [0; 16].into() } else { [0; 4].into() };
        if follow || from.is_some() {
            socket.bind(&SocketAddr::new(from.unwrap_or(any), 0).into())?;
        }
        if !follow {
            socket.connect(&upstream.into())?;
        }
        Ok(UdpSocket::from_std(socket.into()))
    }
}
