//! Raw streams cut into lines, blocks and reads, under any traffic: nothing disappears, and nothing
//! is kept.
#![no_main]

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::raw::RawStreams;
use jostle_engine::route::Unit;
use jostle_engine::stage::Stage;
use jostle_engine::tcp::Event;
use jostle_fuzz::assert_conserved;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

const PROFILES: [&str; 4] = [
    r#"{ }"#,
    r#"{ "both": [ { "rule": "drop", "chance": "30%" }, { "rule": "duplicate", "chance": "30%", "copies": 2 }, { "rule": "corrupt", "chance": "50%", "bits": 3 } ] }"#,
    r#"{ "both": [ { "rule": "duplicate", "chance": "50%" }, { "rule": "delay", "time": "20ms", "jitter": "20ms" }, { "rule": "reorder", "chance": "20%", "behind": 2 } ] }"#,
    r#"{ "both": [ { "rule": "rate", "limit": "1Mbit/s", "queue": "10ms" }, { "rule": "delay", "time": "5ms", "jitter": "5ms", "reorder": true } ] }"#,
];

#[derive(Arbitrary, Debug)]
struct Case {
    profile: u8,
    unit: CutInto,
    acts: Vec<Act>,
}

#[derive(Arbitrary, Debug)]
enum CutInto {
    Lines,
    Reads,
    Blocks(u16),
}

#[derive(Arbitrary, Debug)]
enum Act {
    Push { id: bool, up: bool, bytes: Vec<u8>, times: u8 },
    Wait(u16),
    Poll,
    Finish { id: bool, up: bool },
    Reset { id: bool, up: bool },
}

fn direction(up: bool) -> Direction {
    if up { Direction::Up } else { Direction::Down }
}

fn take(raw: &mut RawStreams, now: Instant) {
    while let Some(event) = raw.poll(now) {
        if let Event::Data { id, direction, bytes } = event {
            raw.consumed(now, id, direction, bytes.len());
        }
    }
}

fuzz_target!(|case: Case| {
    let profile = Profile::from_json(PROFILES[usize::from(case.profile) % PROFILES.len()]).unwrap();
    let links = Direction::BOTH.map(|direction| {
        let key = LinkKey { seed: 7, route: "fuzz".to_owned(), direction };
        Link::new(key, profile.timeline(direction))
    });
    let unit = match case.unit {
        CutInto::Lines => Unit::Line,
        CutInto::Reads => Unit::Read,
        CutInto::Blocks(size) => Unit::Bytes(size.into()),
    };
    let memory = Memory::default();
    let mut raw = RawStreams::new(links, unit, memory.clone());
    let mut now = Instant::START;
    // A stream is not written to, and does not end, behind its end.
    let mut over = [[false; 2]; 2];
    raw.open(now, 1);
    raw.open(now, 2);
    for act in &case.acts {
        match act {
            Act::Push { id, up, bytes, times } => {
                let (id, direction) = (u32::from(*id) + 1, direction(*up));
                let bytes: Bytes = bytes.repeat(usize::from(*times)).into();
                let room = raw.room(id, direction).min(bytes.len());
                if room > 0 && !over[id as usize - 1][direction.index()] {
                    raw.push(now, id, direction, bytes.slice(..room));
                }
            }
            Act::Wait(micros) => now += Duration::from_micros(u64::from(*micros) * 10),
            Act::Poll => take(&mut raw, now),
            Act::Finish { id, up } | Act::Reset { id, up } => {
                let (id, direction) = (u32::from(*id) + 1, direction(*up));
                let over = &mut over[id as usize - 1];
                if std::mem::replace(&mut over[direction.index()], true) {
                    continue;
                }
                if matches!(act, Act::Finish { .. }) {
                    raw.finish(now, id, direction);
                } else {
                    *over = [true; 2];
                    raw.reset(now, id, direction);
                }
            }
        }
    }
    for (id, over) in (1..).zip(over) {
        for direction in Direction::BOTH {
            if !over[direction.index()] {
                raw.finish(now, id, direction);
            }
        }
    }
    for _ in 0..1_000_000 {
        take(&mut raw, now);
        let Some(due) = raw.deadline() else { break };
        now = now.max(due);
    }
    assert!(raw.is_drained() && raw.deadline().is_none());
    Direction::BOTH.iter().for_each(|direction| assert_conserved(raw.link(*direction).counters()));
    assert!(Direction::BOTH.iter().all(|direction| raw.link(*direction).held() == 0));
    assert_eq!(memory.used(), 0, "every connection is over and keeps nothing");
});
