//! Tests of the configurations that are read, and of the errors for those that are not.

use super::*;
use crate::route::{CongestionControl, HostPort, Transports, Unit};
use crate::rules::Per;
use std::time::Duration;

fn no_files(name: &str) -> Result<String, String> {
    match name {
        "mine.json" => Ok(r#"{ "up": [ { "rule": "drop", "every": 2 } ] }"#.into()),
        "broken.json" => Ok(r#"{ "up": [ { "rule": "drop", "every": 0 } ] }"#.into()),
        _ => Err("no such file".into()),
    }
}

fn read(text: &str) -> Result<Configuration, SettingError> {
    Configuration::from_json(text, &no_files)
}

#[test]
fn the_shipped_schema_is_current_and_names_every_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/config.schema.json");
    let current = schema();
    if std::env::var_os("JOSTLE_BLESS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let shipped = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        shipped == current,
        "write it again: jostle profile schema --config > configs/config.schema.json"
    );
    let schema: Value = serde_json::from_str(&current).unwrap();
    let fields = schema["definitions"]["Route"]["properties"].as_object().unwrap();
    assert_eq!(fields.len(), 16, "{fields:?}");
    for (name, field) in fields {
        assert!(field["description"].is_string(), "{name}: {field}");
    }
    // A file may name it, for editors.
    let text = r#"{ "$schema": "config.schema.json", "proxies": [ { "listen": "udp://127.0.0.1:1", "upstream": "127.0.0.1:2" } ] }"#;
    assert_eq!(read(text).unwrap().routes.len(), 1);
}

#[test]
fn every_key_is_read() {
    let configuration = read(
        r#"{ "seed": 7, "proxies": [
            { "name": "dns", "listen": "udp://127.0.0.1:5353", "upstream": "localhost:53", "profile": "coffee-shop-wifi",
              "seed": 8, "enabled": false, "follow": true, "idle": "30s" },
            { "listen": "[::1]:8080", "upstream": "[::1]:80", "profile": "mine.json", "tcp": "raw", "unit": "4KiB" },
            { "listen": "both://:5201", "upstream": "10.0.0.1:5201", "profile": { "down": [] }, "tcp": { "model": "reno" } } ] }"#,
    )
    .unwrap();
    assert_eq!(configuration.seed, Some(7));
    let [dns, web, both] = &configuration.routes[..] else { panic!() };
    assert_eq!(
        (dns.name.as_str(), dns.transport, dns.seed, dns.enabled),
        ("dns", Transports::Udp, Some(8), false)
    );
    assert_eq!(
        (dns.idle, dns.follow, dns.profile.is_empty()),
        (Some(Duration::from_secs(30)), true, false)
    );
    assert_eq!((web.name.as_str(), web.tcp), ("2", TcpMode::Raw(Unit::Bytes(4096))));
    assert_eq!(
        (web.listen.to_string().as_str(), web.profile.up.rules().count()),
        ("[::1]:8080", 1)
    );
    assert_eq!(
        (both.transport, both.tcp),
        (Transports::Both, TcpMode::Model(CongestionControl::Reno))
    );
    assert_eq!(both.listen, HostPort { host: "::".into(), port: 5201 });
}

#[test]
fn the_list_of_keys_is_that_of_the_reader() {
    let error = read(r#"{ "proxies": [ { "nonsense": 1 } ] }"#).unwrap_err().to_string();
    let unknown = serde_json::from_str::<RawRoute>(r#"{ "nonsense": 1 }"#).err().unwrap();
    let named: Vec<String> =
        unknown.to_string().split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert_eq!(named, ROUTE_KEYS, "{error}");
}

#[test]
fn what_toxiproxy_prints_and_takes_beside_is_read() {
    // What GET /proxies prints.
    let listing = read(
        r#"{ "web": { "name": "web", "listen": "127.0.0.1:8474", "upstream": "localhost:80", "enabled": true, "Logger": {}, "toxics": [] },
             "db": { "name": "db", "listen": "[::]:5433", "upstream": "pg:postgresql", "enabled": false, "toxics": [] } }"#,
    )
    .unwrap();
    let mut found: Vec<(&str, String, bool)> = listing
        .routes
        .iter()
        .map(|route| (route.name.as_str(), route.destination.to_string(), route.enabled))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [("db", "pg:5432".to_owned(), false), ("web", "localhost:80".to_owned(), true)]
    );
    assert_eq!(listing.remarks, ["web.Logger: Toxiproxy reads over this key, and so does jostle"]);
    let typo = read(
        r#"[ { "name": "a", "listen": ":1", "upstream": "b:2", "toxics": [
            { "type": "latency", "attributes": { "latncy": 500 } } ] } ]"#,
    );
    assert_eq!(
        typo.unwrap().remarks,
        ["[0].toxics[0].attributes.latncy: latency has no such attribute; write latency or jitter"]
    );
    // Keys in other case, what is not said, nothing to listen on, ports by name.
    let taken = read(
        r#"[ { "Name": "a", "UPSTREAM": "localhost:http-alt", "Enabled": null, "Toxics": null },
             { "name": "b", "listen": "", "upstream": "localhost:HTTPS", "extra": 1 },
             { "name": "c", "listen": "localhost:0", "upstream": "localhost:80", "profile": "mine.json" },
             { "name": "a", "listen": "127.0.0.1:23462", "upstream": "localhost:81" } ]"#,
    )
    .unwrap();
    let found: Vec<(&str, u16, u16, bool)> = taken
        .routes
        .iter()
        .map(|route| {
            let upstream = route.destination.upstream().unwrap();
            (route.name.as_str(), route.listen.port, upstream.port, route.enabled)
        })
        .collect();
    assert_eq!(found, [("b", 0, 443, true), ("c", 0, 80, true), ("a", 23_462, 81, true)]);
    assert_eq!(taken.routes[0].listen.host, "::");
    assert!(!taken.routes[1].profile.is_empty(), "an array may hold jostle's own keys");
    assert_eq!(
        taken.remarks,
        [
            "[1].extra: Toxiproxy reads over this key, and so does jostle",
            "[3].name: a second route is called \"a\", and takes the place of the first, as in \
             Toxiproxy",
        ]
    );
}

#[test]
fn toxics_are_applied_to_what_was_read() {
    let text = |toxics: &str| {
        format!(
            r#"[ {{ "name": "a", "listen": ":1", "upstream": "localhost:80", "toxics": {toxics} }} ]"#
        )
    };
    let toxics = r#"[ { "type": "latency", "attributes": { "latency": 5000, "jitter": 2000 } },
                      { "name": "slow", "type": "bandwidth", "stream": "upstream", "toxicity": 0.5, "attributes": { "rate": 3 } },
                      { "type": "timeout" } ]"#;
    let route = read(&text(toxics)).unwrap().routes.pop().unwrap();
    assert_eq!(route.tcp, TcpMode::Raw(Unit::Read));
    let keys = |timeline: &crate::profile::Timeline| {
        timeline.rules().map(|rule| rule.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&route.profile.up), ["slow"]);
    assert_eq!(keys(&route.profile.down), ["latency_downstream", "timeout_downstream"]);
    let says = |toxics: &str| read(&text(toxics)).unwrap_err().to_string();
    for (toxics, problem) in [
        ("{}", "[0].toxics: here belongs a list; write []"),
        (
            r#"[ { "type": "noop" }, { "type": "packet_los" } ]"#,
            "[0].toxics[1]: invalid toxic type; write \"type\": latency, bandwidth, slow_close, \
             timeout, reset_peer, slicer, limit_data, noop, drop, mark, corrupt, delay, \
             duplicate, reorder, rate, batch, outage, size, rebind, cross, slice, stall, reset or close_after",
        ),
        (
            r#"[ { "type": "drop", "attributes": { "chance": "5" } } ]"#,
            "[0].toxics[0].attributes.chance: \"5\" has no unit; write \"5%\"",
        ),
        (
            r#"[ { "type": "noop" }, { "type": "noop" } ]"#,
            "[0].toxics[1]: toxic already exists; give each toxic of a proxy its own name",
        ),
        (
            r#"[ { "type": "latency", "attributes": { "latency": "5" } } ]"#,
            "[0].toxics[0]: bad request body: \"5\" does not belong into latency; write whole \
             numbers, without quotes",
        ),
        (
            r#"[ { "type": "noop" } ], "profile": "geo-satellite""#,
            "[0].profile: the toxics are the route's profile already; leave one of both out",
        ),
        (
            r#"[], "profile": {}"#,
            "[0].profile: the toxics are the route's profile already; leave one of both out",
        ),
    ] {
        assert_eq!(says(toxics), problem);
    }
    let own = format!(r#"{{ "proxies": {} }}"#, text(r#"[ { "type": "noop" } ], "tcp": "model""#));
    let route = read(&own).unwrap().routes.pop().unwrap();
    assert_eq!(route.tcp, TcpMode::default(), "a mode that is written holds");
}

#[test]
fn a_rule_on_streams_needs_streams() {
    let route = |listen: &str| {
        let text = format!(
            r#"{{ "proxies": [ {{ "name": "r", "listen": "{listen}", "upstream": "localhost:80",
                 "profile": {{ "down": [ {{ "rule": "stall", "name": "hole" }} ] }} }} ] }}"#
        );
        read(&text).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(route("tcp://:1"), Ok(()));
    assert_eq!(route("both://:1"), Ok(()), "it acts on the TCP half");
    let problem = "proxies[0].profile: route \"r\": rule \"hole\" acts on TCP streams, and the \
                   route relays UDP alone; leave stall out, or listen on tcp:// or both://";
    assert_eq!(route("udp://:1"), Err(problem.to_owned()));
}

#[test]
fn a_toxic_on_streams_is_refused_by_its_own_word_and_what_does_nothing_is_not() {
    let route = |toxic: &str| {
        let text = format!(
            r#"{{ "proxies": [ {{ "name": "r", "listen": "udp://:1", "upstream": "localhost:80",
                 "toxics": [ {toxic} ] }} ] }}"#
        );
        read(&text).map(|mut read| read.routes.remove(0)).map_err(|error| error.to_string())
    };
    for (kind, word) in [
        ("timeout", "leave timeout out"),
        ("reset_peer", "leave reset_peer out"),
        ("limit_data", "leave limit_data out"),
        ("slicer", "leave slicer out"),
        ("stall", "leave stall out"),
    ] {
        let problem = route(&format!(r#"{{ "type": "{kind}" }}"#)).unwrap_err();
        assert!(problem.contains(word), "{kind}: {problem}");
    }
    let noop = route(r#"{ "type": "noop" }"#).unwrap();
    // As a profile it does nothing either, and is read back.
    let profile = noop.profile.to_value();
    let text = format!(
        r#"{{ "proxies": [ {{ "name": "r", "listen": "udp://:1", "upstream": "localhost:80",
             "profile": {profile} }} ] }}"#
    );
    assert_eq!(read(&text).unwrap().routes[0].profile.down.rules().count(), 1);
}

#[test]
fn a_name_is_one_that_urls_keep() {
    for name in [".", ".."] {
        let text = format!(
            r#"[ {{ "name": "{name}", "listen": "127.0.0.1:1", "upstream": "localhost:80" }} ]"#
        );
        let problem = read(&text).unwrap_err().to_string();
        let right = "[0].name: no URL can name \".\" or \"..\"; write a letter or a digit too";
        assert_eq!(problem, right);
        assert!(check_name(&format!("{name}.")).is_ok() || name == ".");
    }
    assert_eq!(check_name("..."), Ok(()));
}

#[test]
fn a_toxiproxy_configuration_is_read_as_it_is() {
    let text = r#"[ { "name": "redis", "listen": "[::]:26379", "upstream": "127.0.0.1:6379", "enabled": true, "toxics": [] },
                    { "name": "web", "listen": "localhost:0", "upstream": "example.org:80" } ]"#;
    let configuration = read(text).unwrap();
    assert_eq!(configuration.routes.len(), 2);
    assert!(
        configuration
            .routes
            .iter()
            .all(|route| route.transport == Transports::Tcp && route.profile.is_empty())
    );
}

#[test]
fn mistakes_are_named_with_place_and_remedy() {
    let route = |fields: &str| format!(r#"{{ "proxies": [ {{ {fields} }} ] }}"#);
    let with =
        |fields: &str| route(&format!(r#""listen": "udp://:1", "upstream": "a:1", {fields}"#));
    let cases = [
        (
            r#"{ "proxies": [] }"#.into(),
            r#"proxies: there is no route; write [ { "listen": …, "upstream": … } ]"#,
        ),
        (r#"{ "proxy": [] }"#.into(), r#"proxy: "proxy" is unknown here; did you mean "proxies"?"#),
        (
            route(r#""listen": "udp://:1""#),
            r#"proxies[0]: "upstream" is missing; write HOST:PORT of the server that udp:// leads to, or listen on socks5:// or http-proxy:// for clients that say where they want to go"#,
        ),
        (
            route(r#""listen": "sctp://:1", "upstream": "a:1""#),
            r#"proxies[0].listen: "sctp://" is not relayed; write udp://, tcp:// or both://, or socks5:// or http-proxy:// for clients that say where they want to go"#,
        ),
        (
            route(r#""listen": "::1:80", "upstream": "a:1""#),
            r#"proxies[0].listen: "::1:80" is not an address; write HOST:PORT, an IPv6 address as [::1]:PORT"#,
        ),
        (
            route(r#""listen": "a:99999", "upstream": "a:1""#),
            r#"proxies[0].listen: "99999" is not a port; write a number from 0 to 65535"#,
        ),
        (
            route(r#""listen": "a:1", "upstream": "a:0""#),
            r#"proxies[0].upstream: "a:0" has port 0, which nobody can be reached at; write the server's port"#,
        ),
        (
            route(r#""listen": "a:1", "upstream": ":80""#),
            r#"proxies[0].upstream: ":80" names no host; write 127.0.0.1:80, say"#,
        ),
        (with(r#""idle": 5"#), r#"proxies[0].idle: "5" has no unit; write "5ms""#),
        (
            with(r#""idle": 0"#),
            r#"proxies[0].idle: a flow that is forgotten at once never gets an answer; write "120s", say"#,
        ),
        (
            with(r#""open": "sometimes""#),
            r#"proxies[0].open: "sometimes" is none; write "always" or "with upstream""#,
        ),
        (
            route(r#""listen": "a:1", "upstream": "a:1", "accept": 0"#),
            r#"proxies[0].accept: a client that waits no time is accepted at once; leave it out, or write "5s", say"#,
        ),
        (
            route(r#""listen": "udp://a:1", "upstream": "a:1", "accept": "5s""#),
            "proxies[0].accept: nobody connects over UDP; leave it out, or listen on tcp:// or both://",
        ),
        (
            route(r#""listen": "socks5://a:1", "open": "with upstream""#),
            "proxies[0].open: clients say where they want to go, so there is no upstream whose state it could have; leave it out",
        ),
        ("{}".to_owned(), r#""proxies" is missing; write it too"#),
        (
            with(r#""tcp": "fast""#),
            r#"proxies[0].tcp: "fast" is not a way to treat TCP; write "model", "raw", or { "model": "cubic" } (reno, dctcp, prague)"#,
        ),
        (
            with(r#""unit": "line""#),
            r#"proxies[0].unit: units are for raw streams; add "tcp": "raw""#,
        ),
        (
            with(r#""tcp": "raw", "unit": "1MiB""#),
            r#"proxies[0].unit: "1MiB" is out of bounds; write 1B to 64KiB"#,
        ),
        (
            with(r#""profile": { "up": [ { "rule": "drop", "chance": "5" } ] }"#),
            r#"proxies[0].profile.up[0].chance: "5" has no unit; write "5%""#,
        ),
        (
            with(r#""profile": "broken.json""#),
            r#"proxies[0].profile: "broken.json": up[0].every: 0 means nothing; write 1 for every packet, 2 for every second"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&text).expect_err(&text).to_string(), expected, "{text}");
    }
    let missing = read(&with(r#""profile": "sunny""#)).unwrap_err().to_string();
    assert!(
        missing.starts_with(
            r#"proxies[0].profile: "sunny": no such file; jostle profile list shows the built-in profiles"#
        ),
        "{missing}"
    );
    let bytes = r#""profile": { "up": [ { "rule": "drop", "every": 2, "match": { "bytes": { "offset": 0, "text": "GET" } } } ] }"#;
    let tcp = |fields: &str| {
        read(&route(&format!(r#""listen": "127.0.0.1:1", "upstream": "a:1", {fields}"#)))
    };
    let problem = tcp(bytes).unwrap_err().to_string();
    assert!(
        problem.starts_with(r#"proxies[0].profile: route "1": rule "drop" looks for bytes"#),
        "{problem}"
    );
    assert!(tcp(&format!(r#"{bytes}, "tcp": "raw""#)).is_ok());
    let two = r#"{ "proxies": [ { "name": "a", "listen": "a:1", "upstream": "a:1" }, { "name": "a", "listen": "a:2", "upstream": "a:1" } ] }"#;
    assert_eq!(
        read(two).unwrap_err().to_string(),
        r#"proxies[1].name: a second route is called "a"; give each its own name"#
    );
}

#[test]
fn the_examples_of_the_document_are_read_and_written() {
    let document = include_str!("../../../../docs/config.md");
    let examples: Vec<&str> = document.split("```json\n").skip(1).collect();
    for example in &examples {
        let example = example.split("```").next().unwrap();
        let read = read(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        assert_eq!(Configuration::from_json(&read.to_text(), &no_files).unwrap(), read);
    }
    assert_eq!(examples.len(), 3);
}

/// A configuration with one route.
fn one(fields: &str) -> String {
    format!(r#"{{ "proxies": [ {{ {fields} }} ] }}"#)
}

#[test]
fn several_workers_are_for_routes_of_which_no_rule_sees_all_flows() {
    let udp = |more: &str| {
        read(&one(&format!(r#""name": "a", "listen": "udp://a:1", "upstream": "b:1", {more}"#)))
    };
    let workers = |more: &str| udp(more).unwrap().routes[0].workers;
    assert_eq!(workers(r#""follow": false"#), RouteWorkers::Of(1));
    assert_eq!(workers(r#""workers": 3"#), RouteWorkers::Of(3));
    assert_eq!(workers(r#""workers": "all""#), RouteWorkers::All);
    assert_eq!([RouteWorkers::All, RouteWorkers::Of(3)].map(|one| one.among(2)), [2, 2]);
    assert_eq!([RouteWorkers::All, RouteWorkers::Of(3)].map(|one| one.among(8)), [8, 3]);
    for (value, shown) in
        [("0", "0"), ("257", "257"), ("-1", "-1"), (r#""some""#, r#""some""#), ("1.5", "1.5")]
    {
        assert_eq!(
            udp(&format!(r#""workers": {value}"#)).unwrap_err().to_string(),
            format!(
                "proxies[0].workers: {shown} event loops are not to be had; write 1 to 256, or \"all\" \
                 of those that --workers says"
            )
        );
    }
    let with_rule =
        |rule: &str| udp(&format!(r#""workers": 2, "profile": {{ "down": [ {rule} ] }}"#));
    for rule in [
        r#"{ "rule": "drop", "chance": "1%", "per": "flow" }"#,
        r#"{ "rule": "rate", "limit": "1Mbit/s", "enabled": false }"#,
    ] {
        let read = with_rule(rule).unwrap();
        assert_eq!(Configuration::from_json(&read.to_text(), &no_files).unwrap(), read);
    }
    for (rule, problem) in [
        (
            r#"{ "rule": "drop", "chance": "1%" }"#,
            "rule \"drop\" takes the packets of all flows as one, and several workers have these; \
             add \"per\": \"flow\" to it, or leave \"workers\" (--spread) out",
        ),
        (
            r#"{ "rule": "cross", "rate": "1Mbit/s" }"#,
            "rule \"cross\" sends packets among those of all flows, and several workers have \
             these; leave cross out, or leave \"workers\" (--spread) out",
        ),
    ] {
        let expected = format!("proxies[0].profile: route \"a\": {problem}");
        assert_eq!(with_rule(rule).unwrap_err().to_string(), expected);
    }
    // One that has a loop for itself may have any.
    assert!(
        udp(r#""workers": 1, "profile": { "up": [ { "rule": "drop", "chance": "1%" } ] }"#).is_ok()
    );
    for (fields, problem) in [
        (r#""listen": "socks5://a:1""#, "listen on http-proxy://"),
        (r#""listen": "a:1", "upstream": "b:1", "open": "with upstream""#, "\"open\" is about one"),
        (r#""listen": "a:1", "upstream": "b:1", "accept": "1s""#, "\"accept\" is about one"),
    ] {
        let error = read(&one(&format!(r#"{fields}, "workers": 2"#))).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    assert!(read(&one(r#""listen": "http-proxy://a:1", "workers": 2"#)).is_ok());
}

#[test]
fn rules_of_a_command_line_are_each_flows_own_where_several_workers_are() {
    let shorthand = || crate::rules::Shorthand {
        drop: jostle_common::units::Probability::new(0.5),
        ..Default::default()
    };
    for (workers, per) in [("1", Per::Link), (r#""all""#, Per::Flow)] {
        let text = format!(r#""listen": "udp://a:1", "upstream": "b:1", "workers": {workers}"#);
        let mut read = read(&one(&text)).unwrap().routes.remove(0);
        read.profile = read.profile.with_shorthands(shorthand(), Default::default()).unwrap();
        read.spread_shorthands();
        assert_eq!(read.profile.up.rules().next().unwrap().selection.per, per);
        assert!(read.check_rules().is_ok());
    }
}
