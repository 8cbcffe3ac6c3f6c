//! `batch`: gathers packets and lets them go, or loses them, together.

use crate::packet::Packet;
use crate::source::{Origin, Source};
use crate::stage::{Output, Reason, Stage};
use jostle_common::profile::{Batch as Setting, BatchThen, BatchTrigger};
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// Gathers packets.
#[derive(Debug)]
pub(crate) struct Batch {
    source: Source,
    /// `None` once the rule was removed: no more windows open.
    setting: Option<Setting>,
    /// When the open window closes.
    closes: Option<Instant>,
    window: VecDeque<Packet>,
    window_bytes: u64,
    /// Packets on their way out; their `at` says since when.
    leaving: VecDeque<Output>,
}

impl Batch {
    pub(crate) const fn new(setting: Setting, origin: Origin) -> Self {
        Self {
            source: origin.source,
            setting: Some(setting),
            closes: None,
            window: VecDeque::new(),
            window_bytes: 0,
            leaving: VecDeque::new(),
        }
    }

    /// Changes the setting; an open window keeps its end.
    pub(crate) const fn retune(&mut self, setting: Option<Setting>) {
        self.setting = setting;
    }

    /// Whether a packet that finds no window opens one.
    fn opens(&self, setting: &Setting, packet: &Packet) -> bool {
        match setting.trigger {
            _ if packet.is_mark() => false,
            BatchTrigger::Chance(chance) => self.source.draw(packet).hits(chance),
            BatchTrigger::Slot { .. } => true,
        }
    }

    fn is_full(&self) -> bool {
        let Some(Setting { trigger: BatchTrigger::Slot { packets, bytes }, .. }) = self.setting else {
            return false;
        };
        packets.is_some_and(|most| self.window.len() as u64 >= most)
            || bytes.is_some_and(|most| self.window_bytes >= most.bytes())
    }

    /// Closes the window at `at`. Marks go on whatever becomes of the packets.
    fn close(&mut self, at: Instant) {
        self.closes = None;
        self.window_bytes = 0;
        let drops = self.setting.is_some_and(|setting| setting.then == BatchThen::Drop);
        for packet in self.window.drain(..) {
            let mut packet = packet.moved_to(at);
            self.leaving.push_back(if drops && !packet.is_mark() {
                packet.trace.choose();
                Output::Discard(packet, Reason::Batch)
            } else {
                Output::Deliver(packet)
            });
        }
    }
}

impl Stage for Batch {
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
        }
        self.window_bytes += u64::from(packet.size);
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
