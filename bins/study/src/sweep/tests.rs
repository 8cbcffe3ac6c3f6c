use super::*;
use jostle_engine::profile::no_files;
use serde_json::json;
use std::collections::BTreeSet;

fn sweep(value: &Value) -> Result<Sweep, SettingError> {
    let sweep = Sweep::from_json(&value.to_string(), &no_files)?;
    sweep.check()?;
    Ok(sweep)
}

fn lines(sweep: &Sweep) -> Vec<String> {
    sweep.order().map(|cell| sweep.trial(&cell, 7).arguments().join(" ")).collect()
}

#[test]
fn cells_are_the_cross_product_and_each_comes_once() {
    let sweep = sweep(&json!({ "repeat": 3, "virtual": true, "set": { "size": "8KiB" },
        "vary": { "protocol": ["tcp", "saw"], "loss": "0..8%:1%", "delay": "10ms,50ms" } }))
    .unwrap();
    let lines = lines(&sweep);
    assert_eq!((lines.len() as u64, sweep.cells()), (108, 108));
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), 108);
    assert_eq!(
        lines[0],
        "--protocol tcp --loss 0% --delay 10ms --size 8KiB --repeat 1 --seed 7 --virtual"
    );
    assert!(lines[..36].iter().all(|line| line.contains("--repeat 1 --seed 7 ")));
    // The whole range is there after a quarter of a repetition.
    for corner in ["--loss 0%", "--loss 8%", "--loss 4%", "--protocol saw", "--delay 50ms"] {
        assert!(lines[..12].iter().any(|line| line.contains(corner)), "{corner}");
    }
    let indices: Vec<u64> = sweep.order().map(|cell| cell.index).collect();
    assert_eq!(indices, (0..108).collect::<Vec<_>>());
}

#[test]
fn lists_in_one_group_go_in_pairs() {
    let sweep = sweep(&json!({ "vary": [
            { "loss": "1%,2%,3%", "burst": [1.5, 2, 2.5] },
            { "delay": "1ms,2ms" },
        ] }))
    .unwrap();
    assert_eq!(sweep.cells(), 6);
    assert!(lines(&sweep).iter().any(|line| line.contains("--loss 2% --burst 2 --delay 1ms")));
    let mut same = Sweep::default();
    same.vary(Axis::parse("loss=1%,2%,3%; burst=1.5,2,2.5", &no_files).unwrap()).unwrap();
    same.vary(Axis::parse("delay=1ms,2ms", &no_files).unwrap()).unwrap();
    assert_eq!(same, sweep);
}

#[test]
fn a_command_line_replaces_what_a_file_says() {
    let mut sweep =
        sweep(&json!({ "set": { "delay": "5ms" }, "vary": { "loss": "0..8%:1%" } })).unwrap();
    sweep.vary(Axis::parse("loss=1%", &no_files).unwrap()).unwrap();
    sweep.vary(Axis::parse("delay=1ms,2ms", &no_files).unwrap()).unwrap();
    assert_eq!(sweep.cells(), 2);
    assert_eq!(lines(&sweep)[0], "--protocol saw --loss 1% --delay 1ms --repeat 1 --seed 7");
    sweep.fix("delay", &json!("9ms"), &no_files).unwrap();
    assert_eq!(lines(&sweep), ["--protocol saw --loss 1% --delay 9ms --repeat 1 --seed 7"]);
    assert!(sweep.vary(Axis::parse("loss=1%,2%; burst=1,2", &no_files).unwrap()).is_err());
}

#[test]
fn a_seed_depends_on_the_repetition_alone() {
    let sweep =
        sweep(&json!({ "repeat": 4, "vary": { "protocol": ["tcp", "saw"], "loss": "0..4%:1%" } }))
            .unwrap();
    let mut seeds = vec![BTreeSet::new(); 5];
    for cell in sweep.order() {
        let trial = sweep.trial(&cell, 7);
        seeds[trial.repeat as usize].insert(trial.seed);
    }
    assert!(seeds[1..].iter().all(|seeds| seeds.len() == 1));
    assert_eq!(seeds[1].first(), Some(&7));
    assert_eq!(seeds.iter().flatten().collect::<BTreeSet<_>>().len(), 4);
    assert!(seeds.iter().flatten().all(|seed| *seed < 1 << 53), "every reader of JSON keeps them");
}

#[test]
fn what_makes_no_sweep_is_refused_with_place_and_remedy() {
    for (value, message) in [
        (json!([]), "here belongs an object"),
        (json!({ "repeats": 3 }), "repeats: \"repeats\" is unknown here; did you mean \"repeat\"?"),
        (json!({ "repeat": 0 }), "repeat: write at least 1"),
        (json!({ "set": { "los": "5%" } }), "set.los: there is no such parameter"),
        (json!({ "set": { "loss": "5" } }), "set.loss: \"5\" has no unit; write \"5%\""),
        (json!({ "vary": 5 }), "vary: here belongs an object, or a list"),
        (json!({ "vary": [5] }), "vary[0]: here belongs an object"),
        (json!({ "vary": { "loss": "0..20%" } }), "vary.loss: \"0..20%\": a range needs a step"),
        (json!({ "vary": { "loss": ["5"] } }), "vary.loss: \"5\" has no unit"),
        (
            json!({ "vary": [ { "loss": "1%,2%", "burst": "1" } ] }),
            "vary[0].burst: it has 1 values and goes in pairs with loss",
        ),
        (
            json!({ "vary": [ { "loss": "1%" }, { "loss": "2%" } ] }),
            "vary[1]: it varies what stands above again",
        ),
        (
            json!({ "vary": [ { "loss": "1%" }, { "drop": "2%", "burst": "3" } ] }),
            "vary[1].loss: it is varied twice",
        ),
        (json!({ "set": { "loss": "1%" }, "vary": { "loss": "2%" } }), "vary.loss: it is set too"),
        (
            json!({ "set": { "loss": "90%" }, "vary": { "burst": "1..3:1" } }),
            "--burst: bursts of 1 packets cannot lose more",
        ),
        (
            json!({ "vary": { "protocol": "tcp,http" }, "virtual": true }),
            "virtual: http runs on real sockets only",
        ),
        (
            json!({ "set": { "protocol": "tcp", "timeout": "adaptive" } }),
            "timeout: tcp does nothing with it",
        ),
    ] {
        let found = sweep(&value).unwrap_err().to_string();
        assert!(found.starts_with(message), "{value}: {found}");
    }
    assert!(Axis::parse("loss", &no_files).unwrap_err().to_string().contains("loss=0..20%:1%"));
}
