//! `jostle sweep` as people and engines see it: parts, ends, second starts, and what stands in the
//! output.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// 2 protocols, 5 loss rates, 2 delays, 3 times.
const SMALL: &str = "--virtual --seed 7 --vary protocol=saw,udp --vary loss=0..20%:5% \
                     --vary delay=1ms,10ms --repeat 3 --size 16KiB";
const SMALL_CELLS: usize = 60;
/// So many cells that there is time to end it half-way.
const LARGE: &str = "--virtual --protocol saw --vary loss=0..40%:1% --vary delay=1ms..10ms:1ms \
                     --repeat 10 --size 64KiB";
const LARGE_CELLS: usize = 4100;

/// A folder that commands run in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn command(&self, words: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jostle"));
        command.arg("sweep").args(words.split_whitespace()).args(more);
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs a sweep to its end, which is a good one; what it said on stderr.
    fn sweep(&self, words: &str, more: &[&str]) -> String {
        let output = self.command(words, more).output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{words} {more:?}: {said}");
        said
    }

    /// The same to stdout.
    fn rows(&self, words: &str, more: &[&str]) -> String {
        let output = self.command(words, more).output().unwrap();
        assert!(output.status.success(), "{words} {more:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that it ended with `code`, said `words` on stderr and printed nothing.
    fn refused(&self, line: &str, more: &[&str], code: i32, words: &str) {
        let output = self.command(line, more).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{line} {more:?}: {said}");
        assert!(said.contains(words), "{line} {more:?}: {said}");
        assert!(output.stdout.is_empty(), "{line} {more:?} printed");
    }

    /// Starts the large sweep, and waits until it has written some rows.
    fn start_large(&self) -> Child {
        let mut child = self.command(LARGE, &["--seed", "7", "-o", "rows.jsonl"]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let rows = self.path("rows.jsonl");
        let begun = Instant::now();
        while rows.metadata().map_or(0, |rows| rows.len()) < 20_000 {
            assert!(
                begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(),
                "no rows were seen"
            );
            std::thread::park_timeout(Duration::from_millis(1));
        }
        child
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn shards_together_are_the_whole() {
    let place = Place::new();
    let whole = place.rows(SMALL, &[]);
    assert_eq!((whole.lines().count(), lines(&whole).len()), (SMALL_CELLS, SMALL_CELLS));
    assert!(whole.lines().all(|line| json(line)["ok"] == true), "{whole}");
    for of in [2, 7, 61] {
        let mut together = String::new();
        for number in 1..=of {
            let name = format!("{number}-{of}.jsonl");
            place.sweep(SMALL, &["--shard", &format!("{number}/{of}"), "-o", &name]);
            together += &place.text(&name);
        }
        assert_eq!(together.lines().count(), SMALL_CELLS, "{of}");
        assert_eq!(lines(&together), lines(&whole), "{of}");
    }
}

#[test]
fn the_same_sweep_is_the_same_file_however_many_run_at_once() {
    let place = Place::new();
    let one = place.rows(SMALL, &["--jobs", "1"]);
    assert_eq!(place.rows(SMALL, &["--jobs", "5"]), one);
    place.sweep(SMALL, &["-o", "rows.jsonl"]);
    assert_eq!(place.text("rows.jsonl"), one);
    let piped = place.command(SMALL, &["-o", "/dev/stdout"]).output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), one);
}

#[test]
fn the_whole_range_is_seen_early() {
    let place = Place::new();
    let rows = place.rows("--virtual --seed 7 --vary loss=0..20%:1% --repeat 2 --size 4KiB", &[]);
    let losses: Vec<f64> = rows.lines().map(|line| json(line)["loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 42);
    assert_eq!(losses[..5], [0.0, 0.2, 0.1, 0.05, 0.15]);
    assert!(rows.lines().take(21).all(|line| json(line)["repeat"] == 1));
    let seeds: BTreeSet<_> =
        rows.lines().map(|line| json(line)["seed"].as_u64().unwrap()).collect();
    assert!(seeds.len() == 2 && seeds.contains(&7), "{seeds:?}");
}

#[test]
fn what_was_killed_half_way_is_taken_up_again() {
    let place = Place::new();
    let mut child = place.start_large();
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let left = place.text("rows.jsonl");
    let whole = left.matches('\n').count();
    assert!((10..LARGE_CELLS).contains(&whole), "{whole}");
    // The seed is in the rows.
    let said = place.sweep(LARGE, &["-o", "rows.jsonl"]);
    assert!(
        said.contains(&format!("{} cells run", grouped(LARGE_CELLS - whole))),
        "{whole}: {said}"
    );
    assert!(
        said.contains(&format!("{} skipped that were there; seed 7", grouped(whole))),
        "{said}"
    );
    let rows = place.text("rows.jsonl");
    assert_eq!(rows.lines().count(), LARGE_CELLS);
    let end = left.rfind('\n').unwrap() + 1;
    assert_eq!(rows[..end], left[..end]);
    assert!(
        rows == place.rows(LARGE, &["--seed", "7"]),
        "it is not what an uninterrupted sweep writes"
    );
}

#[test]
fn an_interrupted_sweep_says_how_much_is_left() {
    let place = Place::new();
    let child = place.start_large();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let text = place.text("rows.jsonl");
    let whole = text.lines().count();
    assert!(text.ends_with('\n') && text.lines().all(|line| json(line)["ok"] == true));
    assert!(
        said.contains(&format!(
            "{} left: the same command goes on; seed 7",
            grouped(LARGE_CELLS - whole)
        )),
        "{whole}: {said}"
    );
}

fn grouped(number: usize) -> String {
    jostle_common::words::grouped(number as u64)
}

#[test]
fn a_torn_line_is_cut_off_and_run_again() {
    let place = Place::new();
    place.sweep(SMALL, &["-o", "rows.jsonl"]);
    let whole = place.text("rows.jsonl");
    fs::write(place.path("rows.jsonl"), &whole[..whole.len() - 20]).unwrap();
    let said = place.sweep(SMALL, &["-o", "rows.jsonl"]);
    assert!(
        said.contains("the last row in rows.jsonl was torn; it is cut off\n1 cell run"),
        "{said}"
    );
    assert_eq!(place.text("rows.jsonl"), whole);
    let said = place.sweep(SMALL, &["-o", "rows.jsonl"]);
    assert!(
        said.starts_with("0 cells run") && said.contains("60 skipped that were there"),
        "{said}"
    );
    assert_eq!(place.text("rows.jsonl"), whole);
}

#[test]
fn one_cell_is_run_once() {
    let place = Place::new();
    let whole = place.rows(SMALL, &[]);
    for (index, line) in whole.lines().enumerate().step_by(13) {
        let (index, name) = (index.to_string(), format!("{index}.jsonl"));
        let arguments = ["--index", &index, "-o", &name];
        // A job that was killed has left a part of the row.
        fs::write(place.path(&format!("{name}.part")), &line[..line.len() / 2]).unwrap();
        assert!(place.sweep(SMALL, &arguments).contains("1 cell run"));
        assert_eq!(place.text(&name), format!("{line}\n"));
        let said = place.sweep(SMALL, &arguments);
        assert_eq!(said, format!("{name} is there: nothing to run\n"));
    }
    assert_eq!(place.names().len(), 5);
    let wrong = place.command(SMALL, &["--index", "1", "-o", "0.jsonl"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        said(&wrong).contains("0.jsonl is there and lacks 1 of the 1 cell asked for"),
        "{}",
        said(&wrong)
    );
    assert!(place.names().iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn rows_of_other_sweeps_stay_and_are_remarked() {
    let place = Place::new();
    place.sweep("--virtual --seed 7 --vary loss=1%,2% --size 4KiB -o rows.jsonl", &[]);
    let said = place.sweep("--virtual --seed 7 --vary loss=2%,3% --size 4KiB -o rows.jsonl", &[]);
    assert!(said.starts_with("kept 1 row of other cells in rows.jsonl\n1 cell run"), "{said}");
    let text = place.text("rows.jsonl");
    let losses: Vec<f64> = text.lines().map(|line| json(line)["loss"].as_f64().unwrap()).collect();
    assert_eq!(losses, [0.01, 0.02, 0.03]);
    fs::write(place.path("letter.txt"), "dear friend").unwrap();
    place.refused(SMALL, &["-o", "letter.txt"], 2, "letter.txt: line 1 is no row of a sweep");
    assert_eq!(place.text("letter.txt"), "dear friend");
}

#[test]
fn a_seed_is_drawn_once() {
    let place = Place::new();
    let words = "--virtual --vary loss=1%,2% --repeat 3 --size 4KiB -o rows.jsonl";
    let said = place.sweep(words, &[]);
    assert!(said.starts_with("seed "), "{said}");
    let again = place.sweep(words, &[]);
    assert!(again.contains("6 skipped that were there") && !again.starts_with("seed "), "{again}");
    assert_eq!(
        said.lines().last().unwrap().rsplit(' ').next(),
        again.trim_end().rsplit(' ').next()
    );
}

#[test]
fn failed_rows_are_results_until_they_are_tried_again() {
    let place = Place::new();
    // Sixteen round trips of 20 ms are more than 100 ms.
    let words = "--virtual --seed 7 --protocol saw --size 64KiB --limit 100ms \
                 --vary delay=1ms,10ms -o rows.jsonl";
    assert!(place.sweep(words, &[]).contains(", 1 failed"));
    let text = place.text("rows.jsonl");
    assert!(
        text.lines().nth(1).is_some_and(|line| json(line)["error"] == "not done after 100ms"),
        "{text}"
    );
    assert!(place.sweep(words, &[]).starts_with("0 cells run"));
    place.refused(words, &["--strict"], 1, "0 cells run");
    let said = place.sweep(words, &["--retry-failed"]);
    assert!(said.starts_with("1 cell run") && said.contains("1 failed, 1 skipped"), "{said}");
    assert_eq!(place.text("rows.jsonl"), text);
    assert_eq!(place.names().len(), 1);
    let part = ["--shard", "2/2", "--strict"];
    let words = words.replace("rows.jsonl", "part.jsonl");
    for _ in 0..2 {
        place.refused(&words, &part, 1, "");
    }
    assert!(place.sweep(&words, &["--shard", "2/2", "--retry-failed"]).starts_with("1 cell run"));
    assert_eq!(place.text("part.jsonl").lines().count(), 1);
}

#[test]
fn two_sweeps_do_not_share_an_output() {
    let place = Place::new();
    for (more, name) in [(&[][..], "rows.jsonl"), (&["--shard", "1/2"], "rows.jsonl.part")] {
        let path = place.path(name);
        let held = fs::File::create(&path).unwrap();
        held.lock().unwrap();
        let line = format!("{SMALL} -o rows.jsonl");
        place.refused(&line, more, 1, &format!("another sweep writes to {name}; wait for its end"));
        drop(held);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn files_that_vary_are_read_and_remembered() {
    let place = Place::new();
    for (name, size) in [("small.bin", 5000), ("large.bin", 50_000)] {
        fs::write(place.path(name), vec![7; size]).unwrap();
    }
    let words = "--virtual --seed 7 --vary file=small.bin,large.bin \
                 --vary protocol=saw,tcp,udp -o rows.jsonl";
    assert!(place.sweep(words, &[]).starts_with("6 cells run"));
    for line in place.text("rows.jsonl").lines() {
        let row = json(line);
        let size = if row["file"] == "small.bin" { 5000 } else { 50_000 };
        assert_eq!((&row["size"], &row["digest_equal"]), (&size.into(), &true.into()), "{line}");
    }
    assert!(place.sweep(words, &[]).starts_with("0 cells run"));
    // Another file under the same name is another cell.
    fs::write(place.path("small.bin"), vec![7; 6000]).unwrap();
    assert!(place.sweep(words, &[]).contains("3 cells run"));
    place.refused("--virtual --vary file=small.bin,none.bin", &[], 1, "cannot read none.bin");
}

#[test]
fn a_file_and_the_command_line_go_together() {
    let place = Place::new();
    let file = r#"{ "about": "a question", "seed": 7, "repeat": 2, "virtual": true, "set": { "protocol": "saw", "size": "4KiB" },
        "vary": { "loss": "0..4%:1%" } }"#;
    fs::write(place.path("sweep.json"), file).unwrap();
    let rows =
        place.rows("sweep.json --vary loss=1% --vary delay=1ms,2ms --size 8KiB --repeat 1", &[]);
    assert_eq!(rows.lines().count(), 2);
    assert!(rows.lines().all(|line| json(line)["size"] == 8192 && json(line)["loss"] == 0.01));
    let pairs = ["--vary", "loss=1%,5%; burst=1.5,3"];
    place.refused("sweep.json", &pairs, 2, "--vary loss: it is varied twice");
    let pairs = place.rows("--virtual --seed 7 --size 4KiB", &pairs);
    let pairs: Vec<_> =
        pairs.lines().map(json).map(|row| (row["loss"].clone(), row["burst"].clone())).collect();
    assert_eq!(pairs, [(0.01.into(), 1.5.into()), (0.05.into(), 3.0.into())]);
    let plan = place.rows("sweep.json --plan --shard 2/5", &[]);
    assert_eq!(plan.lines().count(), 2);
    let first = json(plan.lines().next().unwrap());
    assert_eq!(
        (&first["index"], &first["seed"], &first["loss"]),
        (&1.into(), &7.into(), &0.04.into()),
        "{plan}"
    );
    let arguments: Vec<&str> =
        first["arguments"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(
        arguments.join(" "),
        "--protocol saw --loss 4% --size 4KiB --repeat 1 --seed 7 --virtual"
    );
}

#[test]
fn what_is_wrong_is_found_before_the_first_cell() {
    let place = Place::new();
    fs::write(place.path("wrong.json"), r#"{ "vary": { "loss": "0..20%" } }"#).unwrap();
    fs::write(place.path("torn.json"), "{").unwrap();
    for (line, words) in [
        ("--vary loss", "--vary \"loss\" names no values; write loss=0..20%:1%, say"),
        ("--vary loss=1", "--vary loss: \"1\" has no unit; write \"1%\""),
        ("--vary los=1%", "there is no such parameter"),
        ("--vary loss=1% --vary loss=2%", "--vary loss: it is varied twice; vary it once"),
        ("--vary loss=1% --vary loss=2%;burst=3", "it is varied twice"),
        ("--loss 1% --vary loss=2%,3%", "--loss: it is varied too; write --loss or --vary loss="),
        ("--size 5parsec", "--size: "),
        ("--profile cofee-shop-wifi", "did you mean coffee-shop-wifi?"),
        ("--virtual --protocol http --vary loss=1%", "virtual: http runs on real sockets only"),
        ("--protocol tcp --timeout adaptive", "timeout: tcp does nothing with it"),
        ("--loss 90% --vary burst=1..3:1", "--burst: bursts of 1 packets cannot lose more"),
        ("--client curl --vary loss=1%", "add --server 'CMD'"),
        (
            "--client a --server b --vary protocol=tcp,udp",
            "protocol: it is varied, and the programs are given",
        ),
        ("wrong.json", "wrong.json: vary.loss: \"0..20%\": a range needs a step"),
        ("torn.json", "torn.json: this is not JSON"),
        ("--virtual --shard 1/2", "--seed: a part of a sweep needs the seed"),
        ("--virtual --index 0", "--seed: a part of a sweep needs the seed"),
        ("--virtual --plan", "--seed: cells that are run elsewhere need a seed"),
        ("--seed 7 --vary loss=1%,2% --index 2", "the 2 cells are numbered from 0 to 1"),
        ("--seed 7 --shard 3/2", "write 3/16 for the third of sixteen"),
        ("--seed 7 --shard 1/2 --index 0", "cannot be used with"),
        ("--repeat 0", "\"0\" is out of range; write a whole number, at least 1"),
        ("--jobs 0", "\"0\" is out of range; write a whole number"),
        ("--retry-failed", "--output"),
    ] {
        place.refused(line, &[], 2, words);
    }
    place.refused("nowhere.json", &[], 1, "cannot read nowhere.json");
    place.refused(SMALL, &["-o", "."], 1, "is a folder; name a file in it");
    place.refused(SMALL, &["-o", "no/rows.jsonl"], 1, "cannot write no/rows.jsonl");
    assert_eq!(place.names().len(), 2);
}

/// A server that echoes.
fn server() -> String {
    let server = Path::new(env!("CARGO_BIN_EXE_jostle-server"));
    format!("exec '{}' echo --over tcp --listen $JOSTLE_LISTEN", server.display())
}

#[test]
fn cells_of_real_programs_are_processes_that_are_tried_again() {
    let place = Place::new();
    let (client, server) = (format!("test -e '{}'", place.path("good").display()), server());
    let programs = ["--client", &client, "--server", &server];
    let words = "--seed 7 --vary loss=1%,2% --vary delay=1ms,2ms -o rows.jsonl";
    let said = place.sweep(words, &programs);
    assert!(said.starts_with("4 cells run") && said.contains(", 4 failed"), "{said}");
    for line in place.text("rows.jsonl").lines() {
        let row = json(line);
        assert_eq!(
            (&row["protocol"], &row["ok"], &row["host"]["jobs"]),
            (&"commands".into(), &false.into(), &1.into())
        );
        assert!(row["error"].as_str().is_some_and(|error| error.contains("client")), "{line}");
    }
    fs::write(place.path("good"), "").unwrap();
    let jobs = std::thread::available_parallelism().unwrap().get().max(2);
    let again = ["--retry-failed", "--strict", "--jobs", &jobs.to_string()];
    let said = place.sweep(words, &[&programs[..], &again].concat());
    assert!(said.contains("4 cells run") && said.contains("disturb each other"), "{said}");
    let text = place.text("rows.jsonl");
    assert_eq!(text.lines().count(), 4);
    assert!(
        text.lines().all(|line| json(line)["ok"] == true && json(line)["host"]["jobs"] == jobs),
        "{text}"
    );
    assert!(place.sweep(words, &programs).starts_with("0 cells run"));
}

#[test]
fn an_interrupt_ends_the_programs_of_a_cell() {
    let place = Place::new();
    let (client, server) =
        (format!("echo $$ >'{}'; exec sleep 600", place.path("pid").display()), server());
    let programs = ["--client", &client, "--server", &server];
    let mut command = place.command("--seed 7 --vary loss=1%,2%,3% -o rows.jsonl", &programs);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let pid = loop {
        let text = fs::read_to_string(place.path("pid")).unwrap_or_default();
        if let Some(pid) = text.strip_suffix('\n') {
            break Pid::from_raw(pid.parse().unwrap()).unwrap();
        }
        assert!(
            begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(),
            "the client did not start"
        );
        std::thread::park_timeout(Duration::from_millis(1));
    };
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    assert!(
        output.status.code() == Some(1)
            && said.starts_with("0 cells run")
            && said.contains("3 left: the same"),
        "{said}"
    );
    assert!(test_kill_process(pid).is_err(), "the client runs on");
    assert_eq!(place.text("rows.jsonl"), "");
}

#[test]
fn a_trial_alone_prints_the_line_of_its_cell() {
    let place = Place::new();
    let rows = place.rows(SMALL, &[]);
    let plan = place.rows(SMALL, &["--plan"]);
    let mut seen = 0;
    for (row, cell) in rows.lines().zip(plan.lines()).step_by(11) {
        let cell = json(cell);
        let arguments =
            cell["arguments"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        let alone = Command::new(env!("CARGO_BIN_EXE_jostle"))
            .arg("trial")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(alone.stdout).unwrap(),
            format!("{row}\n"),
            "{}",
            cell["arguments"]
        );
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn cells_on_real_sockets_have_rows_like_others() {
    let place = Place::new();
    fs::write(place.path("song.bin"), vec![7; 20_000]).unwrap();
    let words = "--seed 7 --file song.bin --vary protocol=tcp,saw --vary loss=0,10% --delay 1ms \
                 -o rows.jsonl";
    assert!(place.sweep(words, &[]).starts_with("4 cells run"));
    let text = place.text("rows.jsonl");
    assert_eq!(lines(&text).len(), 4);
    for row in text.lines().map(json) {
        assert_eq!(
            (&row["ok"], &row["digest_equal"], &row["virtual"]),
            (&true.into(), &true.into(), &false.into()),
            "{row}"
        );
        assert_eq!((&row["size"], &row["host"]["jobs"]), (&20_000.into(), &1.into()), "{row}");
    }
    assert!(place.sweep(words, &[]).starts_with("0 cells run"));
    let others = place.sweep(words, &["--virtual"]);
    assert!(others.contains("kept 4 rows of other cells in rows.jsonl\n4 cells run"), "{others}");
}
