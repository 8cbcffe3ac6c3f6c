//! The result of a simulation.

use super::stream::StreamArgs;
use crate::forecast::{Load, Losses, loss_model};
use crate::probe::{Arrival, Tally, run};
use jostle_common::chance::Direction;
use jostle_common::statistics::{Z_999, proportion_interval};
use jostle_common::time::Instant;
use jostle_engine::counters::Counters;
use jostle_engine::link::Link;
use jostle_engine::profile::Profile;
use jostle_engine::stage::{Output, Reason};
use serde_json::Value;

/// Bins of a picture over the time of the stream.
const COURSE_BINS: u32 = 240;

/// A whole simulation.
pub(super) struct Simulated {
    /// The profile's name or file, if there is one.
    pub(super) name: Option<String>,
    pub(super) about: String,
    /// The command line that does the same again.
    pub(super) command: String,
    /// The stream in words, and for machines.
    pub(super) stream: String,
    pub(super) stream_json: Value,
    /// The seed of its draws; `None` of a run that was live.
    pub(super) seed: Option<u64>,
    pub(super) route: String,
    pub(super) directions: Vec<SimulatedLink>,
}

/// One direction of it.
pub(super) struct SimulatedLink {
    pub(super) direction: Direction,
    pub(super) tally: Tally,
    pub(super) counters: Counters,
    /// The reasons why packets and copies were discarded, and how often each occurs.
    pub(super) reasons: Vec<(String, u64)>,
    /// The number of packets and copies that each rule chose.
    pub(super) chosen: Vec<(String, u64)>,
    /// The loss of the rules by formula, if one says all.
    pub(super) expected: Option<Losses>,
}

impl SimulatedLink {
    /// Sends packets through a new link with the rules that `profile` has in its direction.
    pub(super) fn run(
        mut link: Link,
        profile: &Profile,
        stream: &StreamArgs,
        arrivals: impl Iterator<Item = Arrival>,
        mut observe: impl FnMut(&Link, &Output),
    ) -> Self {
        let direction = link.key().direction;
        let copies = link.makes_copies();
        // Both directions keep the same time, whichever packet comes first.
        link.begin(Instant::START);
        let mut tally = Tally::new(copies, stream.duration() / COURSE_BINS);
        let mut chosen = [0u64; 64];
        run(&mut link, arrivals, &mut tally, |link, output| {
            let mut rules = output.packet().trace.rules;
            while rules != 0 {
                chosen[rules.trailing_zeros() as usize] += 1;
                rules &= rules - 1;
            }
            observe(link, output);
        });
        let chosen = (0u8..).zip(chosen).filter(|(_, count)| *count > 0);
        let chosen = chosen.map(|(place, count)| (link.rule_key(place).to_owned(), count));
        let counters = *link.counters();
        // Queues that overflow lose what no formula here says.
        let queues = counters.discarded(Reason::QueueFull) + counters.discarded(Reason::QueueDelay);
        let expected = expected(profile, direction, stream).filter(|_| queues == 0);
        let reasons = Reason::ALL
            .into_iter()
            .map(|reason| (reason.name().to_owned(), counters.discarded(reason)))
            .filter(|(_, times)| *times > 0)
            .collect();
        let chosen = chosen.collect();
        Self { direction, counters, reasons, chosen, expected, tally }
    }

    /// Returns the share of packets lost.
    pub(super) fn loss(&self) -> f64 {
        self.tally.runs().lost() as f64 / self.tally.entered().max(1) as f64
    }

    /// Returns the probabilities of the lengths of runs of losses by formula, if runs begin and end
    /// by one.
    pub(super) fn expected_lengths(&self) -> Option<&[f64]> {
        self.expected
            .as_ref()
            .map(|losses| losses.lengths.as_slice())
            .filter(|lengths| !lengths.is_empty())
    }

    /// Returns the 99.9 % interval around it, with the correlation of the model, or else that of
    /// the run.
    pub(super) fn loss_interval(&self) -> (f64, f64) {
        let runs = self.tally.runs();
        let inflation =
            self.expected.as_ref().map_or_else(|| runs.inflation(), |losses| losses.inflation);
        proportion_interval(runs.lost(), self.tally.entered(), inflation, Z_999)
    }
}

/// Returns the loss of the rules by formula; none for rules that change, and for streams whose
/// packets differ.
fn expected(profile: &Profile, direction: Direction, stream: &StreamArgs) -> Option<Losses> {
    let timeline = profile.timeline(direction).in_force();
    let [phase] = timeline.phases.as_slice() else { return None };
    let described = stream.described()?;
    let load = Load { size: described.size, stream: Some(described) };
    Some(loss_model(&phase.rules, &load)?.losses())
}
