//! A link that is full allocates nothing: what comes takes the place of what has left.
//!
//! The one test of its binary, for other threads allocate as well.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(unsafe_code, reason = "an allocator that counts is one")]

use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::Packet;
use jostle_engine::payload::Payload;
use jostle_engine::profile::Profile;
use jostle_engine::stage::Stage;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts what a thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: it hands everything on to the system's allocator; the counter needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The allocations of the second half of so many packets or runs, one each 60 microseconds (some 830
/// are inside, so that a queue of 1,024 places is never a few short), and the
/// packets that came out.
fn allocations(rules: &str, segments: u16, arrivals: u64) -> (u64, u64) {
    let profile = Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#)).unwrap();
    let key = LinkKey { seed: 1, route: "test".into(), direction: Direction::Up };
    let mut link = Link::new(key, &profile.up);
    let payload = Payload::from(vec![0; 1200 * usize::from(segments)]);
    let (mut before, mut left) = (0, 0);
    for number in 0..arrivals {
        if number == arrivals / 2 {
            before = ALLOCATIONS.with(Cell::get);
        }
        let now = Instant::from_micros(60 * number);
        while let Some(output) = link.poll(now) {
            left += u64::from(output.packet().count());
        }
        link.handle(Packet::run(1, now, payload.clone(), 1200));
    }
    (ALLOCATIONS.with(Cell::get) - before, left)
}

#[test]
fn a_full_link_allocates_nothing() {
    let drop = r#"{ "rule": "drop", "chance": "1%" }"#;
    let rate = r#"{ "rule": "rate", "limit": "200Mbit/s" }"#;
    let delay = |more: &str| format!(r#"{{ "rule": "delay", "time": "50ms" {more} }}"#);
    let reorder = r#", "jitter": "10ms", "reorder": true"#;
    for (name, more) in [
        ("constant", ""),
        ("normal jitter", r#", "jitter": "10ms", "shape": "normal""#),
        ("Pareto jitter", r#", "jitter": "10ms", "shape": "pareto""#),
        ("overtaking", reorder),
    ] {
        let rules = format!("{drop}, {rate}, {}", delay(more));
        let (count, left) = allocations(&rules, 1, 400_000);
        assert!(left > 390_000, "{name}: {left}");
        assert_eq!(count, 0, "{name}: allocations for 200,000 packets");
    }
    let rules = format!("{drop}, {}", delay(""));
    let (count, left) = allocations(&rules, 40, 40_000);
    assert!(left > 1_500_000 && count == 0, "runs: {count} allocations, {left} packets");
}
