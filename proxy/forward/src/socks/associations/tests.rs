use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const LIMITS: AssociationLimits = AssociationLimits { per_address: 3, in_all: 5 };

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn said(text: &str) -> Sender {
    let address: SocketAddr = text.parse().unwrap();
    Sender { host: Host::Address(address.ip().to_canonical()), port: address.port() }
}

fn nothing() -> Sender {
    said("0.0.0.0:0")
}

/// Which of these may send, in this order.
fn admitted(associations: &mut Associations, senders: &[&str]) -> Vec<bool> {
    let admit = |text: &&str| associations.admit(text.parse().unwrap()) == Admission::Admitted;
    senders.iter().map(admit).collect()
}

#[test]
fn what_a_client_says_of_itself_decides_who_may_send() {
    for (sender, first, others, right) in [
        // Nothing is said: the first datagram decides.
        (nothing(), "10.0.0.1:7", ["10.0.0.1:8", "10.0.0.2:7", "10.0.0.1:7"], [true, false]),
        (said("[::]:0"), "10.0.0.1:7", ["10.0.0.1:8", "10.0.0.2:7", "10.0.0.1:7"], [true, false]),
        // The port is said, with the address or without.
        (
            said("0.0.0.0:7"),
            "10.0.0.1:7",
            ["10.0.0.1:8", "10.0.0.2:7", "10.0.0.1:7"],
            [true, false],
        ),
        (said("10.0.0.1:7"), "10.0.0.1:8", ["10.0.0.1:9", "10.0.0.2:7", "10.0.0.1:8"], [false; 2]),
        (
            said("[::ffff:10.0.0.1]:7"),
            "[::ffff:10.0.0.1]:7",
            ["10.0.0.1:8", "10.0.0.2:7", "10.0.0.1:7"],
            [true, false],
        ),
        // Behind a NAT neither the address nor the port is what is seen here.
        (
            said("192.168.0.9:7"),
            "10.0.0.1:8",
            ["10.0.0.1:7", "192.168.0.9:7", "10.0.0.1:8"],
            [true, false],
        ),
        (
            Sender { host: Host::read("me.example").unwrap(), port: 7 },
            "10.0.0.1:8",
            ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.1:8"],
            [true, false],
        ),
    ] {
        let mut all = Associations::new(LIMITS);
        assert_eq!(admitted(&mut all, &[first]), [false], "there is none yet");
        all.begin(ip("10.0.0.1"), &sender).unwrap();
        let is = admitted(&mut all, &[first, others[0], others[1], others[2]]);
        assert_eq!(is, [right[0], right[1], right[1], right[0]], "{sender:?}");
    }
}

#[test]
fn an_association_ends_with_its_senders() {
    let mut all = Associations::new(LIMITS);
    let pinned = all.begin(ip("10.0.0.1"), &said("10.0.0.1:7")).unwrap();
    let open = all.begin(ip("::ffff:10.0.0.1"), &nothing()).unwrap();
    assert_eq!(
        admitted(&mut all, &["10.0.0.1:7", "10.0.0.1:8", "10.0.0.1:9"]),
        [true, true, false]
    );
    all.end(open);
    assert_eq!(all.take_ended(), ["10.0.0.1:8".parse().unwrap()]);
    assert_eq!(admitted(&mut all, &["10.0.0.1:7", "10.0.0.1:8"]), [true, false]);
    all.end(open);
    assert!(!all.has_ended(), "it ends once");
    all.end(pinned);
    assert_eq!(all.take_ended(), ["10.0.0.1:7".parse().unwrap()]);
    assert_eq!(admitted(&mut all, &["10.0.0.1:7", "10.0.0.1:8"]), [false, false]);
    assert!(all.is_empty() && all.clients.is_empty());
}

#[test]
fn a_port_that_two_have_said_lasts_as_long_as_one_of_them() {
    let mut all = Associations::new(LIMITS);
    let twins = [(); 2].map(|()| all.begin(ip("::1"), &said("[::]:7")).unwrap());
    all.end(twins[0]);
    assert!(!all.has_ended());
    assert_eq!(admitted(&mut all, &["[::1]:7"]), [true]);
    all.end(twins[1]);
    assert_eq!(all.take_ended(), ["[::1]:7".parse().unwrap()]);
}

/// The second client's datagrams came first, so its port seemed to be the first one's.
#[test]
fn of_clients_at_one_address_the_one_that_is_left_goes_on() {
    for left in ["127.0.0.1:7", "127.0.0.1:8"] {
        for ends in 0..2 {
            let mut all = Associations::new(LIMITS);
            let two = [(); 2].map(|()| all.begin(ip("127.0.0.1"), &nothing()).unwrap());
            assert_eq!(admitted(&mut all, &["127.0.0.1:8", "127.0.0.1:7"]), [true, true]);
            all.end(two[ends]);
            assert!(!all.has_ended(), "whose it was is not known yet");
            let other = if left.ends_with('7') { "127.0.0.1:8" } else { "127.0.0.1:7" };
            assert_eq!(admitted(&mut all, &[left, other, left]), [true, false, true]);
            assert_eq!(all.take_ended(), [other.parse().unwrap()]);
            // A third one comes beside it.
            all.begin(ip("127.0.0.1"), &nothing()).unwrap();
            assert_eq!(admitted(&mut all, &["127.0.0.1:9", left, other]), [true, true, false]);
        }
    }
}

#[test]
fn places_are_bounded_per_address_and_in_all() {
    let mut all = Associations::new(LIMITS);
    let first: Vec<_> = (0..3).map(|_| all.begin(ip("10.0.0.1"), &nothing()).unwrap()).collect();
    assert_eq!(all.begin(ip("10.0.0.1"), &nothing()), None);
    assert_eq!(all.begin(ip("::ffff:10.0.0.1"), &nothing()), None, "it is the same address");
    assert!(all.begin(ip("10.0.0.2"), &nothing()).is_some());
    assert!(all.begin(ip("10.0.0.2"), &nothing()).is_some());
    assert_eq!(all.begin(ip("10.0.0.3"), &nothing()), None, "there are five");
    all.end(first[1]);
    assert!(all.begin(ip("10.0.0.3"), &nothing()).is_some());
    assert_eq!(all.len(), 5);
    all.end_all();
    assert!(all.is_empty() && all.clients.is_empty());
}

#[derive(Clone, Debug)]
enum Deed {
    Begin(u8, u16),
    End(usize),
    Send(u8, u16),
}

proptest! {
    #[test]
    fn no_more_ports_send_than_there_are_associations(
        deeds in prop::collection::vec(prop_oneof![
            (0u8..3, 0u16..4).prop_map(|(host, port)| Deed::Begin(host, port)),
            (0usize..8).prop_map(Deed::End),
            (0u8..3, 1u16..9).prop_map(|(host, port)| Deed::Send(host, port)),
        ], 0..200)
    ) {
        let address = |host: u8| IpAddr::from([10, 0, 0, host]);
        let mut all = Associations::new(LIMITS);
        let mut open: Vec<(AssociationId, u8, u16)> = Vec::new();
        // Those that were admitted and not ended.
        let mut senders = BTreeSet::new();
        for deed in deeds {
            match deed {
                Deed::Begin(host, port) => {
                    let sender = said(&format!("0.0.0.0:{port}"));
                    let has = open.iter().filter(|(_, of, _)| *of == host).count();
                    let begun = all.begin(address(host), &sender);
                    prop_assert_eq!(begun.is_some(), has < 3 && open.len() < 5);
                    open.extend(begun.map(|id| (id, host, port)));
                }
                Deed::End(place) if place < open.len() => all.end(open.swap_remove(place).0),
                Deed::End(_) => {}
                Deed::Send(host, port) => {
                    let from = SocketAddr::new(address(host), port);
                    let mut of_host = open.iter().filter(|(_, of, _)| *of == host);
                    let admission = all.admit(from);
                    if of_host.clone().any(|(.., said)| *said == port) {
                        prop_assert_eq!(admission, Admission::Admitted);
                    } else if !of_host.any(|(.., said)| *said == 0) {
                        prop_assert_eq!(admission, Admission::Stranger);
                    }
                    if admission == Admission::Admitted {
                        senders.insert(from);
                    }
                }
            }
            for ended in all.take_ended() {
                senders.remove(&ended);
            }
            for (host, client) in &all.clients {
                let has = open.iter().filter(|(_, of, _)| address(*of) == *host);
                prop_assert_eq!(client.open, has.clone().count());
                prop_assert_eq!(client.unsaid, has.filter(|(.., port)| *port == 0).count());
                let heard = client.learned.values().filter(|heard| **heard).count();
                prop_assert!(client.heard == heard && heard <= client.unsaid);
                prop_assert!(client.learned.len() < 2 * LIMITS.per_address);
            }
            for sender in &senders {
                let client = all.clients.get(&sender.ip());
                let has = client.is_some_and(|client| client.has(sender.port()));
                prop_assert!(has, "who is not told of as ended has a place: {}", sender);
            }
        }
    }
}
