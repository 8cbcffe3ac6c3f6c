//! What a forward proxy reads from clients: SOCKS5, its datagrams, and HTTP; and what a client of
//! SOCKS5 reads from a proxy; and the names in TLS hellos.
#![no_main]

use jostle_common::http1::RequestFraming;
use jostle_endpoints::protocol::socks5::{
    SocksClient, SocksLogin, SocksRequest, SocksTarget, datagram_header, payload_at,
};
use jostle_forward::hello::{Heard, HelloReader};
use jostle_forward::{Allowed, Asked, Credentials, Host, Progress, Target, http, socks};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

fuzz_target!(|input: (u8, bool, Vec<u8>)| {
    let (step, secret, bytes) = input;
    let credentials = secret.then(|| Credentials::read("a:b").expect("a user and a password"));
    let step = usize::from(step).max(1);
    let mut socks = socks::Negotiation::new(credentials.clone());
    let mut web = http::Negotiation::new(credentials);
    asked(&bytes, step, |piece, answer| socks.handle(piece, answer));
    asked(&bytes, step, |piece, answer| web.handle(piece, answer));
    assert_eq!(heard(&bytes, step), heard(&bytes, bytes.len().max(1)));
    datagram(&bytes);
    associations(&bytes);
    client(&bytes, step);
});

/// Returns what is heard in a stream that comes in pieces of a size.
fn heard(bytes: &[u8], size: usize) -> Heard {
    let mut reader = HelloReader::default();
    let mut pieces = bytes.chunks(size).map(|piece| reader.handle(piece));
    let heard = pieces.find(|heard| *heard != Heard::More).unwrap_or(Heard::More);
    if let Heard::Name(name) = &heard {
        assert!((1..=254).contains(&name.len()) && name.is_ascii());
    }
    heard
}

/// Reads a datagram of a client, whose header says the same to either side.
fn datagram(bytes: &[u8]) {
    let Ok((target, at)) = socks::datagram::read(bytes) else { return };
    assert!(at <= bytes.len() && target.port > 0);
    assert_eq!(payload_at(bytes), Some(at));
    let said = SocksTarget { host: host_of(&target), port: target.port };
    let header = datagram_header(&said);
    assert_eq!(socks::datagram::read(&header), Ok((target, header.len())));
}

/// Writes a host as a client is given it: without brackets.
fn host_of(target: &Target) -> String {
    let host = target.host.to_string();
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Begins and ends associations and lets ports send, as the bytes say.
fn associations(bytes: &[u8]) {
    let limits = socks::AssociationLimits { per_address: 4, in_all: 6 };
    let mut all = socks::Associations::new(limits);
    let mut open = Vec::new();
    for pair in bytes.chunks_exact(2) {
        let (address, port) = (IpAddr::from([10, 0, 0, pair[0] & 3]), u16::from(pair[1] & 15));
        match pair[0] >> 6 {
            0 => {
                let host = Host::Address([0, 0, 0, 0].into());
                open.extend(all.begin(address, &socks::Sender { host, port }));
            }
            1 if !open.is_empty() => all.end(open.swap_remove(usize::from(pair[1]) % open.len())),
            1 => {}
            _ => _ = all.admit(SocketAddr::new(address, port)),
        }
        assert!(all.len() == open.len() && open.len() <= 6);
    }
    all.end_all();
    assert!(all.is_empty());
    let ended: BTreeSet<SocketAddr> = all.take_ended().into_iter().collect();
    for sender in ended {
        assert_eq!(all.admit(sender), socks::Admission::Stranger);
    }
}

/// Lets a client of ours read the bytes as a proxy's answers, never more than it wants.
fn client(bytes: &[u8], step: usize) {
    let target = SocksTarget { host: "example.org".into(), port: 443 };
    let login = SocksLogin { user: "a".into(), password: "b".into() };
    let mut client = SocksClient::new(SocksRequest::Connect(target), Some(login));
    let mut rest = bytes;
    while !rest.is_empty() {
        let wanted = client.wants();
        assert!((1..=262).contains(&wanted));
        let (piece, behind) = rest.split_at(wanted.min(step).min(rest.len()));
        rest = behind;
        if client.handle(piece) != Ok(None) {
            return;
        }
        client.take_output();
    }
}

/// Follows a client up to its request, and checks that what is asked for can be written.
fn asked(bytes: &[u8], step: usize, mut handle: impl FnMut(&[u8], &mut Vec<u8>) -> Progress) {
    let mut answer = Vec::new();
    for piece in bytes.chunks(step) {
        let target = match handle(piece, &mut answer) {
            Progress::More => continue,
            Progress::Refused(_) | Progress::Asked(Asked::Associate(_)) => return,
            Progress::Asked(Asked::Connect(target)) => target,
            Progress::Asked(Asked::Fetch { target, head, .. }) => {
                let mut framing = RequestFraming::new(1 << 20);
                assert_eq!(framing.follow(&head), head.len());
                assert!(framing.wrong().is_none());
                target
            }
        };
        assert_eq!(target.to_string().parse(), Ok(target.clone()));
        let public = Allowed::new([], true).expect("an empty list");
        let _ = public.judge(&target);
        return;
    }
}
