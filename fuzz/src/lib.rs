//! What the fuzz targets share: datagrams that reach behind the checksums, endpoints driven through
//! time, and links put to use.

use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_endpoints::protocol::{Endpoint, wire};
use jostle_engine::counters::Counters;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Profile;
use jostle_engine::stage::{Output, Stage};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// The other end.
pub const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9_000));
/// What an endpoint may send, or a link give out, at one moment before that counts as endless.
const TALK_MAX: usize = 100_000;
/// How many packets cross a link that is put to use.
const PACKETS: u32 = 48;

/// A datagram that arrives, after a while.
#[derive(Arbitrary, Debug)]
pub struct Datagram {
    /// Milliseconds since the one before.
    wait: u16,
    shape: Shape,
    /// Of how many bytes, when sealed: what is short is padded with zeros.
    size: Size,
    bytes: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Shape {
    Bare,
    /// With a right checksum.
    Sealed,
    /// The same, behind the start of a real datagram.
    Known(u8),
}

#[derive(Arbitrary, Debug)]
enum Size {
    AsItIs,
    Control,
    Chunk,
}

impl Datagram {
    /// Its bytes; `known` are starts of real datagrams.
    pub fn bytes(&self, known: &[&[u8]]) -> Vec<u8> {
        let start = match self.shape {
            Shape::Bare => return self.bytes.clone(),
            Shape::Sealed => &[][..],
            Shape::Known(which) => known[usize::from(which) % known.len()],
        };
        let mut body = [start, &self.bytes].concat();
        match self.size {
            Size::AsItIs => {}
            Size::Control => body.resize(396, 0),
            Size::Chunk => body.resize(52 + 4096, 0),
        }
        wire::seal(body).to_vec()
    }

    /// When it arrives, if the one before arrived at `last`.
    pub fn at(&self, last: Instant) -> Instant {
        last + Duration::from_millis(self.wait.into())
    }
}

/// Lets an endpoint take these datagrams, and do what it does by itself between them.
pub fn drive(endpoint: &mut dyn Endpoint, datagrams: &[Datagram], known: &[&[u8]]) {
    let mut now = Instant::START;
    talk(endpoint, now);
    for datagram in datagrams {
        let next = datagram.at(now);
        for _ in 0..100 {
            let Some(due) = endpoint.deadline().filter(|due| *due <= next) else { break };
            now = now.max(due);
            talk(endpoint, now);
        }
        now = next;
        endpoint.handle(now, PEER, &datagram.bytes(known));
        talk(endpoint, now);
    }
}

fn talk(endpoint: &mut dyn Endpoint, now: Instant) {
    let sent = std::iter::from_fn(|| endpoint.poll(now)).take(TALK_MAX).count();
    assert!(sent < TALK_MAX, "it sends without end");
}

/// Sends packets through both links of a profile, which gives way to `next` halfway: none
/// disappears, and polling late changes nothing.
pub fn use_profile(profile: &Profile, next: &Profile) {
    for direction in Direction::BOTH {
        let key = LinkKey { seed: 7, route: "fuzz".to_owned(), direction };
        let mut prompt = Link::new(key.clone(), profile.timeline(direction));
        let mut late = Link::new(key, profile.timeline(direction));
        let (mut left, mut now) = (Vec::new(), Instant::START);
        for number in 0..PACKETS {
            let body = Body::data(vec![number as u8; (number as usize * 37) % 1500]);
            let packet = Packet::new(number % 3 + 1, now, body);
            while let Some(due) = prompt.deadline().filter(|due| *due <= now) {
                drain(&mut prompt, due, &mut left);
            }
            if number == PACKETS / 2 {
                prompt.set_timeline(now, next.timeline(direction));
                late.set_timeline(now, next.timeline(direction));
            }
            late.handle(packet.clone());
            prompt.handle(packet);
            drain(&mut prompt, now, &mut left);
            now += Duration::from_millis(u64::from(number % 4));
        }
        for _ in 0..2000 {
            let Some(due) = prompt.deadline() else { break };
            now = now.max(due);
            drain(&mut prompt, now, &mut left);
        }
        let mut left_late = Vec::new();
        drain(&mut late, now, &mut left_late);
        assert_eq!(left, left_late, "polling late changes what comes out");
        assert_conserved(prompt.counters());
        prompt.forget(1);
        assert_eq!(prompt.held() as u64, prompt.counters().held, "what is over is not lost");
    }
}

fn drain(link: &mut Link, now: Instant, left: &mut Vec<Output>) {
    let before = left.len();
    left.extend(std::iter::from_fn(|| link.poll(now)).take(TALK_MAX));
    assert!(left.len() - before < TALK_MAX, "it gives out without end");
}

/// Checks that nothing disappeared.
pub fn assert_conserved(counters: &Counters) {
    assert_eq!(
        counters.entered + counters.copies,
        counters.delivered + counters.discarded_total() + counters.held
    );
}
