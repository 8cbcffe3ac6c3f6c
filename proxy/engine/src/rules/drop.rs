//! `drop`: loses packets, one by one, in bursts, by the Gilbert–Elliott model, or each n-th.

use super::chain::Chain;
use crate::packet::Packet;
use crate::source::{Origin, Source};
use crate::stage::{Reason, Rule, Verdict};
use jostle_common::profile::{self, BurstLength};
use jostle_common::units::Probability;

/// Loses packets.
#[derive(Debug)]
pub(crate) struct Drop {
    source: Source,
    model: Model,
}

#[derive(Debug)]
enum Model {
    Chance(Probability),
    /// Loses with the first probability in the bad state, with the second in the good one.
    States(Chain, Probability, Probability),
    Every(u64),
}

impl Drop {
    pub(crate) fn new(setting: &profile::Drop, origin: Origin) -> Self {
        let Origin { source, .. } = origin;
        let model = match setting.clone() {
            profile::Drop::Chance(chance) => Model::Chance(chance),
            profile::Drop::Burst { mean, length: BurstLength::Packets(length) } => {
                let (p, r) = burst_transitions(mean, length);
                Model::States(Chain::new(source, p, r), Probability::ALWAYS, Probability::NEVER)
            }
            profile::Drop::GilbertElliott { p, r, loss_bad, loss_good } => {
                Model::States(Chain::new(source, p, r), loss_bad, loss_good)
            }
            profile::Drop::Burst { length: BurstLength::Time(_), .. }
            | profile::Drop::FourState(_)
            | profile::Drop::Packets(_)
            | profile::Drop::Pattern(_) => todo!("models"),
            profile::Drop::Every(n) => Model::Every(n),
        };
        Self { source, model }
    }
}

/// The transitions (p, r) of a chain that is bad a share `mean` of the time, `length` packets at a time on average: the mean sojourn is
/// 1/r and the share p/(p + r), so r = 1/length and p = r·mean/(1 − mean).
fn burst_transitions(mean: Probability, length: f64) -> (Probability, Probability) {
    let r = 1.0 / length;
    let p = r * mean.as_f64() / (1.0 - mean.as_f64());
    // The profile refuses mean > length/(length + 1), where p would pass 1; rounding may.
    let probability = |value: f64| Probability::new(value.min(1.0)).unwrap_or(Probability::NEVER);
    (probability(p), probability(r))
}

impl Rule for Drop {
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        let number = self.source.number(packet);
        let draw = || self.source.draw(packet);
        let lost = match &mut self.model {
            Model::Chance(chance) => draw().hits(*chance),
            Model::States(chain, loss_bad, loss_good) => {
                let loss = if chain.is_bad(number) { *loss_bad } else { *loss_good };
                // The first 64 bits moved the chain.
                loss.covers(draw().second())
            }
            Model::Every(n) => number.is_multiple_of(*n),
        };
        if lost { Verdict::Discard(Reason::Drop) } else { Verdict::Pass }
    }
}
