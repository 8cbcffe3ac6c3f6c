//! `size`: loses what is too large, as a path does whose MTU nobody was told.

use crate::packet::Packet;
use crate::profile;
use crate::stage::{Reason, Rule, Verdict};

/// Loses large packets.
#[derive(Debug)]
pub(crate) struct Size {
    setting: profile::Size,
}

impl Size {
    pub(crate) const fn new(setting: profile::Size) -> Self {
        Self { setting }
    }
}

impl Rule for Size {
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if packet.size > self.setting.max {
            Verdict::Discard(Reason::TooLarge)
        } else {
            Verdict::Pass
        }
    }
}
