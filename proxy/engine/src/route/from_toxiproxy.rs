//! Translates Toxiproxy's files into configurations with profiles: what it takes with `-config` and
//! at `/populate`, and what it prints at `/proxies`.

use super::toxiproxy::is_listing;
use super::{Configuration, Route, ToxicKind};
use crate::profile::no_files;
use crate::rules::Rule;
use jostle_common::setting::{SettingError, parse_json};
use serde_json::Value;

/// A configuration, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranslatedProxies {
    /// The configuration, as JSON text laid out as people do it.
    pub configuration: String,
    /// Remarks on what was read over and on what is different here; a sentence or two each.
    pub remarks: Vec<String>,
}

/// Translates Toxiproxy's proxies, each toxic into the rule that does what it does.
///
/// ```
/// use jostle_engine::route::from_toxiproxy;
/// let text = r#"[ { "name": "redis", "listen": "127.0.0.1:26379", "upstream": "127.0.0.1:6379",
///     "toxics": [ { "type": "latency", "attributes": { "latency": 100 } } ] } ]"#;
/// assert!(from_toxiproxy(text).unwrap().configuration.contains(r#""time": "100ms""#));
/// ```
///
/// # Errors
/// When it is neither of Toxiproxy's two forms, or says something impossible; with the place and
/// the remedy.
pub fn from_toxiproxy(text: &str) -> Result<TranslatedProxies, SettingError> {
    let is_toxiproxys = match parse_json(text)? {
        Value::Array(_) => true,
        Value::Object(object) => is_listing(&object),
        _ => false,
    };
    if !is_toxiproxys {
        let problem = "this is not Toxiproxy's; it has a list of proxies, or prints an object of \
                       them by their names";
        return Err(SettingError::new("", problem));
    }
    let mut configuration = Configuration::from_json(text, &no_files)?;
    let mut remarks: Vec<String> =
        configuration.remarks.iter().map(|remark| format!("{remark}.")).collect();
    let toxics = |route: &Route| {
        let rules = route.profile.up.rules().chain(route.profile.down.rules());
        rules.filter_map(|rule| rule.toxic.clone()).collect::<Vec<_>>()
    };
    let all: Vec<_> = configuration.routes.iter().flat_map(toxics).collect();
    if !all.is_empty() {
        remarks.push(
            "Toxics act on the stream in pieces of what was read, and lose no byte; so do these \
             rules, as \"tcp\" and \"unit\" say. Leave both out, and the stream crosses the link \
             as the segments of a modelled TCP."
                .to_owned(),
        );
    }
    let is_there = |kind: ToxicKind| all.iter().any(|toxic| toxic.kind() == Some(kind));
    if is_there(ToxicKind::Bandwidth) {
        remarks.push(
            "Toxiproxy's rate is kilobytes (1000 bytes) per second; a limit here is bits."
                .to_owned(),
        );
    }
    if all.iter().any(|toxic| toxic.toxicity < 1.0) {
        remarks.push(
            "A toxicity is \"flows\" here: drawn for each connection by the seed, so it is the \
             same each time."
                .to_owned(),
        );
    }
    for route in &mut configuration.routes {
        for timeline in [&mut route.profile.up, &mut route.profile.down] {
            let rules = timeline.phases.iter_mut().flat_map(|phase| &mut phase.rules);
            rules.for_each(|rule: &mut Rule| rule.toxic = None);
        }
    }
    let configuration = configuration.to_text();
    Configuration::from_json(&configuration, &no_files).map_err(|error| {
        SettingError::new(error.place, format!("no profile can say that: {}", error.problem))
    })?;
    Ok(TranslatedProxies { configuration, remarks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn proxy(toxics: &Value) -> String {
        json!([{ "name": "p", "listen": "127.0.0.1:1", "upstream": "127.0.0.1:2", "toxics": toxics }])
            .to_string()
    }

    /// Returns the profile of the only proxy of a translation, and its remarks.
    fn translated(text: &str) -> (Value, String) {
        let translation = from_toxiproxy(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let value: Value = serde_json::from_str(&translation.configuration).unwrap();
        let read = Configuration::from_json(&translation.configuration, &no_files).unwrap();
        assert_eq!(read.to_text(), translation.configuration, "it is canonical");
        (value["proxies"][0].clone(), translation.remarks.join("\n"))
    }

    #[test]
    fn each_toxic_becomes_the_rule_that_does_what_it_does() {
        for (kind, attributes, rule) in [
            (
                "latency",
                json!({ "latency": 1000 }),
                json!({ "rule": "delay", "time": "1s", "holds_ends": false }),
            ),
            (
                "latency",
                json!({ "latency": 100, "jitter": 20 }),
                json!({ "rule": "delay", "time": "100ms", "jitter": "20ms", "holds_ends": false }),
            ),
            ("bandwidth", json!({ "rate": 125 }), json!({ "rule": "rate", "limit": "1Mbit/s" })),
            ("bandwidth", json!({ "rate": 7 }), json!({ "rule": "rate", "limit": "56kbit/s" })),
            (
                "slow_close",
                json!({ "delay": 250 }),
                json!({ "rule": "slow_close", "delay": "250ms" }),
            ),
            ("timeout", json!({ "timeout": 500 }), json!({ "rule": "stall", "close": "500ms" })),
            ("timeout", json!({ "timeout": 0 }), json!({ "rule": "stall" })),
            ("reset_peer", json!({ "timeout": 200 }), json!({ "rule": "reset", "after": "200ms" })),
            ("reset_peer", json!({}), json!({ "rule": "reset", "after": "0s" })),
            (
                "slicer",
                json!({ "average_size": 64, "size_variation": 16, "delay": 10 }),
                json!({ "rule": "slice", "size": "64B", "spread": "16B", "gap": "10us" }),
            ),
            ("slicer", json!({ "average_size": 500 }), json!({ "rule": "slice", "size": "500B" })),
            (
                "limit_data",
                json!({ "bytes": 1000 }),
                json!({ "rule": "close_after", "bytes": "1000B" }),
            ),
            ("noop", json!({}), json!({ "rule": "slow_close", "delay": "0s" })),
        ] {
            for (stream, list) in [("downstream", "down"), ("upstream", "up")] {
                let toxic = json!({ "type": kind, "stream": stream, "attributes": attributes });
                let (route, remarks) = translated(&proxy(&json!([toxic])));
                let mut rules = route["profile"][list].clone();
                let fields = rules[0].as_object_mut().unwrap();
                assert_eq!(fields.remove("name"), Some(format!("{kind}_{stream}").into()));
                fields.remove("per");
                // Sizes and times have one spelling, whatever it is.
                let named = |rule: &Value| {
                    let list = json!({ "up": [rule] });
                    crate::profile::Profile::from_value("", list, &no_files).unwrap().to_value()
                };
                assert_eq!(named(&rules[0]), named(&rule), "{kind} {attributes}");
                assert_eq!(
                    (&route["tcp"], &route["unit"]),
                    (&json!("raw"), &json!("read")),
                    "{kind}"
                );
                assert!(remarks.contains("lose no byte"), "{remarks}");
                assert_eq!(remarks.contains("kilobytes"), kind == "bandwidth");
            }
        }
    }

    #[test]
    fn files_and_listings_are_read_and_nothing_else() {
        let (route, remarks) = translated(
            r#"{ "redis": { "name": "redis", "listen": "127.0.0.1:26379", "upstream": "127.0.0.1:6379", "enabled": false,
                 "toxics": [ { "name": "slow", "type": "latency", "toxicity": 0.5, "attributes": { "latency": 5 } } ] } }"#,
        );
        assert_eq!((&route["name"], &route["enabled"]), (&json!("redis"), &json!(false)));
        assert_eq!(route["listen"], "tcp://127.0.0.1:26379");
        assert_eq!(route["profile"]["down"][0]["flows"], "50%");
        assert!(remarks.contains("A toxicity is \"flows\" here"), "{remarks}");
        let (plain, remarks) =
            translated(r#"[ { "name": "a", "upstream": "127.0.0.1:2", "color": 1 } ]"#);
        assert_eq!((plain.get("profile"), plain.get("tcp")), (None, None));
        assert!(remarks.contains("color: Toxiproxy reads over this key"), "{remarks}");
        for (text, problem) in [
            (r#"{ "proxies": [] }"#, "this is not Toxiproxy's"),
            ("5", "this is not Toxiproxy's"),
            ("[]", "there is no route"),
            ("{", "EOF"),
            (&proxy(&json!([{ "type": "fast" }])), "invalid toxic type"),
            (
                &proxy(&json!([{ "type": "latency", "attributes": { "latency": "5" } }])),
                "write whole numbers",
            ),
            (&proxy(&json!([{ "type": "latency", "stream": "both ways" }])), "write one of them"),
        ] {
            let error = from_toxiproxy(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_numbers_become_rules_that_are_right(
            kind in prop::sample::select(&["latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data", "noop"][..]),
            numbers in prop::collection::vec(any::<i64>(), 3), small in prop::collection::vec(-9i64..999, 3),
            toxicity in 0.0f32..1.5, text in "\\PC{0,40}",
        ) {
            for numbers in [numbers, small] {
                let attributes = json!({
                    "latency": numbers[0], "jitter": numbers[1], "rate": numbers[0], "delay": numbers[2], "timeout": numbers[0],
                    "average_size": numbers[0], "size_variation": numbers[1], "bytes": numbers[0],
                });
                let toxic = json!({ "type": kind, "toxicity": toxicity, "attributes": attributes });
                if let Ok(translation) = from_toxiproxy(&proxy(&json!([toxic]))) {
                    let read = Configuration::from_json(&translation.configuration, &no_files).unwrap();
                    prop_assert_eq!(read.to_text(), translation.configuration);
                }
            }
            let _ = from_toxiproxy(&text);
        }
    }
}
