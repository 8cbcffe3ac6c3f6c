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
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if packet.size() > self.setting.max {
            Verdict::Discard(Reason::TooLarge)
        } else {
            Verdict::Pass
        }
    }
}
