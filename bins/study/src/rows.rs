//! The result row: one cell of a comparison, trial or sweep, with the same keys everywhere.
//!
//! A row is one JSON object on one line. What depends on the machine or on the moment stands in
//! `host`, and in the times of a run on real sockets; of a row in virtual time all the rest is a
//! pure function of the cell. A number that was not measured is `null`.

use jostle_common::statistics::RoundTripMs;
use jostle_common::units::{Probability, Span};
use jostle_engine::counters::Counters;
use jostle_engine::stage::Reason;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The key in `host` of the question that a row's sweep answers.
pub const ABOUT: &str = "about";

/// The outcome of one transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The protocol that carried the file: `tcp`, `udp` (plain, without retransmission), `saw`
    /// (stop-and-wait over UDP) …
    pub protocol: String,
    /// The share of packets that the route loses in each direction, as a fraction: `0.05`. Reads
    /// `"5%"` too.
    #[serde(serialize_with = "fraction")]
    pub loss: Probability,
    /// The one-way delay of the route, in each direction: `"5ms"`.
    pub delay: Span,
    /// The repetition of the cell that it is, from 1.
    pub repeat: u32,
    /// The seed of all chance in the row.
    pub seed: u64,
    /// True if time was virtual: no socket, no waiting, exactly repeatable.
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    /// True if the protocol did what it promises. For `udp` that is to account for the file,
    /// damaged or not.
    pub ok: bool,
    /// The reason why it did not.
    pub error: Option<String>,
    /// The time that the file took, in seconds: from the client's first packet or connect until the
    /// server confirmed it (`tcp`), the last packet arrived (`saw`), or, from the announcement on,
    /// the last chunk that did arrive (`udp`); of `ping` until the last answer, or until what was
    /// missing was given up; of `messages` until the goodbye was acknowledged.
    pub seconds: Option<f64>,
    /// Undamaged bytes of the file that arrived, in bits per second of `seconds`.
    pub goodput_bps: Option<u64>,
    /// True if the received bytes are the file: the same SHA-256. `null` when nothing was received.
    pub digest_equal: Option<bool>,
    /// Chunks of which an undamaged copy arrived; of `ping`, requests that were answered; of
    /// `messages`, messages. `intact + missing + damaged` is the number of them.
    pub intact: Option<u64>,
    /// Chunks of which no copy arrived.
    pub missing: Option<u64>,
    /// Chunks of which only damaged copies arrived.
    pub damaged: Option<u64>,
    /// Copies beyond each chunk's first.
    pub doubled: Option<u64>,
    /// Chunks whose first copy arrived after a later chunk; of `ping`, answers behind their
    /// timeout.
    pub late: Option<u64>,
    /// Packets that both endpoints sent: datagrams, or the segments of a modelled TCP; first
    /// sendings, repetitions and control.
    pub packets: Option<u64>,
    /// The number of those that repeated an earlier one.
    pub retransmissions: Option<u64>,
    /// The round trips that the client measured, or the modelled TCP.
    #[serde(default)]
    pub rtt_ms: Option<RoundTripMs>,
    /// The proxy's effects on the packets of this row.
    pub proxy: Option<RouteCounts>,
    /// The version of jostle that made the row.
    #[serde(default)]
    pub version: String,
    /// The cell's other parameters, such as `size` and `corrupt`, and results that only some cells
    /// have, such as the `frames_lost` of music.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// Facts that depend on the machine or the moment: none in virtual time. A row of a sweep has
    /// the question that the sweep answers ([`ABOUT`]).
    pub host: Map<String, Value>,
}

impl Row {
    /// Creates the first repetition in real time, before anything was measured.
    pub fn unmeasured(protocol: &str, loss: Probability, delay: Span, seed: u64) -> Self {
        Self {
            protocol: protocol.to_owned(),
            loss,
            delay,
            repeat: 1,
            seed,
            is_virtual: false,
            ok: false,
            error: None,
            seconds: None,
            goodput_bps: None,
            digest_equal: None,
            intact: None,
            missing: None,
            damaged: None,
            doubled: None,
            late: None,
            packets: None,
            retransmissions: None,
            rtt_ms: None,
            proxy: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            more: Map::new(),
            host: Map::new(),
        }
    }
}

/// The fates of the packets of a route. `in + copies = delivered + discarded + held`, each way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCounts {
    /// From client to server.
    pub up: LinkCounts,
    /// From server to client.
    pub down: LinkCounts,
}

/// The fates of the packets of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounts {
    /// Packets that came in.
    #[serde(rename = "in")]
    pub entered: u64,
    /// Copies that rules made.
    pub copies: u64,
    /// Packets and copies that went out.
    pub delivered: u64,
    /// Packets and copies that ended here, by reason; reasons that never occurred are left out.
    pub discarded: BTreeMap<String, u64>,
    /// Of the delivered, how many had bits flipped.
    pub corrupted: u64,
    /// Packets and copies that were still inside at the end.
    pub held: u64,
    /// Datagrams that the kernel dropped before they could be read.
    pub missed_by_kernel: u64,
}

impl LinkCounts {
    /// Adds the packets of another link.
    pub fn add(&mut self, other: &Self) {
        self.entered += other.entered;
        self.copies += other.copies;
        self.delivered += other.delivered;
        for (reason, count) in &other.discarded {
            *self.discarded.entry(reason.clone()).or_default() += count;
        }
        self.corrupted += other.corrupted;
        self.held += other.held;
        self.missed_by_kernel += other.missed_by_kernel;
    }

    /// Returns the number of packets and copies that were discarded, for whatever reason.
    pub fn discarded_total(&self) -> u64 {
        self.discarded.values().sum()
    }
}

impl From<&Counters> for LinkCounts {
    fn from(counters: &Counters) -> Self {
        let discarded = Reason::ALL
            .iter()
            .map(|reason| (reason.name().to_owned(), counters.discarded(*reason)));
        Self {
            entered: counters.entered,
            copies: counters.copies,
            delivered: counters.delivered,
            discarded: discarded.filter(|(_, count)| *count > 0).collect(),
            corrupted: counters.corrupted,
            held: counters.held,
            missed_by_kernel: 0,
        }
    }
}

/// Returns the bits per second of `bytes` in `seconds`, to the nearest bit; `None` for no time at
/// all.
pub fn goodput_bps(bytes: u64, seconds: f64) -> Option<u64> {
    (seconds > 0.0).then(|| libm::round(bytes as f64 * 8.0 / seconds) as u64)
}

// A number is what `jq` and plotting programs want on an axis.
fn fraction<S: Serializer>(probability: &Probability, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(probability.as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn row() -> Row {
        let up = LinkCounts {
            entered: 235,
            delivered: 223,
            discarded: BTreeMap::from([("drop".to_owned(), 12)]),
            ..LinkCounts::default()
        };
        Row {
            protocol: "udp".to_owned(),
            loss: "5%".parse().unwrap(),
            delay: Span(Duration::from_millis(5)),
            repeat: 1,
            seed: 7,
            is_virtual: false,
            ok: true,
            error: None,
            seconds: Some(1.25),
            goodput_bps: goodput_bps(1_000_000, 1.25),
            digest_equal: Some(false),
            intact: Some(223),
            missing: Some(12),
            damaged: Some(0),
            doubled: Some(0),
            late: None,
            packets: Some(241),
            retransmissions: Some(0),
            rtt_ms: None,
            proxy: Some(RouteCounts { up, down: LinkCounts::default() }),
            version: "0.1.0".to_owned(),
            more: Map::from_iter([("corrupt".to_owned(), json!("0.1%"))]),
            host: Map::from_iter([("cpus".to_owned(), json!(2))]),
        }
    }

    #[test]
    fn keys_stand_in_their_order_and_values_carry_their_units() {
        assert_eq!(
            serde_json::to_string(&row()).unwrap(),
            concat!(
                r#"{"protocol":"udp","loss":0.05,"delay":"5ms","repeat":1,"seed":7,"#,
                r#""virtual":false,"ok":true,"error":null,"seconds":1.25,"goodput_bps":6400000,"#,
                r#""digest_equal":false,"intact":223,"missing":12,"damaged":0,"doubled":0,"#,
                r#""late":null,"packets":241,"retransmissions":0,"rtt_ms":null,"#,
                r#""proxy":{"up":{"in":235,"copies":0,"delivered":223,"discarded":{"drop":12},"#,
                r#""corrupted":0,"held":0,"missed_by_kernel":0},"down":{"in":0,"copies":0,"#,
                r#""delivered":0,"discarded":{},"corrupted":0,"held":0,"missed_by_kernel":0}},"#,
                r#""version":"0.1.0","corrupt":"0.1%","host":{"cpus":2}}"#
            )
        );
    }

    #[test]
    fn a_row_reads_back_as_it_was() {
        let text = serde_json::to_string(&row()).unwrap();
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row());
        let by_hand = text.replace("\"loss\":0.05", "\"loss\":\"5%\"");
        assert_eq!(serde_json::from_str::<Row>(&by_hand).unwrap(), row());
    }

    #[test]
    fn two_links_add_up_count_by_count() {
        let mut up = row().proxy.unwrap().up;
        let discarded = BTreeMap::from([("drop".to_owned(), 1), ("full".to_owned(), 2)]);
        let other = LinkCounts {
            entered: 9,
            copies: 2,
            delivered: 7,
            discarded,
            corrupted: 3,
            held: 1,
            missed_by_kernel: 4,
        };
        up.add(&other);
        assert_eq!((up.entered, up.copies, up.delivered, up.held), (244, 2, 230, 1));
        assert_eq!((up.corrupted, up.missed_by_kernel, up.discarded_total()), (3, 4, 15));
        assert_eq!(up.entered + up.copies, up.delivered + up.discarded_total() + up.held);
        assert_eq!(up.discarded["drop"], 13);
    }

    #[test]
    fn goodput_needs_a_time() {
        assert_eq!(goodput_bps(960_000, 60.0), Some(128_000));
        assert_eq!(goodput_bps(1, 0.0), None);
    }
}
