//! What a forward proxy reads from clients: SOCKS5, its datagrams, and HTTP; and what a client of
//! SOCKS5 reads from a proxy; and the names in TLS hellos.
#![no_main]

use jostle_common::http1::{BodyFraming, RequestFraming};
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
    requests(&bytes, step);
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

/// Lets a client and its server say the same bytes, in pieces: what is passed on of the server's is
/// the same as in one piece, and nothing is kept beyond its bound.
fn requests(bytes: &[u8], step: usize) {
    let whole = answered(bytes, bytes.len().max(1));
    assert_eq!(answered(bytes, step), whole);
    let body = RequestFraming::of_body(BodyFraming::Chunked);
    let (mut all, _) = http::Requests::begin(body, http::Expected::default(), b"");
    let mut rest = bytes;
    while !rest.is_empty() {
        match all.intake(false) {
            http::Intake::Read(most) => {
                let (piece, behind) = rest.split_at(most.min(step).min(rest.len()));
                rest = behind;
                if let http::Taken::Own(own) = all.handle(piece) {
                    assert!((1..=piece.len()).contains(&own));
                }
            }
            http::Intake::Held => {
                all.answer(b"HTTP/1.1 204 No Content\r\n\r\n");
                assert_eq!(all.turn(None), http::Turned::Next);
            }
            http::Intake::Heard => {
                let Some(next) = all.take_next() else { panic!("it was heard") };
                let Progress::Asked(Asked::Fetch { head, expected, .. }) = next.progress else { return };
                let mut framing = RequestFraming::new(1 << 20);
                assert_eq!(framing.follow(&head), head.len());
                all = http::Requests::begin(next.body, expected, &next.rest).0;
            }
            http::Intake::Over => return,
        }
    }
}

/// Returns how many bytes belong to the answer to a request, and what becomes of the connection.
fn answered(bytes: &[u8], step: usize) -> (usize, http::Turned) {
    let body = RequestFraming::of_body(BodyFraming::Length(0));
    let expected = http::Expected { upgrade: true, ..http::Expected::default() };
    let (mut all, _) = http::Requests::begin(body, expected, b"early");
    let own = bytes.chunks(step).map(|piece| all.answer(piece)).sum();
    (own, all.turn(None))
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
