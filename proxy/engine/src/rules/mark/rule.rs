//! Marks packets, and loses those that cannot be marked.

use super::Mark;
use crate::packet::Packet;
use crate::rules::drop::DropRule;
use crate::rules::setting::InstantRule;
use crate::rules::source::Origin;
use crate::stage::{Reason, Verdict};
use jostle_common::ecn::Ecn;

/// A `mark` rule at work.
#[derive(Debug)]
pub(super) struct MarkRule {
    choice: DropRule,
}

impl MarkRule {
    pub(super) fn new(setting: &Mark, origin: Origin) -> Self {
        Self { choice: DropRule::new(&setting.chosen, origin) }
    }
}

impl InstantRule for MarkRule {
    fn untouched(&mut self, run: &Packet) -> u32 {
        if run.ecn == Ecn::Ce { run.count() } else { self.choice.spares(run) }
    }

    #[inline]
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        // Congestion that was told of before is told of no second time.
        if !self.choice.chooses(packet) || packet.ecn == Ecn::Ce {
            Verdict::Pass
        } else if packet.mark_congestion() {
            packet.trace.choose();
            Verdict::Pass
        } else {
            Verdict::Discard(Reason::Mark)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use crate::profile::Profile;
    use crate::stage::{Output, Stage};
    use jostle_common::time::Instant;

    #[test]
    fn it_may_look_at_one_kind_of_senders_alone() {
        let rule = r#"{ "rule": "mark", "chance": "100%", "match": { "ecn": ["ect1", "ce"] } }"#;
        let profile = Profile::from_json(&format!(r#"{{ "up": [ {rule} ] }}"#)).unwrap();
        let [mut link, _] = Link::both(&profile, 5, "test");
        let said = Ecn::ALL.map(|ecn| {
            let body = crate::packet::Body::data("x");
            link.handle(Packet { ecn, ..Packet::new(1, Instant::START, body) });
            let Some(Output::Deliver(packet)) = link.poll(Instant::START) else { panic!("{ecn}") };
            packet.ecn
        });
        assert_eq!(said, [Ecn::NotEct, Ecn::Ce, Ecn::Ect0, Ecn::Ce]);
    }

    /// RFC 3168, section 5: CE may be set on ECT(0) and ECT(1) alike, stays where it is, and what
    /// is not ECN-capable is dropped. Whatever becomes of them, the packets are those that `drop`
    /// would lose.
    #[test]
    fn what_drop_would_lose_is_marked_and_dropped_where_it_cannot_be() {
        for fields in [
            r#""chance": "20%""#,
            r#""every": 10"#,
            r#""packets": [3, 5, 8, 4711]"#,
            r#""burst": { "mean": "10%", "length": 4 }"#,
            r#""gilbert_elliott": { "p": "5%", "r": "40%", "loss_bad": "60%", "loss_good": "1%" }"#,
            r#""pattern": ["5%", "50%", "0%"]"#,
        ] {
            let link = |kind: &str| {
                let rule = format!(r#"{{ "rule": "{kind}", "name": "one", {fields} }}"#);
                let profile = Profile::from_json(&format!(r#"{{ "up": [ {rule} ] }}"#)).unwrap();
                let [link, _] = Link::both(&profile, 5, "test");
                link
            };
            let (mut losing, mut marking) = (link("drop"), link("mark"));
            let mut seen = [0; 4];
            for number in 1..=10_000_u64 {
                let ecn = Ecn::of_tos((number % 7 % 4) as u8);
                let through = |link: &mut Link| {
                    let at = Instant::from_millis(number);
                    let body = crate::packet::Body::data("x");
                    link.handle(Packet { ecn, ..Packet::new(1, at, body) });
                    link.poll(at).unwrap()
                };
                let (lost, marked) = (through(&mut losing), through(&mut marking));
                let chosen = matches!(lost, Output::Discard(..));
                seen[usize::from(ecn.bits())] += u32::from(chosen);
                match (&marked, chosen, ecn) {
                    (Output::Discard(_, Reason::Mark), true, Ecn::NotEct) => {}
                    (Output::Deliver(packet), true, Ecn::Ect0 | Ecn::Ect1) => {
                        assert_eq!((packet.ecn, packet.is_marked()), (Ecn::Ce, true), "{fields}");
                        assert!(packet.trace.is_signed(0), "{fields}: it is named");
                    }
                    (Output::Deliver(packet), ..) if !chosen || ecn == Ecn::Ce => {
                        let unchanged = (packet.ecn, packet.is_marked(), packet.trace.rules);
                        assert_eq!(unchanged, (ecn, false, 0), "{fields}");
                    }
                    _ => panic!("{fields}: {number} {ecn}: {marked:?}"),
                }
            }
            assert!(fields.contains("packets") || seen.iter().all(|&count| count > 50), "{seen:?}");
            let (losing, marking) = (losing.counters(), marking.counters());
            let ecn = marking.ecn;
            let told = marking.discarded(Reason::Mark) + ecn.marked + u64::from(seen[3]);
            assert_eq!(losing.discarded(Reason::Drop), told, "{fields}");
            let delivered = ecn.ect0 + ecn.ect1 + ecn.ce;
            assert!(marking.delivered > delivered && ecn.ce > ecn.marked, "{marking:?}");
        }
    }
}
