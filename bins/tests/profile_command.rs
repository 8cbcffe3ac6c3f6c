//! `jostle profile` and `jostle simulate` as people and scripts see them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn jostle(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jostle"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = jostle(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(arguments)).unwrap()
}

/// Asserts that it ended with `code` and said `words` on stderr.
fn refused(arguments: &[&str], code: i32, words: &str) {
    let output = jostle(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(words), "{arguments:?}: {text}");
}

#[test]
fn every_built_in_profile_is_listed_and_shown() {
    let list = stdout(&["profile", "list"]);
    let rows = stdout(&["profile", "list", "--json"]);
    assert!(rows.lines().count() >= 40);
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let name = row["name"].as_str().unwrap();
        assert!(list.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}");
        assert!(row["about"].as_str().unwrap().len() > 20, "{name}");
    }
    let shown: Value = json(&["profile", "show", "webpagetest-3g"]);
    assert!(shown["about"].as_str().unwrap().contains("WebPageTest"));
}

#[test]
fn the_canonical_form_is_short_reads_as_the_same_and_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    write("up.trace", "1\n5\n9\n");
    let mine = write(
        "mine.json",
        r#"{ "up":   [ { "rule": "drop", "chance": 0.02, "per": "link" }, { "rule": "rate", "trace": "up.trace" } ],
             "down": [ { "rule": "drop", "chance": "2%", "enabled": true } ] }"#,
    );
    let canonical = stdout(&["profile", "show", "--canonical", &mine]);
    assert_eq!(
        canonical,
        r#"{
  "both": [ { "rule": "drop", "chance": "2%" } ],
  "up": [ { "rule": "rate", "trace": "up.trace" } ]
}
"#
    );
    let again = write("again.json", &canonical);
    assert_eq!(stdout(&["profile", "show", "--canonical", &again]), canonical);
    let simulated = |file: &str| {
        stdout(&["simulate", file, "--seed", "7", "--send", "1000/s", "--count", "5000", "--json"])
    };
    assert_eq!(simulated(&mine).replace(&mine, &again), simulated(&again), "the same fates");
    let wrong = write("wrong.json", r#"{ "up": [ { "rule": "drop", "chance": "5" } ] }"#);
    refused(&["profile", "show", "--canonical", &wrong], 2, "write \"5%\"");
    assert!(stdout(&["profile", "show", &wrong]).contains("chance"), "as it stands it is shown");
}

#[test]
fn the_list_has_numbers_and_is_filtered() {
    let list = stdout(&["profile", "list", "WebPageTest-3g"]);
    let lines: Vec<&str> = list.lines().filter(|line| !line.is_empty()).collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0])[..4], ["profile", "down", "up", "delay"], "{list}");
    let of = |name: &str| {
        let line = lines.iter().find(|line| words(line)[0] == name).expect(name);
        words(line)[1..].join(" ")
    };
    assert!(of("webpagetest-3g").starts_with("1.6 Mbit/s 768 kbit/s 150 ms"), "{list}");
    assert!(lines.len() < 8, "{list}");
    let rows = stdout(&["profile", "list", "coffee", "--json"]).into_bytes().lines_of_json();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    let number = |place: &str| row.pointer(place).and_then(Value::as_f64).expect(place);
    assert_eq!((number("/down/rate_bps"), number("/up/rate_bps")), (20e6, 5e6));
    assert!((number("/down/loss") - 0.01).abs() < 1e-9, "{row}");
    assert!((number("/up/loss") - 0.02).abs() < 1e-9, "{row}");
    for way in ["up", "down"] {
        let (delay, jitter) = (number(&format!("/{way}/delay")), number(&format!("/{way}/jitter")));
        assert!((delay - 0.015).abs() < 1e-4 && (jitter - 0.005).abs() < 1e-4, "{row}");
    }
    refused(&["profile", "list", "no-such-word"], 2, "no built-in profile has \"no-such-word\"");
}

#[test]
fn the_words_of_other_tools_are_taken() {
    let own = [
        "--delay",
        "20ms",
        "--rate",
        "1Mbit/s",
        "--duplicate",
        "1%",
        "--corrupt",
        "2%",
        "--reorder",
        "3%",
    ];
    let run = |weather: &[&str]| {
        let common = ["simulate", "--count", "2000", "--seed", "0x7", "--json"];
        stdout(&[&common[..], weather].concat())
    };
    let expected = run(&own);
    for [delay, rate] in [["--latency", "--bandwidth"], ["--lag", "--throttle"]] {
        let foreign =
            [delay, "20ms", rate, "1Mbit/s", "--dup", "1%", "--tamper", "2%", "--ood", "3%"];
        assert_eq!(run(&foreign), expected);
    }
    assert_ne!(run(&["--up-latency", "20ms"]), run(&["--down-lag", "20ms"]));
    // Hidden: the help has one name for each.
    assert!(!stdout(&["simulate", "--help"]).contains("--latency"));
}

#[test]
fn every_built_in_profile_is_forecast() {
    let mut seen = 0;
    for row in stdout(&["profile", "list", "--json"]).lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let report = json(&["profile", "check", row["name"].as_str().unwrap(), "--json"]);
        assert!(
            report["ok"] == true && !report["phases"].as_array().unwrap().is_empty(),
            "{report}"
        );
        seen += 1;
    }
    assert!(seen >= 40, "{seen}");
}

/// A rule of every kind, and things to be warned of.
const ALL_KINDS: &str = r#"{
  "about": "A rule of every kind.",
  "up": [ { "rule": "drop", "four_state": { "p13": "2%", "p31": "40%", "p32": "20%", "p23": "50%", "p14": "1%" } },
          { "rule": "drop", "pattern": ["1%", "50%"], "name": "streaks" },
          { "rule": "drop", "burst": { "mean": "1%", "length": "200ms" }, "flows": "50%" },
          { "rule": "size", "max": "1400B" },
          { "rule": "rebind", "first": "5s", "every": "30s" },
          { "rule": "duplicate", "chance": "1%", "gap": "2ms" },
          { "rule": "rate", "limit": "10Mbit/s", "queue": "20ms" },
          { "rule": "delay", "time": "40ms", "jitter": "10ms", "shape": "pareto", "memory": "50ms" } ],
  "down": [ { "rule": "outage", "up": "9s", "down": "1s", "hold": true },
            { "rule": "batch", "window": "30ms", "chance": "5%", "then": "drop" },
            { "rule": "reorder", "chance": "2%", "behind": 3 },
            { "rule": "corrupt", "bit_error_rate": 1e-6 } ] }"#;

#[test]
fn a_forecast_reads_as_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.json"), ALL_KINDS).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_jostle"));
    let command = command.args(["profile", "check", "all.json"]).current_dir(folder.path());
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forecast.txt");
    if std::env::var_os("JOSTLE_BLESS").is_some() {
        std::fs::write(kept, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(kept).unwrap(), "JOSTLE_BLESS=1 writes it anew");
}

#[test]
fn wrong_profiles_end_with_2_and_unreadable_ones_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, r#"{ "up": [ { "rule": "drop", "chance": "5" } ] }"#).unwrap();
    let wrong = wrong.to_str().unwrap();
    let missing = folder.path().join("missing.json");
    let missing = missing.to_str().unwrap();
    for command in [&["profile", "check"][..], &["simulate"]] {
        let with = |name| [command, &[name]].concat();
        refused(&with(wrong), 2, "up[0].chance: \"5\" has no unit; write \"5%\"");
        refused(&with(missing), 1, "cannot read");
        refused(&with("cofee-shop-wifi"), 2, "did you mean coffee-shop-wifi");
    }
    refused(&["profile", "show", "cofee-shop-wifi"], 2, "did you mean coffee-shop-wifi");
    // One wrong file spoils the status, not the others.
    let output = jostle(&["profile", "check", wrong, "geo-satellite", "--json"]);
    let rows: Vec<Value> = output.stdout.lines_of_json();
    assert_eq!(output.status.code(), Some(2));
    assert!(rows[0]["ok"] == false && rows[1]["ok"] == true, "{rows:?}");
    refused(&["simulate", "--drop", "5%", "--send", "1000"], 2, "write packets per second");
    refused(&["simulate"], 2, "there is no rule to simulate");
    refused(
        &["simulate", "--drop", "5%", "--packet", "9", "--count", "3"],
        2,
        "the stream is over",
    );
    refused(&["simulate", "--drop", "5%", "--pcap", missing], 1, "cannot read");
    refused(&["profile", "from-netem", "delay soon"], 2, "jostle:");
}

trait JsonLines {
    fn lines_of_json(&self) -> Vec<Value>;
}

impl JsonLines for Vec<u8> {
    fn lines_of_json(&self) -> Vec<Value> {
        String::from_utf8_lossy(self)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn a_netem_line_becomes_a_profile_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let output = jostle(&["profile", "from-netem", "delay 100ms 10ms loss 1% 25%"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("netem loses 0.00024%"));
    let file = folder.path().join("translated.json");
    std::fs::write(&file, &output.stdout).unwrap();
    assert!(
        stdout(&["profile", "check", file.to_str().unwrap()])
            .contains("loses 1% of packets, 1.35 in a row")
    );
}

#[test]
fn options_behind_a_netem_line_are_no_part_of_it() {
    let words = ["profile", "from-netem", "delay", "100ms", "10ms", "rate", "1mbit", "-14"];
    let profile = |more: &[&str]| {
        let text = stdout(&[&words[..], more].concat());
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(profile(&[])["up"][1]["overhead"], 28);
    assert_eq!(profile(&["--json"])["profile"], profile(&[]));
    let order = |more: &[&str]| {
        let text = stdout(&[&["profile", "from-netem", "delay 100ms 10ms"], more].concat());
        serde_json::from_str::<Value>(&text).unwrap()["up"][0]["reorder"].clone()
    };
    assert_eq!((order(&[]), order(&["--in-order"])), (true.into(), Value::Null));
}

#[test]
fn a_cut_capture_is_simulated_as_far_as_it_goes_and_is_status_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.pcap");
    // Bare IP: a UDP datagram of 10 bytes, three times, the last torn; and a packet that is none.
    let mut bytes: Vec<u8> = Vec::new();
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    bytes.extend(words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 0, 101]));
    let datagram = [
        &[0x45, 0, 0, 38, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1][..],
        &[0, 9, 0, 10, 0, 18, 0, 0],
        &[0; 10],
    ]
    .concat();
    for record in [&datagram[..], &[0; 38], &datagram, &datagram] {
        bytes.extend(words(&[1, 0, 38, 38]));
        bytes.extend(record);
    }
    bytes.truncate(bytes.len() - 5);
    std::fs::write(&file, &bytes).unwrap();
    let name = file.to_str().unwrap();
    let output =
        jostle(&["simulate", "--delay", "1ms", "--pcap", name, "--direction", "up", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["up"]["in"], 2, "{result}");
    assert_eq!(result["stream"]["passed_over"]["no_ip"], 1, "{result}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = "passed over 1 frame without an IP packet; the capture is cut after 3 frames";
    assert!(said.contains(expected), "{said}");
    // An empty direction is no silent success.
    let output = jostle(&["simulate", "--delay", "1ms", "--pcap", name, "--direction", "down"]);
    assert_eq!(output.status.code(), Some(1), "it is cut");
    bytes.truncate(24);
    std::fs::write(&file, &bytes).unwrap();
    refused(&["simulate", "--delay", "1ms", "--pcap", name], 2, "no packet in this direction");
}

const BURSTS: [&str; 9] =
    ["simulate", "--drop", "5%", "--burst", "3", "--delay", "20ms", "--seed", "7"];

#[test]
fn nothing_is_expected_of_runs_that_no_formula_describes() {
    let lost = ["simulate", "--drop", "100%", "--count", "1000", "--seed", "7"];
    let text = stdout(&lost);
    assert!(text.contains("lost in a row, up") && !text.contains("expected"), "{text}");
    let bursts = stdout(&[&BURSTS[..], &["--count", "1000"]].concat());
    assert!(bursts.contains(" expected"), "{bursts}");
}

#[test]
fn a_simulation_agrees_with_its_formula_and_repeats_byte_for_byte() {
    let arguments = [&BURSTS[..], &["--jitter", "5ms", "--count", "200000", "--json"]].concat();
    let (first, second) = (stdout(&arguments), stdout(&arguments));
    assert_eq!(first, second);
    let report: Value = serde_json::from_str(&first).unwrap();
    for direction in ["up", "down"] {
        let one = &report[direction];
        let number = |place: &str| one.pointer(place).and_then(Value::as_f64).unwrap();
        assert_eq!(number("/in"), 200_000.0);
        assert_eq!(number("/in"), number("/delivered") + number("/discarded/drop"));
        assert_eq!(number("/loss/lost"), number("/chosen/--drop"));
        assert!((number("/loss/expected") - 0.05).abs() < 1e-12, "{one}");
        assert!(number("/loss/low") < 0.05 && 0.05 < number("/loss/high"), "{one}");
        assert!(number("/loss/high") - number("/loss/low") < 0.01, "{one}");
        // 3,300 runs of mean 3, whose lengths have a deviation of 2.45.
        assert!((number("/bursts/mean") - 3.0).abs() < 0.15, "{one}");
        assert!((number("/delay/mean") - 0.02).abs() < 0.0002, "{one}");
        assert_eq!(number("/reordering/reordered"), 0.0);
    }
    assert_ne!(report["up"]["loss"], report["down"]["loss"], "each way has its own draws");
}

#[test]
fn a_busy_link_delivers_its_rate_second_by_second() {
    let report = json(&[
        "simulate",
        "--rate",
        "8Mbit/s",
        "--send",
        "12Mbit/s",
        "--for",
        "20s",
        "--direction",
        "up",
        "--seed",
        "1",
        "--json",
    ]);
    let seconds = report["up"]["seconds"]["delivered_bps"].as_array().unwrap();
    assert!(seconds.len() >= 20, "{seconds:?}");
    for rate in &seconds[..20] {
        // A packet of 1,200 bytes more or less.
        assert!((rate.as_f64().unwrap() - 8e6).abs() <= 9600.0 * 2.0, "{seconds:?}");
    }
    assert!(report["up"]["discarded"]["queue_full"].as_u64().unwrap() > 0);
    assert!(report["up"]["loss"]["expected"].is_null(), "no formula knows a full queue");
}

#[test]
fn one_packet_is_explained_as_the_run_had_it() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    let events_name = events.to_str().unwrap();
    let common = [
        "simulate",
        "--drop",
        "20%",
        "--delay",
        "20ms",
        "--jitter",
        "5ms",
        "--seed",
        "7",
        "--direction",
        "up",
        "--json",
    ];
    stdout(&[&common[..], &["--count", "50", "--events", events_name]].concat());
    let lines: Vec<Value> = std::fs::read(&events).unwrap().lines_of_json();
    assert_eq!(lines.len(), 50);
    let mut lost = 0;
    for number in [1, 2, 3, 4, 5, 17, 23, 50] {
        let text = number.to_string();
        let told = json(&[&common[..], &["--count", "50", "--packet", &text]].concat());
        let line = lines.iter().find(|line| line["packet"] == number).unwrap();
        assert_eq!(told["up"]["left"][0]["fate"], line["fate"], "{told}");
        assert_eq!(told["up"]["left"][0]["at"], line["t"], "{told}");
        let drop = &told["up"]["steps"][0];
        assert_eq!(drop["drew"].as_f64().unwrap() < 0.2, line["fate"] == "discarded", "{drop}");
        lost += u32::from(line["fate"] == "discarded");
    }
    assert!(lost > 0 && lost < 8, "both fates are seen: {lost}");
    let text = stdout(&["simulate", "--drop", "20%", "--seed", "7", "--packet", "1"]);
    assert!(
        text.starts_with("packet 1, up: 1,200 bytes of flow 1, came at 0.000000000 s"),
        "{text}"
    );
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    stdout(&[&BURSTS[..], &["--for", "5s", "--html", page.to_str().unwrap()]].concat());
    let html = std::fs::read_to_string(page).unwrap();
    assert_eq!(html.matches("role=\"img\"").count(), 8, "four charts each way");
    for chart in ["Delay of packets", "Losses in a row", "Throughput", "Packets inside"] {
        assert!(html.contains(&format!("aria-label=\"{chart}\"")), "{chart}");
    }
    for foreign in ["<script", "src=", "@import", "href=\"http"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}

/// Each line of docs/importing.md makes a profile that is right, or a configuration.
#[test]
fn what_other_tools_are_told_becomes_profiles_that_are_right() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/importing.md");
    let page = std::fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut lines = 0;
    for line in page.lines().filter(|line| line.starts_with("jostle profile from-")) {
        // Words in single quotes, and others without any.
        let words = line.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().collect::<Vec<_>>(),
            _ => vec![part],
        });
        let words: Vec<&str> = words.skip(1).collect();
        let text = stdout(&words);
        let value: Value = serde_json::from_str(&text).unwrap();
        let profile = match value["proxies"][0].get("profile") {
            Some(profile) => profile.clone(),
            None => value,
        };
        let file = folder.path().join("translated.json");
        std::fs::write(&file, profile.to_string()).unwrap();
        stdout(&["profile", "check", file.to_str().unwrap()]);
        lines += 1;
    }
    assert_eq!(lines, 20);
}

#[test]
fn remarks_on_a_translation_are_apart_and_its_errors_name_the_place() {
    let line = ["profile", "from-comcast", "--latency=250", "--target-port=80"];
    let output = jostle(&line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("comcast: --target-port is left out"), "{said}");
    let whole = stdout(&["profile", "from-comcast", "--json", "--latency=250", "--target-port=80"]);
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["profile"], serde_json::from_slice::<Value>(&output.stdout).unwrap());
    assert!(whole["remarks"][1].as_str().unwrap().contains("--target-port"), "{whole}");
    // A file is read, words keep their quotes, and throttle's own file is found.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, r#"{ "up": 330, "down": 780, "rtt": 200 }"#).unwrap();
    let file = file.to_str().unwrap();
    let [given, named] = [&[file][..], &["--config", file]].map(|words| {
        let text = stdout(&[&["profile", "from-throttle"][..], words].concat());
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove("about");
        value
    });
    assert_eq!(given, named);
    let spaced = stdout(&["profile", "from-tcset", "tcset", "eth0", "--delay", "100 ms"]);
    assert!(spaced.contains(r#""time": "100ms""#), "{spaced}");
    for (words, problem) in [
        (&["from-quic-sim", "p2p"][..], "p2p: the simulator has no such scenario"),
        (&["from-cdp", "6G"], "6G: DevTools and Lighthouse have no preset"),
        (&["from-comcast", "--jitter=5"], "--jitter=5: comcast has no such option"),
        (&["from-toxiproxy", "{}"], "this is not Toxiproxy's"),
    ] {
        refused(&[&["profile"][..], words].concat(), 2, problem);
    }
}

#[test]
fn a_simulation_has_the_clients_and_targets_that_it_is_given() {
    let lost = |more: &[&str]| {
        let line = ["simulate", "--drop", "100%", "--direction", "up", "--count", "10", "--json"];
        json(&[&line[..], more].concat())["up"]["loss"]["lost"].clone()
    };
    let only = ["--only", "client=127.0.0.2,10.0.0.0/8"];
    assert_eq!(lost(&[&only[..], &["--client", "10.1.2.3"]].concat()), 10);
    assert_eq!(lost(&[&only[..], &["--client", "127.0.0.3:5000"]].concat()), 0);
    let only = ["--only", "target=*.example.org:443"];
    assert_eq!(lost(&[&only[..], &["--target", "api.example.org:443"]].concat()), 10);
    assert_eq!(lost(&[&only[..], &["--target", "api.example.org:80"]].concat()), 0);
    let without = jostle(&["simulate", "--drop", "5%", "--count", "10", "--only", "client=::1"]);
    let said = String::from_utf8(without.stderr).unwrap();
    assert!(said.contains("add --client 127.0.0.2"), "{said}");
    refused(
        &["simulate", "--drop", "5%", "--client", "localhost"],
        2,
        "write 127.0.0.2 or 127.0.0.2:5000",
    );
}

#[test]
fn a_forecast_says_of_whom_a_rule_is() {
    let folder = std::env::temp_dir().join(format!("jostle-chosen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("chosen.json");
    let text = r#"{ "up": [
        { "rule": "delay", "time": "200ms", "match": { "client": "127.0.0.3" } },
        { "rule": "drop", "chance": "5%", "match": { "target": "*.example.org", "age": "2s.." } } ] }"#;
    std::fs::write(&path, text).unwrap();
    let said = stdout(&["profile", "check", path.to_str().unwrap()]);
    std::fs::remove_dir_all(&folder).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("of clients at 127.0.0.3 alone"), "{said}");
    assert!(
        said.contains("of targets *.example.org, and of flows from an age of 2s on alone"),
        "{said}"
    );
}
