//! `outage`: loses everything while the link is cut.

use crate::packet::Packet;
use crate::profile::Outage;
use crate::sojourns::Sojourns;
use crate::source::Origin;
use crate::stage::{Reason, Rule, Verdict};

/// Loses packets by the time at which they come.
#[derive(Debug)]
pub(crate) struct Cut {
    spans: Sojourns,
}

impl Cut {
    pub(crate) fn new(setting: &Outage, origin: Origin) -> Self {
        Self { spans: Sojourns::starting_up(setting, origin) }
    }
}

impl Rule for Cut {
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        let (is_up, _) = self.spans.at(packet.at);
        if is_up { Verdict::Pass } else { Verdict::Discard(Reason::Outage) }
    }
}
