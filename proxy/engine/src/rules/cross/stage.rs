//! Sends cross traffic. What comes from outside passes it by, so it holds nothing.

use super::constant::Constant;
use super::streams::{Common, Streams};
use super::{Cross, CrossTraffic, FLOWS_MAX};
use crate::packet::{Body, CROSS_FLOWS, CrossPacket, Packet};
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::source::Origin;
use crate::stage::{Output, Stage};
use jostle_common::time::Instant;

/// A `cross` rule at work.
#[derive(Debug)]
pub(super) struct CrossStage {
    setting: Cross,
    origin: Origin,
    /// The flow of its first sender.
    flow: u32,
    work: Sending,
}

#[derive(Debug)]
enum Sending {
    Streams(Streams),
    Constant(Constant),
    /// It has not begun, or the rule was removed.
    Nothing,
}

impl CrossStage {
    pub(super) fn new(setting: Cross, setup: Setup<'_>) -> Self {
        // Rules share flows when there are more of them than a direction may have.
        let flow = CROSS_FLOWS + setup.ordinal % FLOWS_MAX * FLOWS_MAX;
        Self { setting, origin: setup.origin, flow, work: Sending::Nothing }
    }

    /// Makes the senders, which begin when the rule says but not before `now`.
    fn sending(&self, now: Instant) -> Sending {
        let from = now.max(self.origin.epoch + self.setting.start);
        match self.setting.traffic {
            CrossTraffic::Tcp { flows, model, back, access } => {
                let common = Common { model, back, access };
                Sending::Streams(Streams::new(common, flows, from, self.origin.source))
            }
            CrossTraffic::Constant { rate, size } => {
                Sending::Constant(Constant::new(rate, size, from))
            }
        }
    }
}

impl HoldingRule for CrossStage {
    fn begin(&mut self, now: Instant) {
        self.work = self.sending(now);
    }

    fn pause(&mut self) {
        self.work = Sending::Nothing;
    }

    fn arrived(&mut self, packet: &Packet) -> u64 {
        match (&mut self.work, packet.body()) {
            (Sending::Streams(streams), Body::Cross(cross)) => streams.arrived(packet.at, cross),
            (Sending::Constant(_), Body::Cross(_)) => u64::from(packet.size()),
            _ => 0,
        }
    }

    /// Goes on with what it sends under the new setting; another kind of traffic begins anew.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, setup: Setup<'_>) {
        let Some(setting) = of_kind::<Cross>(setting) else {
            self.work = Sending::Nothing;
            return;
        };
        let began = now > self.origin.epoch + self.setting.start;
        let before = self.setting.traffic;
        (self.setting, self.origin) = (*setting, setup.origin);
        match (&mut self.work, setting.traffic) {
            (Sending::Streams(all), CrossTraffic::Tcp { flows, model, back, access })
                if began && before.model() == Some(model) =>
            {
                all.retune(Common { model, back, access }, flows, now, self.origin.source);
            }
            (Sending::Constant(constant), CrossTraffic::Constant { rate, size }) if began => {
                constant.retune(now, rate, size);
            }
            _ => self.work = self.sending(now),
        }
    }
}

impl Stage for CrossStage {
    fn handle(&mut self, _: Packet) {
        unreachable!("the link lets what comes from outside pass by")
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        let (at, cross) = match &mut self.work {
            Sending::Streams(streams) => streams.poll(now)?,
            Sending::Constant(constant) => {
                if constant.due() > now {
                    return None;
                }
                let size = constant.size;
                (constant.take(), CrossPacket { place: 0, size, sender: (0, 0), data: None })
            }
            Sending::Nothing => return None,
        };
        let flow = self.flow + cross.sender.0;
        Some(Output::Deliver(Packet::new(flow, at, Body::Cross(Box::new(cross)))))
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.work {
            Sending::Streams(streams) => streams.deadline(),
            Sending::Constant(constant) => Some(constant.due()),
            Sending::Nothing => None,
        }
    }

    fn held(&self) -> usize {
        0
    }
}
