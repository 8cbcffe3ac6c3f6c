//! `outage` with `hold`: packets wait while the link is cut, and go together when it works again.

use crate::packet::Packet;
use crate::sojourns::Sojourns;
use crate::source::Origin;
use crate::stage::{Output, Stage};
use jostle_common::profile::Outage;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// Holds packets by the time at which they come.
#[derive(Debug)]
pub(crate) struct Hold {
    /// `None` once the rule was removed: nothing is held any more.
    spans: Option<Sojourns>,
    /// In order of arrival, which is that of leaving; each `at` says when.
    packets: VecDeque<Packet>,
}

impl Hold {
    pub(crate) fn new(setting: &Outage, origin: Origin) -> Self {
        Self { spans: Some(Sojourns::starting_up(setting, origin)), packets: VecDeque::new() }
    }

    /// Changes the setting for packets to come; what waits keeps its time, and what comes goes behind it.
    pub(crate) fn retune(&mut self, setting: Option<&Outage>, origin: Origin) {
        self.spans = setting.map(|setting| Sojourns::starting_up(setting, origin));
    }
}

impl Stage for Hold {
    fn handle(&mut self, mut packet: Packet) {
        let came = packet.at;
        if let Some((false, end)) = self.spans.as_mut().map(|spans| spans.at(came)) {
            packet.at = end;
        }
        packet.at = packet.at.max(self.packets.back().map_or(Instant::START, |last| last.at));
        if packet.at > came && !packet.is_mark() {
            packet.trace.choose();
        }
        self.packets.push_back(packet);
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        self.packets.pop_front_if(|packet| packet.at <= now).map(Output::Deliver)
    }

    fn deadline(&self) -> Option<Instant> {
        self.packets.front().map(|packet| packet.at)
    }

    fn held(&self) -> usize {
        self.packets.len()
    }
}
