//! The lines of a journal as they are written.

use super::VERSION;
use crate::registry::{Deed, Origin};
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use jostle_proxy::Began;
use serde_json::Value;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// The time of a line, as the run and as the calendar have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) at: Instant,
    pub(super) wall: Duration,
}

/// What a line says behind its time.
#[derive(Debug)]
pub(super) enum Said<'a> {
    Start {
        rules_on: bool,
        configuration: Value,
    },
    Proxy {
        origin: Origin,
        deed: Deed,
        name: &'a str,
        revision: u64,
        began: Began,
        route: Option<Value>,
    },
    Rules {
        origin: Origin,
        on: bool,
        began: &'a [(String, Began)],
    },
    Lost {
        lost: u64,
        rules_on: bool,
        configuration: Value,
    },
    End {
        lost: u64,
    },
}

/// Writes a line. `digest` is that of the configuration which holds then.
pub(super) fn line(when: When, said: &Said<'_>, digest: Digest) -> String {
    let When { at, wall } = when;
    let time = humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + wall);
    let mut line = format!(r#"{{"t":{at},"time":"{time}","#);
    // Memory takes whatever is written.
    let written = match said {
        Said::Start { rules_on, configuration } => write!(
            line,
            r#""change":"start","journal":{VERSION},"version":"{}","rules_on":{rules_on},"configuration":{configuration}"#,
            env!("CARGO_PKG_VERSION"),
        ),
        Said::Proxy { origin, deed, name, revision, began, route } => write!(
            line,
            r#""origin":"{}","change":"{}","proxy":{},"revision":{revision},"began":{},"route":{}"#,
            origin.name(),
            deed.name(),
            Value::from(*name),
            moments(*began),
            route.as_ref().unwrap_or(&Value::Null),
        ),
        Said::Rules { origin, on, began } => {
            let each = began
                .iter()
                .map(|(name, began)| format!("{}:{}", Value::from(name.as_str()), moments(*began)));
            write!(
                line,
                r#""origin":"{}","change":"rules","on":{on},"began":{{{}}}"#,
                origin.name(),
                each.collect::<Vec<_>>().join(",")
            )
        }
        Said::Lost { lost, rules_on, configuration } => write!(
            line,
            r#""change":"lost","lost":{lost},"rules_on":{rules_on},"configuration":{configuration}"#
        ),
        Said::End { lost } => write!(line, r#""change":"end","lost":{lost}"#),
    };
    written.expect("memory takes whatever is written");
    line + &format!(",\"sha256\":\"{digest}\"}}\n")
}

/// Writes when the time of rules began: those that have.
fn moments(began: Began) -> String {
    let moments = [("udp", began.udp), ("tcp", began.tcp)];
    let written = moments.into_iter().filter_map(|(name, at)| Some(format!(r#""{name}":{}"#, at?)));
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}
