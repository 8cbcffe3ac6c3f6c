//! Keeps packets waiting while the link is cut; they go together when it works again.

use super::Outage;
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::sojourns::Sojourns;
use crate::rules::source::Origin;
use crate::stage::{Output, Stage};
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// An `outage` rule with `hold` at work.
#[derive(Debug)]
pub(super) struct Hold {
    /// `None` once the rule was removed: nothing is held any more.
    spans: Option<Sojourns>,
    /// Set if the link never works.
    is_endless: bool,
    /// In order of arrival, which is that of leaving; each `at` says when. All of them wait for the
    /// same time.
    packets: VecDeque<Packet>,
    /// The number of packets among them: a run is several.
    inside: usize,
}

impl Hold {
    pub(super) fn new(setting: &Outage, origin: Origin) -> Self {
        let is_endless = setting.up.is_zero();
        Self { spans: Some(setting.spans(origin)), is_endless, packets: VecDeque::new(), inside: 0 }
    }

    /// Returns the time at which a packet that is here at `now` goes.
    fn release(&mut self, now: Instant) -> Instant {
        if self.is_endless {
            return Instant::from_nanos(u64::MAX);
        }
        match self.spans.as_mut().map(|spans| spans.at(now)) {
            Some((false, end)) => end,
            Some((true, _)) | None => now,
        }
    }
}

impl HoldingRule for Hold {
    fn takes_run(&mut self, _: &Packet) -> bool {
        true
    }

    /// Changes the setting at `now`: what waits goes when the link works by the new one, at once if
    /// it is removed.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, setup: Setup<'_>) {
        let setting = of_kind::<Outage>(setting);
        self.is_endless = setting.is_some_and(|setting| setting.up.is_zero());
        self.spans = setting.map(|setting| setting.spans(setup.origin));
        let at = self.release(now);
        self.packets.iter_mut().for_each(|packet| packet.at = at);
    }
}

impl Stage for Hold {
    fn handle(&mut self, mut packet: Packet) {
        let came = packet.at;
        packet.at = self.release(came);
        if packet.at > came && !packet.is_mark() {
            packet.trace.choose();
        }
        self.inside += packet.count() as usize;
        self.packets.push_back(packet);
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        let packet = self.packets.pop_front_if(|packet| packet.at <= now)?;
        self.inside -= packet.count() as usize;
        Some(Output::Deliver(packet))
    }

    fn deadline(&self) -> Option<Instant> {
        self.packets.front().map(|packet| packet.at)
    }

    fn held(&self) -> usize {
        self.inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use jostle_common::chance::{Direction, DrawStream};
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    fn hold(up: u32, down: u32) -> (Outage, Origin) {
        let stream = DrawStream::new(1, "test", Direction::Up, "outage");
        (
            Outage { up: up * MS, down: down * MS, random: false, hold: true },
            Origin::of_link(stream),
        )
    }

    fn packet(number: u64, millis: u64) -> Packet {
        Packet { number, ..Packet::new(1, Instant::from_millis(millis), Body::data(vec![])) }
    }

    fn drained(stage: &mut Hold, until: u64) -> Vec<(u64, u64)> {
        let outputs = std::iter::from_fn(|| stage.poll(Instant::from_millis(until)));
        outputs.map(|out| (out.packet().number, out.packet().at.as_nanos() / 1_000_000)).collect()
    }

    #[test]
    fn packets_wait_for_the_end_of_the_cut_and_go_in_order() {
        let (setting, origin) = hold(10, 5);
        let mut stage = Hold::new(&setting, origin);
        let mut outputs = Vec::new();
        for (number, at) in [(1, 9), (2, 10), (3, 14), (4, 15), (5, 24), (6, 26)] {
            outputs.extend(drained(&mut stage, at));
            stage.handle(packet(number, at));
        }
        outputs.extend(drained(&mut stage, 1000));
        assert_eq!(outputs, [(1, 9), (2, 15), (3, 15), (4, 15), (5, 24), (6, 30)]);
    }

    #[test]
    fn a_cut_that_is_taken_away_or_moved_lets_go_what_waits() {
        let (hour, origin) = hold(10, 3_600_000);
        for (new, at) in [(None, 30), (Some(hold(100, 1)), 30), (Some(hold(25, 15)), 40)] {
            let mut stage = Hold::new(&hour, origin);
            stage.handle(packet(1, 11));
            stage.handle(packet(2, 12));
            assert_eq!(stage.deadline(), Some(Instant::from_millis(3_600_010)));
            let new = new.as_ref().map(|(setting, _)| setting as &dyn RuleSetting);
            stage.retune(Instant::from_millis(30), new, Setup::of(origin));
            stage.handle(packet(3, 31.min(at)));
            assert_eq!(drained(&mut stage, 1000)[..2], [(1, at), (2, at)]);
        }
    }
}
