//! Gathers packets, and lets them go or loses them.

use super::{Batch, BatchThen, BatchTrigger};
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::source::{Origin, Source};
use crate::stage::{Output, Reason, Stage};
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// A `batch` rule at work.
#[derive(Debug)]
pub(super) struct BatchStage {
    source: Source,
    /// `None` once the rule was removed: no more windows open.
    setting: Option<Batch>,
    /// The time at which the open window closes.
    closes: Option<Instant>,
    window: VecDeque<Packet>,
    /// The number of packets in it, marks not counted.
    window_packets: u64,
    window_bytes: u64,
    /// Packets on their way out; their `at` says since when.
    leaving: VecDeque<Output>,
}

impl BatchStage {
    pub(super) const fn new(setting: Batch, origin: Origin) -> Self {
        Self {
            source: origin.source,
            setting: Some(setting),
            closes: None,
            window: VecDeque::new(),
            window_packets: 0,
            window_bytes: 0,
            leaving: VecDeque::new(),
        }
    }

    /// Returns true if a packet that finds no window opens one.
    fn opens(&self, setting: &Batch, packet: &Packet) -> bool {
        match setting.trigger {
            _ if packet.is_mark() => false,
            BatchTrigger::Chance(chance) => self.source.draw(packet).hits(chance),
            BatchTrigger::Slot { .. } => true,
        }
    }

    fn is_full(&self) -> bool {
        let Some(Batch { trigger: BatchTrigger::Slot { packets, bytes }, .. }) = self.setting
        else {
            return false;
        };
        packets.is_some_and(|most| self.window_packets >= most)
            || bytes.is_some_and(|most| self.window_bytes >= most.bytes())
    }

    /// Closes the window at `at`. Marks go on whatever becomes of the packets.
    fn close(&mut self, at: Instant) {
        self.closes = None;
        (self.window_packets, self.window_bytes) = (0, 0);
        let drops = self.setting.is_some_and(|setting| setting.then == BatchThen::Drop);
        for packet in self.window.drain(..) {
            let packet = packet.moved_to(at);
            self.leaving.push_back(if drops && !packet.is_mark() {
                Output::Discard(packet, Reason::Batch)
            } else {
                Output::Deliver(packet)
            });
        }
    }
}

impl HoldingRule for BatchStage {
    /// Changes the setting at `now`: an open window keeps its end unless it is full by the new one,
    /// or the rule is removed; then what is in it goes on at once.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, _: Setup<'_>) {
        self.setting = of_kind(setting).copied();
        if self.closes.is_some() && (self.setting.is_none() || self.is_full()) {
            self.close(now);
        }
    }
}

impl Stage for BatchStage {
    fn handle(&mut self, mut packet: Packet) {
        if self.closes.is_none() {
            match self.setting.filter(|setting| self.opens(setting, &packet)) {
                None => return self.leaving.push_back(Output::Deliver(packet)),
                Some(setting) => self.closes = Some(packet.at + setting.window),
            }
        }
        let at = packet.at;
        if !packet.is_mark() {
            packet.trace.choose();
            self.window_packets += 1;
        }
        self.window_bytes += u64::from(packet.size());
        self.window.push_back(packet);
        if self.is_full() {
            self.close(at);
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        if let Some(output) = self.leaving.pop_front_if(|output| output.packet().at <= now) {
            return Some(output);
        }
        self.close(self.closes.filter(|closes| *closes <= now)?);
        self.leaving.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.leaving.front().map(|output| output.packet().at).or(self.closes)
    }

    fn held(&self) -> usize {
        self.window.len() + self.leaving.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use jostle_common::chance::{Direction, DrawStream};
    use jostle_common::units::{ByteSize, Probability};
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    fn slot(packets: Option<u64>, bytes: Option<u64>) -> Batch {
        let trigger = BatchTrigger::Slot { packets, bytes: bytes.map(ByteSize::new) };
        Batch { window: 10 * MS, trigger, then: BatchThen::Release }
    }

    fn setup() -> Setup<'static> {
        Setup::of(Origin::of_link(DrawStream::new(1, "test", Direction::Up, "batch")))
    }

    fn batch(setting: Batch) -> BatchStage {
        BatchStage::new(setting, setup().origin)
    }

    fn packet(number: u64, millis: u64) -> Packet {
        let body = Body::data(vec![0; 100]);
        Packet { number, ..Packet::new(1, Instant::from_millis(millis), body) }
    }

    fn mark(millis: u64) -> Packet {
        Packet::new(1, Instant::from_millis(millis), Body::End)
    }

    /// Feeds all, and says of each packet when it left, and whether it was delivered.
    fn outputs(
        stage: &mut BatchStage,
        packets: impl IntoIterator<Item = Packet>,
    ) -> Vec<(u64, u64, bool)> {
        let mut outputs = Vec::new();
        for packet in packets {
            outputs.extend(std::iter::from_fn(|| stage.poll(packet.at)));
            stage.handle(packet);
        }
        outputs.extend(std::iter::from_fn(|| stage.poll(Instant::from_secs(3600))));
        assert_eq!(stage.held(), 0);
        let seen = |output: &Output| {
            let packet = output.packet();
            (packet.number, packet.at.as_nanos() / 1_000_000, matches!(output, Output::Deliver(_)))
        };
        outputs.iter().map(seen).collect()
    }

    #[test]
    fn a_slot_goes_when_it_is_full_or_its_time_is_over() {
        let packets =
            || [0, 1, 2, 5, 14, 15, 40].into_iter().zip(1..).map(|(at, number)| packet(number, at));
        let left = |setting| -> Vec<u64> {
            outputs(&mut batch(setting), packets()).iter().map(|(_, at, _)| *at).collect()
        };
        // The window that the packet at 5 opens closes at 15, before the packet at 15 comes.
        assert_eq!(left(slot(Some(3), None)), [2, 2, 2, 15, 15, 25, 50]);
        assert_eq!(left(slot(None, Some(150))), [1, 1, 5, 5, 15, 15, 50]);
        assert_eq!(left(slot(None, None)), [10, 10, 10, 10, 24, 24, 50]);
        assert_eq!(
            left(slot(Some(1), None)),
            [0, 1, 2, 5, 14, 15, 40],
            "a slot of one keeps nobody"
        );
    }

    #[test]
    fn a_throttle_opens_by_chance_and_keeps_or_loses_its_whole_time() {
        let chance = |chance, then| Batch {
            window: 30 * MS,
            trigger: BatchTrigger::Chance(Probability::new(chance).unwrap()),
            then,
        };
        let stream = || (1..=60).map(|number| packet(number, number));
        let always = outputs(&mut batch(chance(1.0, BatchThen::Release)), stream());
        // The window opened at 1 closes at 31, before that packet comes, which opens the next.
        let expected: Vec<_> =
            (1..=60).map(|number| (number, if number <= 30 { 31 } else { 61 }, true)).collect();
        assert_eq!(always, expected);
        let none: Vec<_> = (1..=60).map(|number| (number, number, true)).collect();
        assert_eq!(outputs(&mut batch(chance(0.0, BatchThen::Release)), stream()), none);
        let lost = outputs(&mut batch(chance(1.0, BatchThen::Drop)), stream());
        assert!(lost.len() == 60 && lost.iter().all(|(_, _, delivered)| !delivered));
    }

    #[test]
    fn a_throttle_loses_the_share_that_clumsy_would_dial() {
        // A window opens with the first packet that hits, so rounds last 1/chance − 1 packets in
        // the open and 30 in the window.
        let setting = Batch {
            window: 30 * MS,
            trigger: BatchTrigger::Chance(Probability::new(0.1).unwrap()),
            then: BatchThen::Drop,
        };
        let outputs =
            outputs(&mut batch(setting), (1..=400_000).map(|number| packet(number, number)));
        let lost = outputs.iter().filter(|(_, _, delivered)| !delivered).count() as f64 / 400_000.0;
        // 30/39; about 10,250 rounds, of which the gap varies with sd 9.5: sd of the share
        // 30·9.5/39²/101 = 0.0019.
        assert!((lost - 30.0 / 39.0).abs() < 4.0 * 0.0019, "{lost}");
    }

    #[test]
    fn a_mark_waits_with_its_data_and_is_never_lost() {
        let lost = Batch { then: BatchThen::Drop, ..slot(Some(2), None) };
        let outputs =
            outputs(&mut batch(lost), [mark(0), packet(1, 1), mark(2), packet(2, 3), mark(4)]);
        // The mark is no packet of the slot.
        assert_eq!(
            outputs,
            [(0, 0, true), (1, 3, false), (0, 3, true), (2, 3, false), (0, 4, true)]
        );
    }

    #[test]
    fn a_removed_rule_lets_go_at_once() {
        let mut stage = batch(Batch { then: BatchThen::Drop, ..slot(None, None) });
        stage.handle(packet(1, 0));
        stage.retune(Instant::from_millis(3), None, setup());
        assert_eq!(stage.deadline(), Some(Instant::from_millis(3)));
        assert_eq!(outputs(&mut stage, [packet(2, 4)]), [(1, 3, true), (2, 4, true)]);
        let mut stage = batch(slot(None, None));
        stage.handle(packet(1, 0));
        stage.handle(packet(2, 1));
        stage.retune(Instant::from_millis(3), Some(&slot(Some(2), None)), setup());
        assert_eq!(outputs(&mut stage, []), [(1, 3, true), (2, 3, true)]);
    }
}
