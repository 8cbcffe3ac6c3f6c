//! Loses large packets.

use super::Size;
use crate::packet::Packet;
use crate::rules::setting::InstantRule;
use crate::stage::{Reason, Verdict};

/// A `size` rule at work.
#[derive(Debug)]
pub(super) struct SizeRule {
    setting: Size,
}

impl SizeRule {
    pub(super) const fn new(setting: Size) -> Self {
        Self { setting }
    }
}

impl InstantRule for SizeRule {
    fn untouched(&mut self, run: &Packet) -> u32 {
        // The last one is the smallest.
        let [largest, _] = run.sizes();
        if largest > self.setting.max { 0 } else { run.count() }
    }

    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if packet.size() > self.setting.max {
            Verdict::Discard(Reason::TooLarge)
        } else {
            Verdict::Pass
        }
    }
}
