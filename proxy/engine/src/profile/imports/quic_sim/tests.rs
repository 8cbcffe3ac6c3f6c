//! The eight scenarios, measured from outside in virtual time: what is sent, and what comes out.

use super::from_quic_sim;
use crate::link::Link;
use crate::packet::{Body, Packet};
use crate::profile::Profile;
use crate::stage::{Output, Stage};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;

/// 10 Mbit/s and a queue of 25, and 15 ms one way.
const LINE: &str = "--delay=15ms --bandwidth=10Mbps --queue=25";

/// With headers 1250 bytes, which take a millisecond at 10 Mbit/s.
const PAYLOAD: usize = 1220;

/// The line's time for one of these that finds it idle.
const ALONE: u64 = 16_000_000;

const MS: u64 = 1_000_000;

fn links(scenario: &str, more: &str, seed: u64) -> [Link; 2] {
    let translation = from_quic_sim(&format!("{scenario} {LINE} {more}")).unwrap();
    Link::both(&Profile::from_json(&translation.profile).unwrap(), seed, "test")
}

/// What became of each packet: when it came out, and with which payload; `None`: it was lost.
type Fates = Vec<Option<(u64, Bytes)>>;

/// Sends `count` packets into a link, one every `gap` nanoseconds.
fn sent(link: &mut Link, count: usize, gap: u64) -> Fates {
    let mut fates = vec![None; count];
    let mut note = |output: Output| {
        if let Output::Deliver(packet) = output
            && let Body::Data(payload) = packet.body()
        {
            let fate = (packet.at.as_nanos(), payload.to_bytes());
            fates[packet.number as usize - 1] = Some(fate);
        }
    };
    for index in 0..count {
        let at = Instant::from_nanos(index as u64 * gap);
        std::iter::from_fn(|| link.poll(at)).for_each(&mut note);
        link.handle(Packet::new(1, at, Body::data(vec![0xA5; PAYLOAD])));
    }
    while let Some(at) = link.deadline() {
        std::iter::from_fn(|| link.poll(at)).for_each(&mut note);
    }
    fates
}

/// Returns the time that each took, `None` for those that were lost.
fn delays(fates: &Fates, gap: u64) -> Vec<Option<u64>> {
    let took = |(index, fate): (usize, &Option<(u64, Bytes)>)| {
        fate.as_ref().map(|(at, _)| at - index as u64 * gap)
    };
    fates.iter().enumerate().map(took).collect()
}

#[test]
fn every_line_has_its_delay_its_speed_and_its_queue() {
    for (scenario, more) in [
        ("simple-p2p", ""),
        ("drop-rate", "--rate_to_client=0 --rate_to_server=0"),
        ("droplist", ""),
        ("corrupt-rate", "--rate_to_client=5 --rate_to_server=5"),
        ("blackhole", "--on=10s --off=2s"),
        ("rebind", "--first-rebind=1s"),
        ("udp-cross-traffic", "--crossdatarate=2Mbps"),
    ] {
        for direction in Direction::BOTH {
            let link = || {
                let [up, down] = links(scenario, more, 1);
                if direction == Direction::Up { up } else { down }
            };
            // One by one each takes its time on the line and the way.
            let alone = delays(&sent(&mut link(), 500, 5 * MS), 5 * MS);
            assert!(alone.iter().all(|took| *took == Some(ALONE)), "{scenario} {direction}");
            // At once: one on the line, one in the device and 25 in the queue; a millisecond apart.
            let burst = delays(&sent(&mut link(), 40, 0), 0);
            for (index, took) in burst.iter().enumerate() {
                let expected = (index < 27).then_some(ALONE + index as u64 * MS);
                assert_eq!(*took, expected, "{scenario} {direction}: {index}");
            }
            // Twice as many as go: one a millisecond comes out.
            let fates = sent(&mut link(), 6000, MS / 2);
            let last = fates.iter().flatten().map(|(at, _)| *at).max().unwrap();
            let out = fates.iter().flatten().count() as u64;
            assert_eq!(last, 15 * MS + out * MS, "{scenario} {direction}: never idle");
            assert!((3000..=3027).contains(&out), "{scenario} {direction}: {out}");
        }
    }
}

/// Checks that of `count` packets a share is hit, within five standard deviations.
fn is_share(hits: usize, count: usize, share: f64) {
    let (count, hits) = (count as f64, hits as f64);
    let sd = libm::sqrt(count * share * (1.0 - share));
    assert!((hits - count * share).abs() < 5.0 * sd, "{hits} of {count} for {share}");
}

#[test]
fn rates_are_those_of_each_direction() {
    for seed in 1..=3 {
        let [mut up, mut down] =
            links("drop-rate", "--rate_to_client=10 --rate_to_server=30", seed);
        for (link, share) in [(&mut up, 0.3), (&mut down, 0.1)] {
            let fates = sent(link, 20_000, 2 * MS);
            is_share(fates.iter().filter(|fate| fate.is_none()).count(), 20_000, share);
        }
        let [mut up, mut down] =
            links("corrupt-rate", "--rate_to_client=5 --rate_to_server=20", seed);
        for (link, share) in [(&mut up, 0.2), (&mut down, 0.05)] {
            let fates = sent(link, 20_000, 2 * MS);
            let mut places = [0u32; 51];
            for (_, payload) in fates.iter().map(|fate| fate.as_ref().expect("none is lost")) {
                let hit: Vec<usize> = (0..PAYLOAD).filter(|at| payload[*at] != 0xA5).collect();
                assert!(hit.len() <= 1, "one byte at most: {hit:?}");
                hit.iter().for_each(|at| places[*at] += 1);
            }
            is_share(places.iter().sum::<u32>() as usize, 20_000, share);
            assert!(places.iter().all(|count| *count > 0), "any of the first 51: {places:?}");
        }
    }
}

#[test]
fn lists_lose_what_they_say_and_a_blackhole_all_in_its_time() {
    let lost = |fates: &Fates| -> Vec<usize> {
        let lost = fates.iter().enumerate().filter(|(_, fate)| fate.is_none());
        lost.map(|(index, _)| index + 1).collect()
    };
    let [mut up, mut down] = links("droplist", "--drops_to_client=1,3,4 --drops_to_server=5", 1);
    assert_eq!(lost(&sent(&mut up, 100, 2 * MS)), [5]);
    assert_eq!(lost(&sent(&mut down, 100, 2 * MS)), [1, 3, 4]);
    // Twice a second of darkness behind two of light, for what arrives then.
    let dark = |at: u64| (2000..3000).contains(&at) || (5000..6000).contains(&at);
    for (direction, cut) in
        [("both", [true, true]), ("toclient", [false, true]), ("toserver", [true, false])]
    {
        let more = format!("--on=2s --off=1s --repeat=2 --direction={direction}");
        for (mut link, cut) in links("blackhole", &more, 1).into_iter().zip(cut) {
            for (index, fate) in sent(&mut link, 1000, 10 * MS).iter().enumerate() {
                let arrives = index as u64 * 10 + 16;
                assert_eq!(fate.is_none(), cut && dark(arrives), "{direction}, at {arrives} ms");
            }
        }
    }
}

#[test]
fn cross_traffic_shares_the_way_to_the_client() {
    let [mut up, mut down] = links("tcp-cross-traffic", "", 1);
    let (count, gap) = (3000, 10 * MS);
    assert!(delays(&sent(&mut up, count, gap), gap).iter().all(|took| *took == Some(ALONE)));
    let seen = delays(&sent(&mut down, count, gap), gap);
    let cross = down.counters().cross;
    // A segment counts 1530 bytes. The stream and one packet each 10 ms fill the line.
    let bits = (cross.delivered * 1530 * 8) as f64 / 30.0;
    assert!((8.5e6..9.0e6).contains(&bits), "{bits} beside 1 Mbit/s of packets");
    let taken: Vec<u64> = seen.iter().flatten().copied().collect();
    // 26 segments and what is on the line, 1.224 ms each.
    let full = ALONE + 27 * 1_224_000;
    let most = *taken.iter().max().unwrap();
    assert!(most <= full && most > full - 3 * MS, "{most} of {full}");
    let lost = count - taken.len();
    assert!(lost > 5 && lost < count / 10, "{lost} find the queue full");

    let [mut up, mut down] = links("udp-cross-traffic", "--crossdatarate=2Mbps", 1);
    assert!(delays(&sent(&mut up, count, gap), gap).iter().all(|took| *took == Some(ALONE)));
    let seen = delays(&sent(&mut down, count, gap), gap);
    // From 20 s on 2 Mbit/s of payloads of 512 bytes are 488.3 a second; each takes 0.43 ms.
    let cross = down.counters().cross;
    assert!((4875..=4895).contains(&cross.sent), "{cross:?}");
    assert!(seen[..1998].iter().all(|took| *took == Some(ALONE)), "before 20 s it is alone");
    let behind: Vec<u64> = seen[2000..].iter().map(|took| took.unwrap() - ALONE).collect();
    assert!(behind.iter().all(|wait| *wait < 434_000), "one in front at most");
    assert!(behind.iter().filter(|wait| **wait > 0).count() > 100);
}
