//! `jostle compare` as people run it: the built program, real sockets, the real proxy.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// The bytes of a data datagram of the file transfer over UDP; every control datagram is shorter
/// (docs/protocols.md).
const DATA_SIZE: u64 = jostle_endpoints::protocol::file::DATA_SIZE as u64;
const CHUNK: usize = 4096;

fn jostle(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jostle"))
        .current_dir(folder)
        .args(line.split_whitespace())
        .output()
        .expect("the program is built")
}

/// Runs a comparison that must succeed, and returns the rows it printed.
fn rows(folder: &Path, line: &str) -> Vec<Value> {
    let run = jostle(folder, &format!("compare --json {line}"));
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{line}: {err}{out}");
    assert!(!err.contains("WARN"), "nothing is wrong: {err}");
    out.lines().map(|line| serde_json::from_str(line).expect("every line is a row")).collect()
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} is no number in {row}"))
}

/// A file that is no music, and in which no chunk looks like a hole.
fn write_file(folder: &Path, name: &str, bytes: usize) -> Vec<u8> {
    let contents: Vec<u8> =
        (0..bytes as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect();
    std::fs::write(folder.join(name), &contents).expect("a new folder can be written to");
    contents
}

#[test]
fn tcp_and_reliable_udp_deliver_the_identical_file_at_every_loss_rate() {
    let folder = tempfile::tempdir().unwrap();
    let original = write_file(folder.path(), "a.bin", 250_000);
    let rows = rows(folder.path(), "a.bin --seed 7 --over tcp,saw");
    assert_eq!(rows.len(), 10);
    for row in &rows {
        assert_eq!(
            (&row["ok"], &row["digest_equal"]),
            (&Value::Bool(true), &Value::Bool(true)),
            "{row}"
        );
        assert_eq!(
            (number(row, "intact"), number(row, "missing"), number(row, "damaged")),
            (62, 0, 0)
        );
        let received =
            folder.path().join("jostle-compare").join(row["host"]["received"].as_str().unwrap());
        assert_eq!(std::fs::read(received).unwrap(), original);
    }
    // The proxy did lose packets of either, or this would prove nothing.
    for protocol in ["tcp", "saw"] {
        let worst = rows.iter().rfind(|row| row["protocol"] == protocol).unwrap();
        assert_eq!(worst["loss"], 0.1);
        assert!(number(&worst["proxy"]["up"]["discarded"], "drop") > 0, "{worst}");
        assert!(
            number(worst, "retransmissions") > 0
                && number(worst, "retransmissions") < number(worst, "packets")
        );
    }
}

/// What became of a chunk by the event log.
#[derive(Clone, Copy, Debug, Default)]
struct Copies {
    intact: u64,
    damaged: u64,
}

/// The copies of each chunk that arrived, by the fates of the data datagrams of `route`. They enter
/// the link in the order of the file.
fn copies(log: &str, route: &str) -> Vec<Copies> {
    let mut chunks: BTreeMap<u64, Copies> = BTreeMap::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).expect("every line is an event");
        if event["route"] != route
            || event["direction"] != "up"
            || number(&event, "size") != DATA_SIZE
        {
            continue;
        }
        let chunk = chunks.entry(number(&event, "packet")).or_default();
        match (event["fate"].as_str(), number(&event, "flipped_bits")) {
            (Some("delivered"), 0) => chunk.intact += 1,
            (Some("delivered"), _) => chunk.damaged += 1,
            _ => {}
        }
    }
    chunks.into_values().collect()
}

#[test]
fn plain_udp_accounts_for_every_chunk_as_the_event_log_does() {
    let folder = tempfile::tempdir().unwrap();
    let original = write_file(folder.path(), "a.bin", 1_000_000);
    let line = "a.bin --seed 11 --over udp --loss 0,2%,10%,30% --corrupt 4% --duplicate 5% \
                --reorder 4% --events";
    let rows = rows(folder.path(), line);
    let out = folder.path().join("jostle-compare");
    let log = std::fs::read_to_string(out.join("events.jsonl")).unwrap();
    let mut seen = Copies::default();
    assert_eq!(rows.len(), 4);
    for (row, loss) in rows.iter().zip(["0", "2", "10", "30"]) {
        let chunks = copies(&log, &format!("udp-loss-{loss}"));
        assert_eq!(chunks.len(), 245, "every chunk was sent once, at {loss}%");
        let count =
            |of: fn(&Copies) -> bool| chunks.iter().filter(|chunk| of(chunk)).count() as u64;
        let by_log = [
            count(|chunk| chunk.intact > 0),
            count(|chunk| chunk.intact + chunk.damaged == 0),
            count(|chunk| chunk.intact == 0 && chunk.damaged > 0),
            chunks.iter().map(|chunk| (chunk.intact + chunk.damaged).saturating_sub(1)).sum(),
        ];
        let by_row = ["intact", "missing", "damaged", "doubled"].map(|key| number(row, key));
        assert_eq!(by_row, by_log, "at {loss}%");
        assert_eq!(row["ok"], true);
        let received = std::fs::read(out.join(row["host"]["received"].as_str().unwrap())).unwrap();
        assert_eq!(received.len(), original.len(), "holes are kept as holes");
        for (number, chunk) in chunks.iter().enumerate() {
            let place = number * CHUNK..original.len().min((number + 1) * CHUNK);
            match chunk {
                Copies { intact: 1.., .. } => {
                    assert_eq!(received[place.clone()], original[place], "chunk {number}");
                }
                Copies { damaged: 0, .. } => {
                    assert!(received[place].iter().all(|byte| *byte == 0), "chunk {number}");
                }
                Copies { .. } => {}
            }
        }
        seen.intact += by_row[0];
        seen.damaged += by_row[2];
    }
    assert!(seen.intact > 600 && seen.damaged > 10, "{seen:?}");
    assert!(rows.iter().map(|row| number(row, "doubled")).sum::<u64>() > 10);
    assert!(rows.iter().map(|row| number(row, "late")).sum::<u64>() > 10);
}

#[test]
fn the_default_file_is_music_and_the_page_shows_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        jostle(folder.path(), "compare --loss 0,5% --seed 3 --corrupt 1% --over udp,saw --out out");
    assert!(run.status.success());
    let table = String::from_utf8(run.stdout).unwrap();
    assert!(
        table.contains("music lost") && table.contains("Plain UDP: Never waits and never repeats"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "no colours but for a terminal");
    let out = folder.path().join("out");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    for name in ["udp-loss-0.mp3", "saw-loss-0.mp3", "udp-loss-5.mp3", "saw-loss-5.mp3"] {
        assert!(out.join(name).is_file() && page.contains(&format!("href=\"{name}\"")), "{name}");
    }
    let rows: Vec<Value> = std::fs::read_to_string(out.join("rows.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [_, _, udp, saw] = rows.as_slice() else { panic!("{} rows", rows.len()) };
    assert_eq!((number(udp, "frames"), number(saw, "frames_lost")), (2298, 0));
    // A lost chunk holds 9.8 frames and hurts a few more; a damaged one at least the frame that was
    // hit.
    let (hurt, lost) =
        (number(udp, "missing") + number(udp, "damaged"), number(udp, "frames_lost"));
    assert!(hurt > 3 && lost >= hurt && lost <= hurt * 17, "{hurt} chunks, {lost} frames");
    assert!(!out.join(".incoming").exists());
}

#[test]
fn a_row_over_its_limit_is_kept_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    write_file(folder.path(), "a.bin", 1_000_000);
    let rows = rows(
        folder.path(),
        "a.bin --loss 0 --delay 150ms --limit 3s --over udp,saw --pace 40Mbit/s --seed 1",
    );
    let [udp, saw] = rows.as_slice() else { panic!("{} rows", rows.len()) };
    assert_eq!(udp["ok"], true);
    assert_eq!(
        (&saw["ok"], saw["error"].as_str()),
        (&Value::Bool(false), Some("not done after 3 s"))
    );
    // A packet takes at least 300 ms, and something had arrived.
    assert!((1..=10).contains(&number(saw, "intact")), "{saw}");
    assert_eq!(saw["host"]["received"], "partial/saw-loss-0.bin");
    assert!(folder.path().join("jostle-compare/partial/saw-loss-0.bin").is_file());
    assert!(!folder.path().join("jostle-compare/saw-loss-0.bin").exists());
}

#[test]
fn the_same_seed_meets_the_same_weather() {
    let folder = tempfile::tempdir().unwrap();
    write_file(folder.path(), "a.bin", 400_000);
    // The fate of each packet on its way up, by its number. How many there are depends on the
    // moment: control datagrams are repeated.
    let fates = |seed: u64, out: &str| -> BTreeMap<u64, Vec<String>> {
        let weather = "--loss 20% --corrupt 10% --duplicate 10%";
        rows(
            folder.path(),
            &format!("a.bin --over udp {weather} --events --seed {seed} --out {out}"),
        );
        let log = std::fs::read_to_string(folder.path().join(out).join("events.jsonl")).unwrap();
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut fates: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for event in events.filter(|event| event["direction"] == "up") {
            let fate = format!("{} {} {}", event["copy"], event["fate"], event["flipped_bits"]);
            fates.entry(number(&event, "packet")).or_default().push(fate);
        }
        fates
    };
    let (one, two, other) = (fates(5, "one"), fates(5, "two"), fates(6, "other"));
    let shared = |other: &BTreeMap<u64, Vec<String>>| -> (usize, usize) {
        let both: Vec<_> =
            one.iter().filter_map(|(number, fate)| Some((fate, other.get(number)?))).collect();
        (both.len(), both.iter().filter(|(a, b)| a == b).count())
    };
    let (packets, same) = shared(&two);
    assert!(packets >= 99 && same == packets, "{same} of {packets}");
    let (packets, same) = shared(&other);
    assert!(packets >= 99 && same < packets * 9 / 10, "{same} of {packets}");
}

#[test]
fn an_interrupted_comparison_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    write_file(folder.path(), "a.bin", 1_000_000);
    let mut running = Command::new(env!("CARGO_BIN_EXE_jostle"))
        .current_dir(folder.path())
        .args(["compare", "a.bin", "--over", "saw", "--loss", "0", "--delay", "50ms", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let part = folder.path().join("jostle-compare/.incoming/saw-loss-0/received.part");
    while !part.exists() && running.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let interrupted =
        Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let run = running.wait_with_output().unwrap();
    assert_eq!(run.status.code(), Some(1), "a part is not taken for the whole");
    let row: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        (&row["ok"], &row["error"]),
        (&Value::Bool(false), &Value::from("stopped by the user"))
    );
    assert!(folder.path().join("jostle-compare/index.html").is_file());
}

#[test]
fn wrong_usage_is_two_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, r#"{ "up": [ { "rule": "drop", "chance": "5" } ] }"#).unwrap();
    for (line, remedy) in [
        ("--loss 5", "write \"5%\""),
        ("--delay 5", "write \"5ms\""),
        ("--jitter 10ms", "--jitter"),
        ("--over sctp", "possible values"),
        ("--limit 0", "--limit"),
        ("--profile bad.json", "up[0].chance"),
        ("--lass 5%", "--loss"),
    ] {
        let run = jostle(folder.path(), &format!("compare {line}"));
        let error = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{line}: {error}");
        assert!(error.contains(remedy), "{line}: {error}");
        assert!(run.stdout.is_empty(), "{line}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "only the bad profile is there"
    );
}

#[test]
fn what_cannot_be_read_or_written_is_one_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    std::fs::write(folder.path().join("taken/index.html"), "mine").unwrap();
    std::fs::write(folder.path().join("file"), "mine").unwrap();
    for (line, named) in [
        ("nothing.mp3", "nothing.mp3"),
        ("--profile nothing.json", "nothing.json"),
        ("--out taken", "taken/index.html"),
        ("--out file", "file"),
        ("--out /proc/nowhere", "/proc/nowhere"),
    ] {
        let run = jostle(folder.path(), &format!("compare --loss 0 --over udp {line}"));
        let error = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(1), "{line}: {error}");
        assert!(error.contains(named), "{line}: {error}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("taken/index.html")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_rows_are_rows_of_the_project() {
    let folder = tempfile::tempdir().unwrap();
    write_file(folder.path(), "a.bin", 20_000);
    let run =
        jostle(folder.path(), "compare a.bin --json --loss 1% --delay 1ms --over udp,saw --seed 9");
    assert!(run.status.success());
    for line in String::from_utf8(run.stdout).unwrap().lines() {
        let row: jostle_study::rows::Row = serde_json::from_str(line).unwrap();
        assert_eq!((row.seed, row.repeat, row.is_virtual), (9, 1, false));
        assert_eq!(row.delay.to_string(), "1ms");
        assert_eq!(row.more["corrupt"], 0.005);
        let proxy = row.proxy.expect("the proxy has counted");
        for link in [&proxy.up, &proxy.down] {
            assert_eq!(
                link.entered + link.copies,
                link.delivered + link.discarded_total() + link.held
            );
        }
        assert_eq!(row.packets, Some(proxy.up.entered + proxy.down.entered));
    }
    let written = std::fs::read_to_string(folder.path().join("jostle-compare/rows.jsonl")).unwrap();
    assert_eq!(written.lines().count(), 2);
}

/// The rows that a command prints.
fn printed(folder: &Path, words: &[&str]) -> Vec<Value> {
    let run = jostle(folder, &words.join(" "));
    let err = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{words:?}: {err}");
    let out = String::from_utf8(run.stdout).expect("rows are text");
    out.lines().map(|line| serde_json::from_str(line).expect("every line is a row")).collect()
}

/// The row without what depends on the machine and the moment. Datagrams are repeated when the
/// machine is slow, and a repetition moves the numbers of those behind it: over plain UDP others
/// are lost then.
fn lasting(mut row: Value) -> Value {
    let measured: &[&str] = match row["protocol"].as_str() {
        Some("udp") => &["digest_equal", "intact", "missing", "damaged"],
        _ => &[],
    };
    let timed = ["seconds", "goodput_bps", "doubled", "late", "packets", "retransmissions"];
    let object = row.as_object_mut().expect("a row is an object");
    object.remove("host");
    for measured in timed.iter().chain(["rtt_ms", "proxy"].iter()).chain(measured) {
        let value = object.get_mut(*measured).unwrap_or_else(|| panic!("there is no {measured}"));
        *value = Value::Null;
    }
    row
}

#[test]
fn a_cell_has_one_row_whichever_command_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_file(folder, "a.bin", 50_000);
    let weather = "--loss 2% --delay 3ms --corrupt 0.5% --up-delay 4ms --down-queue 64KiB \
                   --down-rate 80Mbit/s --seed 7";
    for protocol in ["tcp", "udp", "saw"] {
        let pace = if protocol == "udp" { "--pace 8Mbit/s" } else { "" };
        let cell = format!("{weather} {pace}");
        let compared =
            printed(folder, &["compare a.bin --json --pace 8Mbit/s --over", protocol, weather]);
        let tried = printed(folder, &["trial --file a.bin --protocol", protocol, &cell]);
        let varied = format!("protocol={protocol}");
        let swept = printed(folder, &["sweep --file a.bin --vary", &varied, &cell]);
        let rows = [compared, tried, swept].map(|rows| {
            let [row] = <[Value; 1]>::try_from(rows).expect("there is one row");
            row
        });
        let keys = rows.each_ref().map(|row| row.as_object().unwrap().keys().collect::<Vec<_>>());
        assert_eq!((&keys[0], &keys[0]), (&keys[1], &keys[2]), "{protocol}");
        let values = rows.clone().map(lasting);
        assert_eq!((&values[0], &values[0]), (&values[1], &values[2]), "{protocol}");
        let chunks = ["intact", "missing", "damaged"].map(|key| number(&rows[0], key));
        assert_eq!(chunks.iter().sum::<u64>(), 13);
        assert_eq!(rows[0]["digest_equal"], chunks[0] == 13);
        assert!(protocol == "udp" || chunks[0] == 13, "{chunks:?}");

        // Each reads back as the trial that it is of.
        let row: jostle_study::rows::Row = serde_json::from_value(rows[0].clone()).unwrap();
        let trial = jostle_study::trial::Trial::of_row(&row, &|_| unreachable!()).unwrap();
        assert_eq!(serde_json::to_value(trial.row()).unwrap()["file"], "a.bin");
        let again = printed(folder, &["trial", &trial.arguments().join(" ")]);
        assert_eq!(lasting(again[0].clone()), values[0], "{protocol}");

        // And a report takes all of them for measurements of one point.
        let text = rows.map(|row| row.to_string() + "\n").concat();
        std::fs::write(folder.join("rows.jsonl"), text).unwrap();
        let report = jostle(folder, "report rows.jsonl --format json");
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!(report["points"].as_array().unwrap().len(), 1, "{report}");
    }
}

#[test]
fn what_a_trial_leaves_to_its_defaults_is_the_same_point_when_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let compared = printed(folder, &["compare --json --loss 0 --over tcp,udp --seed 7"]);
    let weather =
        "--file jostle-tune.mp3 --loss 0% --delay 5ms --corrupt 0.5% --limit 60s --seed 7";
    let tcp = printed(folder, &["trial --protocol tcp --tcp cubic", weather]);
    let udp = printed(folder, &["trial --protocol udp --pace 10Mbit/s", weather]);
    let rows = [compared, tcp, udp].concat();
    for frames in rows.iter().map(|row| number(row, "frames")) {
        assert_eq!(frames, 2298);
    }
    let text: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    std::fs::write(folder.join("rows.jsonl"), text).unwrap();
    let report = jostle(folder, "report rows.jsonl --format json");
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let points = report["points"].as_array().unwrap();
    assert_eq!(points.len(), 2, "{report}");
    assert!(points.iter().all(|point| point["cells"] == 2), "{report}");
}
