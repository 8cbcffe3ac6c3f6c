//! Loses everything while the link is cut.

use super::Outage;
use crate::packet::Packet;
use crate::rules::setting::InstantRule;
use crate::rules::sojourns::Sojourns;
use crate::rules::source::Origin;
use crate::stage::{Reason, Verdict};

/// An `outage` rule without `hold` at work.
#[derive(Debug)]
pub(super) struct Cut {
    spans: Sojourns,
}

impl Cut {
    pub(super) fn new(setting: &Outage, origin: Origin) -> Self {
        Self { spans: setting.spans(origin) }
    }
}

impl InstantRule for Cut {
    fn untouched(&mut self, run: &Packet) -> u32 {
        let (is_up, _) = self.spans.at(run.at);
        if is_up { run.count() } else { 0 }
    }

    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        let (is_up, _) = self.spans.at(packet.at);
        if is_up { Verdict::Pass } else { Verdict::Discard(Reason::Outage) }
    }
}
