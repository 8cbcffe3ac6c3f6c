//! Cutting a stream into lines, and reading the times that a clock answers.
#![no_main]

use jostle_endpoints::protocol::clock::{ClockEstimate, ClockSample, TimeFormat, answer, parse_time};
use jostle_endpoints::protocol::lines::{Line, Lines, Overlong};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|bytes: &[u8]| {
    for overlong in [Overlong::Skip, Overlong::Cut] {
        let mut lines = Lines::new(24, overlong);
        let mut whole = Vec::new();
        for piece in bytes.chunks(7) {
            lines.push(piece, |line| {
                let _ = answer(line, Duration::from_secs(1), TimeFormat::Rfc3339);
                if let Line::Whole(line) = line {
                    assert!(line.len() <= 24);
                    whole.extend_from_slice(line);
                }
            });
        }
        whole.extend(lines.finish().unwrap_or_default());
        assert!(overlong == Overlong::Skip || whole == bytes, "cutting loses nothing");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(reading) = parse_time(text)
    {
        let asked = Duration::from_secs(1_000_000_000);
        let sample = ClockSample { asked, round_trip: Duration::from_millis(3), answer: reading };
        let estimate: ClockEstimate = sample.estimate();
        let (low, high) = estimate.interval();
        assert!(low <= high);
    }
});
