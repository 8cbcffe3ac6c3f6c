//! The promise of a `cross` rule: what it sends. What that leaves of the rules behind it depends
//! on the traffic that it meets.

use super::{Cross, CrossTraffic};
use crate::route::TcpMode;
use jostle_common::words::time;
use serde_json::{Value, json};

pub(super) fn numbers(setting: &Cross) -> Value {
    let start = setting.start.as_secs_f64();
    match setting.traffic {
        CrossTraffic::Tcp { flows, model, back, access } => json!({
            "streams": flows,
            "model": TcpMode::Model(model).name(),
            "return": back.as_secs_f64(),
            "access": access.bits_per_second(),
            "start": start,
        }),
        CrossTraffic::Constant { rate, size } => {
            let packets = rate.bits_per_second() as f64 / (8.0 * f64::from(size));
            json!({ "rate": rate.bits_per_second(), "size": size, "packets_per_second": packets,
                    "start": start })
        }
    }
}

/// Says in a few words what it sends.
pub(super) fn brief(setting: &Cross) -> String {
    match setting.traffic {
        CrossTraffic::Tcp { flows, model, .. } => {
            let name = TcpMode::Model(model).name();
            if flows == 1 { format!("1 {name} stream") } else { format!("{flows} {name} streams") }
        }
        CrossTraffic::Constant { rate, .. } => rate.to_string(),
    }
}

pub(super) fn words(setting: &Cross) -> String {
    let what = match setting.traffic {
        CrossTraffic::Tcp { back, .. } => {
            let back = time(back.as_secs_f64());
            format!("sends {} of others, acknowledged {back} later,", brief(setting))
        }
        CrossTraffic::Constant { size, .. } => {
            format!("sends {} of others in packets of {size} bytes", brief(setting))
        }
    };
    let start = match setting.start.as_secs_f64() {
        0.0 => String::new(),
        start => format!(", from {} on", time(start)),
    };
    format!("{what} through what is behind it{start}")
}
