use super::super::dimension::Wanted;
use super::super::fixtures::{RowBuilder, loaded, noise, row};
use super::*;

/// Compares new rows with old ones.
fn compared(new: &[RowBuilder], old: &[RowBuilder], conditions: &[&str], strict: bool) -> Gate {
    let mut interner = Interner::default();
    let (new, old) = (loaded(&mut interner, "new", new), loaded(&mut interner, "old", old));
    let layout = Layout::new(&interner, &new.records, Wanted::default()).unwrap();
    let conditions: Vec<Condition> = conditions.iter().map(|text| text.parse().unwrap()).collect();
    Gate::new(&interner, &layout, (&new, &old), &conditions, strict).unwrap()
}

/// Returns a sweep of ten loss rates, `repeats` repetitions each; the goodput is that of the loss
/// rate, times what `factor` says of loss rate and repetition.
fn sweep(repeats: u32, factor: impl Fn(u64, u32) -> f64) -> Vec<RowBuilder> {
    let mut rows = Vec::new();
    for place in 0..10 {
        for repeat in 1..=repeats {
            let goodput = 8e6 / (1.0 + place as f64) * factor(place, repeat);
            rows.push(
                row().with("loss", place as f64 / 100.0).repeat(repeat).goodput(goodput as u64),
            );
        }
    }
    rows
}

/// Returns noise of a relative size, other for each run.
fn noisy(run: u64, size: f64) -> impl Fn(u64, u32) -> f64 {
    move |place, repeat| 1.0 + size * noise(run, place * 100 + u64::from(repeat))
}

#[test]
fn a_drop_of_a_fifth_is_found_where_it_is() {
    let old = sweep(10, noisy(1, 0.03));
    let dropped =
        |place, repeat| noisy(2, 0.03)(place, repeat) * if place >= 7 { 0.8 } else { 1.0 };
    let gate = compared(&sweep(10, dropped), &old, &["goodput < 0.9"], false);
    assert_eq!(
        (gate.outcome, gate.pairs, gate.points, gate.chances),
        (GateOutcome::Worse, 100, 10, 10)
    );
    let found: Vec<&str> =
        gate.worse.iter().map(|finding| finding.spot.levels[0].1.as_str()).collect();
    assert_eq!(found, ["7%", "8%", "9%"]);
    for finding in &gate.worse {
        let interval = finding.interval.unwrap();
        assert!(
            (0.75..0.85).contains(&finding.ratio) && interval.high < 0.9 && interval.low > 0.7,
            "{finding:?}"
        );
        assert!((finding.new_mean / finding.old_mean - finding.ratio).abs() < 0.01);
        assert_eq!((finding.pairs, finding.basis), (10, Basis::Interval));
    }
    assert!((gate.confidence - 0.995).abs() < 1e-12);
    assert!(
        gate.text().contains("FAIL: 3 of 10 points got worse (goodput < 0.9)."),
        "{}",
        gate.text()
    );
}

#[test]
fn cells_that_are_gone_fail_where_all_were_to_be_compared() {
    let old = sweep(10, noisy(1, 0.01));
    let gone = |strict| compared(&old[..90], &old, &["goodput < 0.9"], strict);
    assert_eq!((gone(false).outcome, gone(true).outcome), (GateOutcome::Passed, GateOutcome::Gone));
    assert!(
        gone(true).text().contains("FAIL: 10 old cells without a new one"),
        "{}",
        gone(true).text()
    );
    assert_eq!(
        compared(&old, &old[..90], &["goodput < 0.9"], true).outcome,
        GateOutcome::Passed,
        "more is fine"
    );
}

#[test]
fn noise_alone_does_not_fail() {
    // No change at all, and a threshold that is far from it: never. At the threshold itself: in
    // 2.5 % of runs at most.
    let (mut far, mut at, mut unclear) = (0, 0, 0);
    for run in 0..100 {
        let (old, new) = (sweep(10, noisy(2 * run, 0.01)), sweep(10, noisy(2 * run + 1, 0.01)));
        let gate = compared(&new, &old, &["goodput < 0.9"], true);
        far += u32::from(!gate.passed());
        let lower = |place, repeat| 0.9 * noisy(2 * run + 1, 0.01)(place, repeat);
        let gate = compared(&sweep(10, lower), &old, &["goodput < 0.9"], false);
        at += u32::from(!gate.passed());
        unclear += gate.unclear.len();
    }
    assert_eq!(far, 0);
    // Of a hundred runs with a chance of 2.5 % each, more than 9 fail once in ten thousand times.
    assert!(at <= 9, "{at}");
    assert!(unclear > 900, "{unclear}: on the threshold it can hardly ever be told");
}

#[test]
fn more_failed_cells_are_worse_by_themselves() {
    let old = sweep(4, |_, _| 1.0);
    let failing: Vec<RowBuilder> = (0..)
        .zip(sweep(4, |_, _| 1.0))
        .map(|(number, row)| if number >= 38 { row.failed("refused") } else { row })
        .collect();
    let gate = compared(&failing, &old, &["goodput < 0.9"], false);
    assert_eq!((gate.outcome, gate.worse.len()), (GateOutcome::Worse, 0));
    let [point] = gate.failing.as_slice() else { panic!("{:?}", gate.failing) };
    assert_eq!((point.old_failed, point.new_failed, point.pairs), (0, 2, 4));
    assert_eq!(point.spot.levels, [("loss", "9%".to_owned())]);
    // As many as before, or fewer: nothing got worse.
    assert!(compared(&failing, &failing, &["goodput < 0.9"], true).passed());
    assert!(compared(&old, &failing, &["goodput < 0.9"], true).passed());
    // All of them: no goodput is left to compare, and it fails all the same.
    let none: Vec<RowBuilder> = old.iter().map(|row| row.clone().failed("refused")).collect();
    assert_eq!(compared(&none, &old, &["goodput < 0.9"], false).outcome, GateOutcome::Worse);
}

#[test]
fn virtual_cells_are_certain_with_one_repetition() {
    let virtually = |factor: f64| -> Vec<RowBuilder> {
        let rows = sweep(1, move |place, _| if place == 3 { factor } else { 1.0 });
        rows.into_iter().map(|row| row.with("virtual", true)).collect()
    };
    let old = virtually(1.0);
    let same = compared(&old, &old, &["goodput < 0.99"], true);
    assert_eq!(
        (same.outcome, same.sound, same.chances, same.same_runs),
        (GateOutcome::Passed, 10, 0, 0)
    );
    let gate = compared(&virtually(0.85), &old, &["goodput < 0.9", "goodput > 1.1"], false);
    assert_eq!((gate.outcome, gate.worse.len(), gate.sound), (GateOutcome::Worse, 1, 19));
    assert_eq!((gate.worse[0].basis, gate.worse[0].condition), (Basis::Certain, 0));
    assert!(compared(&virtually(0.95), &old, &["goodput < 0.9"], true).passed());
}

#[test]
fn a_test_that_compares_nothing_fails() {
    let old = sweep(1, |_, _| 1.0);
    let others: Vec<RowBuilder> = old.iter().map(|row| row.clone().with("size", 9)).collect();
    let gate = compared(&others, &old, &["goodput < 0.9"], false);
    assert_eq!((gate.outcome, gate.new_alone, gate.old_alone), (GateOutcome::Nothing, 10, 10));
    assert!(gate.verdict().contains("no new cell has an old one"), "{}", gate.verdict());
    // One real pair of each: nothing to judge by.
    let gate = compared(&sweep(1, |_, _| 0.5), &old, &["goodput < 0.9"], false);
    assert_eq!((gate.outcome, gate.unclear.len()), (GateOutcome::Nothing, 10));
    assert!(gate.verdict().contains("run more repeats"), "{}", gate.verdict());
    let gate = compared(&old, &old, &["rtt > 2"], false);
    assert_eq!(gate.outcome, GateOutcome::Nothing);
    assert!(gate.verdict().contains("has what is asked for (rtt > 2)"), "{}", gate.verdict());
}

#[test]
fn what_is_unclear_fails_when_it_must_be_clear() {
    let wild = |run: u64| sweep(3, noisy(run, 0.2));
    let (old, new) = (wild(1), wild(2));
    let gate = compared(&new, &old, &["goodput < 0.9"], false);
    assert!(gate.passed() && gate.unclear.len() > 5, "{}", gate.text());
    assert!(gate.verdict().contains("verdicts are unclear"), "{}", gate.verdict());
    let gate = compared(&new, &old, &["goodput < 0.9"], true);
    assert_eq!(gate.outcome, GateOutcome::Unclear);
    assert!(!gate.passed());
}

#[test]
fn a_file_compared_with_itself_is_said() {
    let old = sweep(2, noisy(1, 0.1));
    let gate = compared(&old, &old, &["goodput < 0.9"], false);
    assert_eq!((gate.same_runs, gate.passed()), (20, true));
    assert!(gate.text().contains("20 pairs of one and the same run"), "{}", gate.text());
}

#[test]
fn old_rows_that_were_left_out_are_said() {
    let old = sweep(2, |_, _| 1.0);
    let twice = [old.clone(), old.clone()].concat();
    let gate = compared(&old, &twice, &["goodput < 0.9"], false);
    assert_eq!(gate.pairs, 20);
    assert!(
        gate.text().contains("Of the old rows: 20 rows stand in the files twice"),
        "{}",
        gate.text()
    );
}

#[test]
fn a_condition_on_what_nobody_measured_is_refused() {
    let mut interner = Interner::default();
    let new = loaded(&mut interner, "new", &[row().seconds(1.0)]);
    let old = loaded(&mut interner, "old", &[row().seconds(2.0)]);
    let layout = Layout::new(&interner, &new.records, Wanted::default()).unwrap();
    let error =
        Gate::new(&interner, &layout, (&new, &old), &["measured.fps < 1".parse().unwrap()], false)
            .unwrap_err();
    assert_eq!(
        error.to_string(),
        "--fail-if 'measured.fps < 1': no row has \"measured.fps\"; the rows measured seconds"
    );
}
