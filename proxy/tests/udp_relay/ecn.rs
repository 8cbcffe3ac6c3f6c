//! What IP headers say of congestion crosses with the datagrams, and what rules mark arrives.

use super::support::{Log, PATIENCE, Running, assert_conserved, settings, wait_until};
use super::{links, start};
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::transport::Transport;
use jostle_engine::counters::EcnCounters;
use jostle_sys::{DatagramOptions, Inbox, Message, Outbox, SLOTS, prepare_datagram_socket};
use mio::net::UdpSocket;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A socket that says and hears what IP headers say of congestion.
struct Peer {
    socket: UdpSocket,
    inbox: Inbox,
}

impl Peer {
    fn bind(address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
        let [asked_address, hops, portable] = [false; 3];
        let ipv6 = address.is_ipv6();
        let options = DatagramOptions { portable, asked_address, ipv6, hops };
        prepare_datagram_socket(&socket, options).unwrap();
        socket.bind(&address.into()).unwrap();
        Self { socket: UdpSocket::from_std(socket.into()), inbox: Inbox::new(portable) }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends datagrams in one message, as a sender does that leaves the cutting to the kernel.
    fn send(&self, to: SocketAddr, ecn: Ecn, datagrams: &[&[u8]]) {
        let pieces: Vec<IoSlice<'_>> = datagrams.iter().map(|one| IoSlice::new(one)).collect();
        let message = Message { pieces: &pieces, to: Some(to), source: None, ecn };
        assert_eq!(Outbox::new(false).send(&self.socket, &[message]).unwrap(), 1);
    }

    /// Waits for so many datagrams: what each says, and the last sender.
    fn receive(&mut self, count: usize) -> (Vec<(Ecn, Vec<u8>)>, SocketAddr) {
        let (begun, mut all, mut last) = (Instant::now(), Vec::new(), None);
        while all.len() < count {
            match self.inbox.receive(&self.socket, SLOTS) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(begun.elapsed() < PATIENCE, "{} of {count} came", all.len());
                    std::thread::park_timeout(Duration::from_micros(200));
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            for received in self.inbox.received() {
                last = received.from;
                let datagrams = received.datagrams();
                all.extend(datagrams.map(|range| (received.ecn, received.bytes[range].to_vec())));
            }
        }
        (all, last.expect("a datagram has a sender"))
    }
}

/// The listeners, clients and upstreams of which each must carry the two bits.
const FAMILIES: [[&str; 3]; 6] = [
    ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"],
    ["[::1]:0", "[::1]:0", "[::1]:0"],
    ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"],
    ["[::1]:0", "[::1]:0", "127.0.0.1:0"],
    // It hears both families, and answers IPv4 from an IPv6 socket.
    ["[::]:0", "127.0.0.1:0", "[::1]:0"],
    ["[::]:0", "[::1]:0", "127.0.0.1:0"],
];

fn counted(ect0: u64, ect1: u64, ce: u64, marked: u64) -> Option<EcnCounters> {
    Some(EcnCounters { ect0, ect1, ce, marked })
}

/// The address at which a client reaches a proxy that may listen everywhere.
fn reached(proxy: &Running, client: &Peer) -> SocketAddr {
    SocketAddr::new(client.address().ip(), proxy.address(Transport::Udp).port())
}

#[test]
fn both_bits_cross_both_ways_in_both_families() {
    for [listen, client, server] in FAMILIES {
        let (mut client, mut server) = (Peer::bind(client), Peer::bind(server));
        let proxy = start(&format!("udp://{listen}"), server.address(), "", false);
        let to = reached(&proxy, &client);
        for ecn in Ecn::ALL {
            client.send(to, ecn, &[b"up"]);
            let (up, peer) = server.receive(1);
            assert_eq!(up, [(ecn, b"up".to_vec())], "{listen}");
            // The answer says something else.
            let other = Ecn::of_tos(ecn.bits() + 1);
            server.send(peer, other, &[b"down"]);
            assert_eq!(client.receive(1).0, [(other, b"down".to_vec())], "{listen}");
        }
        let summary = proxy.stop();
        for link in links(&summary) {
            assert_eq!((link.delivered, link.ecn), (4, counted(1, 1, 1, 0)), "{listen}");
        }
    }
}

#[test]
fn runs_of_datagrams_keep_what_each_says() {
    let (mut server, mut client) = (Peer::bind("127.0.0.1:0"), Peer::bind("127.0.0.1:0"));
    let proxy = start("udp://127.0.0.1:0", server.address(), "", false);
    let to = reached(&proxy, &client);
    let (large, small) = ([7; 500], [8; 100]);
    let mut sent = Vec::new();
    for ecn in [Ecn::Ect0, Ecn::Ce, Ecn::Ect1, Ecn::NotEct, Ecn::Ect0] {
        client.send(to, ecn, &[&large, &large, &large, &small]);
        sent.extend([(ecn, large.to_vec()), (ecn, large.to_vec()), (ecn, large.to_vec())]);
        sent.push((ecn, small.to_vec()));
    }
    let (came, peer) = server.receive(sent.len());
    assert!(came == sent, "{:?}", came.iter().map(|(ecn, _)| ecn).collect::<Vec<_>>());
    server.send(peer, Ecn::Ect1, &[&large, &large, &small]);
    assert!(client.receive(3).0.iter().all(|(ecn, _)| *ecn == Ecn::Ect1));
    let summary = proxy.stop();
    let [up, down] = links(&summary);
    assert_eq!((up.ecn, down.ecn), (counted(8, 4, 4, 0), counted(0, 3, 0, 0)));
    assert_conserved(&summary);
}

#[test]
fn what_every_system_has_carries_none() {
    let (mut client, mut server) = (Peer::bind("127.0.0.1:0"), Peer::bind("127.0.0.1:0"));
    let proxy = start("udp://127.0.0.1:0", server.address(), "", true);
    client.send(reached(&proxy, &client), Ecn::Ect0, &[b"up"]);
    let (up, peer) = server.receive(1);
    assert_eq!(up, [(Ecn::NotEct, b"up".to_vec())]);
    server.send(peer, Ecn::Ce, &[b"down"]);
    assert_eq!(client.receive(1).0, [(Ecn::NotEct, b"down".to_vec())]);
    let summary = proxy.stop();
    assert_eq!(links(&summary).map(|link| (link.delivered, link.ecn)), [(1, None); 2]);
}

/// How many of what came said what, by the bits of the code point.
fn said(came: &[(Ecn, Vec<u8>)]) -> [u64; 4] {
    let mut said = [0; 4];
    came.iter().for_each(|(ecn, _)| said[usize::from(ecn.bits())] += 1);
    said
}

/// The receiver's count is that of the counters and of the event log, for runs of datagrams too.
#[test]
fn marks_arrive_as_they_are_counted_and_logged() {
    const RUNS: u64 = 160;
    for [listen, client, server] in [FAMILIES[0], FAMILIES[1], FAMILIES[4]] {
        let (client, mut server) = (Peer::bind(client), Peer::bind(server));
        let mut settings = settings(&format!(
            r#"{{ "listen": "udp://{listen}", "upstream": "{}",
                 "profile": {{ "up": [ {{ "rule": "mark", "chance": "30%" }} ] }} }}"#,
            server.address()
        ));
        let log = Log::default();
        settings.events = Some(Box::new(log.clone()));
        let proxy = Running::with(settings);
        let to = reached(&proxy, &client);
        let datagram = &[7; 300][..];
        let mut came = Vec::new();
        let mut delivered = 0;
        for run in 0..RUNS {
            client.send(to, Ecn::of_tos(run as u8), &[datagram; 16]);
            let up = |summary: &jostle_proxy::Summary| links(summary)[0].clone();
            wait_until("the run", || {
                let up = up(&proxy.control.counters().unwrap());
                delivered = up.delivered;
                up.entered == 16 * (run + 1) && up.delivered + up.discarded_total() == up.entered
            });
            came.extend(server.receive(delivered as usize - came.len()).0);
        }
        let summary = proxy.stop();
        let up = links(&summary)[0];
        assert_conserved(&summary);
        let [not_ect, ect1, ect0, ce] = said(&came);
        let ecn = up.ecn.unwrap();
        assert_eq!((ect0, ect1, ce), (ecn.ect0, ecn.ect1, ecn.ce), "{listen}");
        assert_eq!(up.discarded["mark"], 640 - not_ect, "{listen}");
        // Of 640 of each, 30 % are 192, with a standard deviation of 11.6: 4.5 of them.
        let near = |count: u64, of: u64| count.abs_diff(192 * of) < 53 * of;
        assert!(near(up.discarded["mark"], 1) && near(ecn.marked, 2), "{listen}: {up:?}");
        assert_eq!((640 - ect0) + (640 - ect1), ecn.marked, "{listen}: what is missing was marked");
        assert_eq!(ce, 640 + ecn.marked, "{listen}: none that met congestion before was changed");
        assert_eq!(logged(&log), (said(&came), ecn.marked), "{listen}");
    }
}

/// What the lines of delivered packets say, and how many of them were marked.
fn logged(log: &Log) -> ([u64; 4], u64) {
    let (mut said, mut marked) = ([0; 4], 0);
    for line in log.lines().iter().filter(|line| line["fate"] == "delivered") {
        assert_eq!(line["direction"], Direction::Up.name());
        let ecn: Ecn = line["ecn"].as_str().map_or(Ecn::NotEct, |ecn| ecn.parse().unwrap());
        said[usize::from(ecn.bits())] += 1;
        let is_marked = line["marked"] == true;
        marked += u64::from(is_marked);
        assert_eq!(line["rules"].as_array().unwrap().len(), usize::from(is_marked), "{line}");
    }
    (said, marked)
}

/// A link of 4 ms per datagram, with more than it can take: by disciplines that mark, what takes
/// marks is marked and not lost, and what does not is lost.
#[test]
fn an_overloaded_link_marks_and_loses_nothing_that_takes_marks() {
    // PIE may mark until it is certain to (the RFC lets it drop above 10 %), which it gets to slowly
    // here: that a datagram was marked is only counted when it leaves. DualPI2 has its threshold
    // alone, as no sender here slows down.
    let disciplines = [
        (r#""codel""#, Ecn::Ect0),
        (r#""fq_codel""#, Ecn::Ect0),
        (r#"{ "pie": { "ecn_below": "100%", "alpha": "0.02Hz", "beta": "0.2Hz" } }"#, Ecn::Ect0),
        (r#"{ "dualpi2": { "alpha": "0.001Hz", "beta": "0.001Hz" } }"#, Ecn::Ect1),
    ];
    let mut cases = Vec::new();
    for [listen, client, server] in [FAMILIES[0], FAMILIES[1]] {
        for (discipline, takes) in disciplines {
            for ecn in [takes, Ecn::NotEct] {
                cases.push((listen, discipline, ecn, Peer::bind(client), Peer::bind(server)));
            }
        }
    }
    let routes = cases.iter().enumerate().map(|(number, (listen, discipline, _, _, server))| {
        format!(
            r#"{{ "name": "{number}", "listen": "udp://{listen}", "upstream": "{}",
                 "profile": {{ "up": [ {{ "rule": "rate", "limit": "1Mbit/s", "queue": "5s",
                                        "discipline": {discipline} }} ] }} }}"#,
            server.address()
        )
    });
    let proxy = Running::start(&routes.collect::<Vec<_>>().join(","));
    let up = |number: usize| {
        let summary = proxy.control.counters().unwrap();
        let up = summary.link(&number.to_string(), Transport::Udp, Direction::Up);
        up.unwrap().clone()
    };
    let listener = |number: usize| {
        let name = number.to_string();
        proxy.listeners.iter().find(|one| one.route == name).unwrap().address
    };
    // DualPI2's threshold is none for what takes no marks.
    let wanted = |discipline: &str, ecn: Ecn| {
        let judges = ecn.takes_marks() || !discipline.contains("dualpi2");
        if judges { 3 } else { 0 }
    };
    // Half a second waits for the link, however late this thread is, until enough were judged.
    let datagram = &[7; 500][..];
    let mut sent = vec![0; cases.len()];
    wait_until("marks", || {
        let summary = proxy.control.counters().unwrap();
        let mut is_done = true;
        for (number, (_, discipline, ecn, client, _)) in cases.iter().enumerate() {
            let up = summary.link(&number.to_string(), Transport::Udp, Direction::Up).unwrap();
            let judged = up.ecn.unwrap().marked + up.discarded["queue_delay"];
            if sent[number] > 0 && judged >= wanted(discipline, *ecn) {
                continue;
            }
            is_done = false;
            if sent[number] < up.delivered + up.discarded_total() + 100 {
                client.send(listener(number), *ecn, &[datagram; 50]);
                sent[number] += 50;
            }
        }
        is_done
    });
    for (number, (listen, discipline, ecn, _, server)) in cases.iter_mut().enumerate() {
        wait_until("the rest", || {
            let up = up(number);
            up.entered == sent[number] && up.held == 0
        });
        let up = up(number);
        let case = format!("{listen} {discipline} {ecn}: {up:?}");
        let [_, _, _, ce] = said(&server.receive(up.delivered as usize).0);
        let counted = up.ecn.unwrap();
        assert_eq!((ce, counted.ce), (counted.marked, counted.marked), "{case}");
        if ecn.takes_marks() {
            assert_eq!((up.delivered, up.discarded_total()), (sent[number], 0), "{case}");
            assert!(ce >= 3, "{case}");
        } else {
            assert_eq!(ce, 0, "{case}");
            assert!(up.discarded["queue_delay"] >= wanted(discipline, *ecn), "{case}");
        }
    }
}
