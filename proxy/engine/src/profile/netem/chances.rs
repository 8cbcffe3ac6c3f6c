//! The options that netem draws for each packet: `loss`, `duplicate`, `corrupt`, `reorder`.

use super::correlated::true_chance;
use super::line::{Chance, Loss, Netem};
use super::{Draft, object, percent, quoted, roughly};
use jostle_common::setting::SettingError;

impl Draft {
    pub(super) fn duplicate(&mut self, netem: &Netem) {
        let Some(asked) = netem.duplicate.filter(|asked| asked.chance > 0.0) else { return };
        self.rule(&[("rule", quoted("duplicate")), ("chance", quoted(&percent(asked.chance)))]);
        if asked.correlation > 0.0 {
            if netem.sends_correlations() {
                self.correlation("duplicate", "copies", asked);
            } else {
                self.remark(format!(
                    "tc reads the correlation of {} behind duplicate but does not send it to the \
                     kernel unless another option on the line has one. Here each copy is drawn on \
                     its own.",
                    percent(asked.correlation)
                ));
            }
        }
        if netem.loss.is_some() {
            self.remark(
                "A packet that netem chooses for both loss and duplication arrives exactly once; \
                 here the loss is drawn for the packet and for its copy.",
            );
        }
    }

    pub(super) fn loss(&mut self, netem: &Netem) -> Result<(), SettingError> {
        let kind = if netem.ecn { "mark" } else { "drop" };
        match netem.loss {
            None => return Ok(()),
            Some(Loss::Random(asked)) if asked.chance <= 0.0 => return Ok(()),
            Some(Loss::Random(asked)) => self.random_loss(kind, asked)?,
            Some(Loss::Gemodel { p, r, loss_bad, loss_good }) => {
                self.two_states(kind, [p, r, loss_bad, loss_good])?;
            }
            Some(Loss::State { p13, p31, p32, p23, p14 }) => {
                self.four_states(kind, [p13, p31, p32, p23, p14])?;
            }
        }
        if netem.ecn {
            self.remark(
                "With ecn netem marks packets whose sender takes marks, and loses the others. So \
                 does the rule mark on UDP routes; what is said of losses here holds of its marks.",
            );
        }
        self.remark(
            "On the sending host netem loses segmentation-offload packets of up to 64 KiB as one; \
             here each packet is a packet.",
        );
        Ok(())
    }

    fn random_loss(&mut self, kind: &str, asked: Chance) -> Result<(), SettingError> {
        let mean = percent(asked.chance);
        if asked.correlation <= 0.0 || asked.chance >= 1.0 {
            self.rule(&[("rule", quoted(kind)), ("chance", quoted(&mean))]);
            return Ok(());
        }
        // The chain whose neighbours are correlated by ρ stays in loss with P + ρ(1 − P), so a
        // burst has 1/((1 − P)(1 − ρ)) packets.
        let length = 1.0 / ((1.0 - asked.chance) * (1.0 - asked.correlation));
        if length > 1e6 {
            return Err(SettingError::new(
                "loss",
                format!(
                    "a correlation of {} repeats one draw for ever; write less, 90% say",
                    percent(asked.correlation)
                ),
            ));
        }
        let length = format!("{length:.4}");
        let length = length.trim_end_matches('0').trim_end_matches('.');
        let burst = object(&[("mean", quoted(&mean)), ("length", length.to_owned())]);
        self.rule(&[("rule", quoted(kind)), ("burst", burst)]);
        self.remark(format!(
            "With loss {mean} and a correlation of {} netem loses {} of the packets, because it \
             averages its random numbers and so keeps them away from the threshold. Here {mean} \
             are lost, in bursts of {length} packets on average, which is what a correlation of {} \
             between neighbours means.",
            percent(asked.correlation),
            roughly(true_chance(asked.chance, asked.correlation)),
            percent(asked.correlation),
        ));
        Ok(())
    }

    fn two_states(
        &mut self,
        kind: &str,
        [p, r, loss_bad, loss_good]: [f64; 4],
    ) -> Result<(), SettingError> {
        if p + r < 1e-7 {
            return Err(SettingError::new(
                "loss gemodel",
                "with p and r of 0 its state never changes; write gemodel 1% 20%, say",
            ));
        }
        let states = object(&[
            ("p", quoted(&percent(p))),
            ("r", quoted(&percent(r))),
            ("loss_bad", quoted(&percent(loss_bad))),
            ("loss_good", quoted(&percent(loss_good))),
        ]);
        self.rule(&[("rule", quoted(kind)), ("gilbert_elliott", states)]);
        let bad = p / (p + r);
        let stay = if r > 0.0 {
            format!(" It stays bad for {:.1} packets on average.", 1.0 / r)
        } else {
            String::new()
        };
        self.remark(format!(
            "This gemodel loses {} of the packets.{stay} netem starts it in the good state, here \
             it starts as it goes on.",
            roughly(bad * loss_bad + (1.0 - bad) * loss_good)
        ));
        Ok(())
    }

    fn four_states(
        &mut self,
        kind: &str,
        [p13, p31, p32, p23, p14]: [f64; 5],
    ) -> Result<(), SettingError> {
        for (names, sum) in [("P13 and P14", p13 + p14), ("P31 and P32", p31 + p32)] {
            if sum > 1.0 + 1e-12 {
                let problem = format!(
                    "{names} leave the same state and are more than 100% together; write smaller \
                     ones"
                );
                return Err(SettingError::new("loss state", problem));
            }
        }
        if p31 <= 0.0 || (p32 > 0.0 && p23 <= 0.0) {
            let problem = "a burst would never end; write P31 (and with P32 also P23) above 0%";
            return Err(SettingError::new("loss state", problem));
        }
        let names = ["p13", "p31", "p32", "p23", "p14"];
        let fields: Vec<(&str, String)> =
            names.into_iter().zip([p13, p31, p32, p23, p14].map(|p| quoted(&percent(p)))).collect();
        self.rule(&[("rule", quoted(kind)), ("four_state", object(&fields))]);
        let inside = if p32 > 0.0 { p13 * p32 / (p31 * p23) } else { 0.0 };
        let lost = (p13 / p31 + p14) / (1.0 + p14 + p13 / p31 + inside);
        self.remark(format!(
            "This four-state model loses {} of the packets, within bursts {:.1} in a row on \
             average. netem starts it in the gap between bursts, here it starts as it goes on.",
            roughly(lost),
            1.0 / (p31 + p32)
        ));
        Ok(())
    }

    pub(super) fn corrupt(&mut self, netem: &Netem) {
        let Some(asked) = netem.corrupt.filter(|asked| asked.chance > 0.0) else { return };
        self.rule(&[("rule", quoted("corrupt")), ("chance", quoted(&percent(asked.chance)))]);
        self.remark(
            "netem flips one bit anywhere in the frame, headers included, behind the checksums, so \
             the receiver's kernel throws nearly every such packet away: it is loss by another \
             name. Here a bit of the payload is flipped and the packet arrives.",
        );
        self.correlation("corrupt", "damages", asked);
    }

    pub(super) fn reorder(&mut self, netem: &Netem) {
        let Some(asked) = netem.reorder.filter(|asked| asked.chance > 0.0) else { return };
        let gap = netem.gap.unwrap_or(1).max(1) as f64;
        // After a jump gap − 1 packets wait for sure, then each jumps with the chance asked.
        let share = 1.0 / (gap - 1.0 + 1.0 / asked.chance);
        self.rule(&[
            ("rule", quoted("reorder")),
            ("chance", quoted(&percent(share))),
            ("ahead", "true".into()),
        ]);
        self.remark(
            "netem's reorder sends a packet at once, past delay, jitter and rate; it needs packets \
             closer together than the delay. Here it does the same; to swap neighbours leave \
             \"ahead\" out.",
        );
        if gap > 1.0 {
            self.remark(format!(
                "With gap {gap} netem lets one packet in {:.1} jump, at the least {gap} apart; \
                 here each jumps with that chance, drawn on its own.",
                1.0 / share
            ));
        }
        self.correlation("reorder", "sends ahead", asked);
    }

    /// Says what becomes of a correlated draw that is no loss: bursts of copies or of damage have
    /// no rule of their own.
    fn correlation(&mut self, option: &str, does: &str, asked: Chance) {
        if asked.correlation <= 0.0 {
            return;
        }
        let chance = percent(asked.chance);
        self.remark(format!(
            "With {option} {chance} and a correlation of {} netem {does} {} of the packets, \
             because it averages its random numbers. Here it is {chance}, each drawn on its own.",
            percent(asked.correlation),
            roughly(true_chance(asked.chance, asked.correlation)),
        ));
    }
}

impl Netem {
    /// Returns true if tc sends the correlations to the kernel: one behind duplicate alone does not
    /// make it.
    fn sends_correlations(&self) -> bool {
        let loss = matches!(self.loss, Some(Loss::Random(loss)) if loss.correlation > 0.0);
        let others = [self.corrupt, self.reorder]
            .into_iter()
            .flatten()
            .any(|chance| chance.correlation > 0.0);
        loss || others || self.delay.is_some_and(|delay| delay.correlation > 0.0)
    }
}
