//! Promises of the whole page.

use super::super::fixtures::{RowBuilder, gathered, row, sweep};
use super::super::gate::Gate;
use super::super::gather::Choice;
use super::draw;

fn page(rows: &[RowBuilder]) -> String {
    draw(&gathered(rows, &Choice::default()), None)
}

fn losses(count: u32) -> Vec<f64> {
    (0..count).map(|step| f64::from(step) / 400.0).collect()
}

/// Checks that a browser would fetch and run nothing: the only addresses are names of clip paths
/// inside the page.
fn assert_self_contained(html: &str) {
    let bare = html.replace("http://www.w3.org/2000/svg", "").replace("url(#kuva-clip-", "");
    // What a link of the page leads to stands in the page.
    let bare = bare.replace(" href=\"data:", "");
    for forbidden in [
        "http:",
        "https:",
        "<script",
        "src=",
        "href=",
        "url(",
        "@import",
        "<iframe",
        "<link",
        " onload=\"",
    ] {
        let found = bare.find(forbidden);
        assert!(
            found.is_none(),
            "{forbidden}: {:?}",
            bare[found.unwrap()..].chars().take(60).collect::<String>()
        );
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn a_sweep_fills_every_section() {
    let html = page(&sweep(&losses(5), &["10ms", "50ms"]));
    assert_self_contained(&html);
    assert_eq!(html.matches("<section class=\"metric\">").count(), 5);
    // Five metrics at two delays.
    assert_eq!(html.matches("role=\"img\" aria-label=\"").count(), 10);
    assert_eq!(html.matches("<table class=\"heat").count(), 3);
    assert_eq!(html.matches("<details><summary>The numbers").count(), 5);
    for text in [
        "<h1>Goodput, time to completion, round trip, median and more over loss, by protocol, for \
         each delay</h1>",
        "seed",
        "95% interval",
    ] {
        assert!(html.contains(text), "{text}");
    }
    for variable in
        ["--s1", "--s8", "--paper", "--ink", "--line", "--intact", "--damaged", "--missing"]
    {
        assert_eq!(
            html.matches(&format!("{variable}: ")).count(),
            3,
            "{variable} for light, dark and paper"
        );
    }
}

#[test]
fn what_arrived_whole_everywhere_is_said_in_a_line() {
    let at = |loss: f64, missing| {
        row().with("loss", loss).goodput(1_000_000).chunks(16 - missing, missing, 0)
    };
    let whole = page(&[at(0.0, 0), at(0.05, 0), at(0.1, 0)]);
    assert!(whole.contains("Everything, intact") && !whole.contains("class=\"bars\""));
    let lossy = page(&[at(0.0, 0), at(0.05, 1), at(0.1, 0)]);
    assert!(!lossy.contains("Everything, intact") && lossy.contains("class=\"bars\""));
}

#[test]
fn what_failed_is_said_and_marked() {
    let mut rows = sweep(&[0.0, 0.05, 0.1, 0.15, 0.2], &["10ms"]);
    let far = |repeat| {
        row().with("protocol", "saw").with("loss", 0.3).with("delay", "10ms").repeat(repeat)
    };
    rows.extend([
        far(1).failed("no <answer>"),
        far(2).failed("no <answer>"),
        far(3).failed("refused"),
    ]);
    let html = page(&rows);
    assert!(
        html.contains("<li>5 of 153 cells failed and are in no mean")
            && html.contains("each. 5 failed."),
        "{html}"
    );
    assert!(html.contains("2 times: no &lt;answer&gt;") && html.contains("1 time: refused"));
    assert!(html.contains("all rows failed</span>") && html.contains("3 of 3 failed"));
    assert!(html.contains("<td class=\"bad\">3<td>0<td>–<td>–"));
    let calm = page(&[row().with("loss", 0.0).seconds(1.0), row().with("loss", 0.1).seconds(2.0)]);
    assert!(
        calm.contains("None failed.")
            && !calm.contains("Why rows failed")
            && !calm.contains("all rows failed")
    );
}

#[test]
fn rows_that_all_failed_still_make_a_page() {
    let html = page(&[row().failed("refused"), row().with("loss", 0.1).failed("refused")]);
    assert!(html.contains("All of them failed.") && html.contains("2 times: refused"), "{html}");
}

#[test]
fn a_single_repeat_has_no_interval_and_says_so() {
    let at = |loss: f64, seconds| row().with("loss", loss).seconds(seconds);
    let html = page(&[at(0.0, 1.0), at(0.1, 2.0), at(0.2, 4.0)]);
    assert!(
        html.contains("There is one row for each point") && !html.contains("</svg>95% interval"),
        "{html}"
    );
    let html = page(&[at(0.0, 1.0), at(0.1, 2.0), at(0.1, 3.0).repeat(2)]);
    assert!(html.contains("A point of fewer than 5 rows has no interval"));
    assert!(html.contains("</svg>single values") && !html.contains("</svg>95% interval"));
    let five = (1..=5).map(|repeat| at(0.1, f64::from(repeat)).repeat(repeat));
    let html = page(&five.chain([at(0.0, 1.0)]).collect::<Vec<_>>());
    assert!(html.contains("</svg>95% interval") && html.contains("</svg>median"));
}

#[test]
fn names_from_files_are_only_text() {
    let evil = "</svg><script>alert(1)</script>\"'&\u{7}$x$";
    let mut rows = Vec::new();
    for (version, seconds) in [(evil, 1.0), ("<b>", 2.0)] {
        for profile in [evil, "b\" onload=\"x"] {
            let one = row().with("version", version).with("profile", profile).with("timeout", evil);
            rows.push(
                one.clone().seconds(seconds).with("measured", serde_json::json!({ evil: seconds })),
            );
            rows.push(one.repeat(2).failed(evil));
        }
    }
    let html = page(&rows);
    assert_self_contained(&html);
    assert!(!html.contains("<script") && !html.contains("alert(1)</script"), "{html}");
    assert!(!html.contains("<b>\"") && !html.contains('\u{7}'));
    assert!(html.contains("&lt;script&gt;alert(1)"), "they are shown as they are");
    // The library of the charts reads formulas between dollar signs; here they are names.
    let svg = &html[html.find("<svg").unwrap()..];
    assert!(svg.contains("onload=&quot;x") || svg.contains("&lt;/svg&gt;"), "{svg}");
}

#[test]
fn a_thousand_points_stay_small() {
    let rows = sweep(&losses(84), &["10ms", "20ms", "50ms", "100ms"]);
    let gathered = gathered(&rows, &Choice::default());
    assert_eq!((gathered.points.len(), gathered.metrics.len()), (1008, 5));
    let html = draw(&gathered, None);
    assert_self_contained(&html);
    // Each chart stands there twice, as the link to it holds it.
    assert!(html.len() < 3_500_000, "{} bytes", html.len());
}

/// Returns twenty-one points compared, of which saw at the highest loss got worse and more of tcp
/// fails.
fn compared() -> (super::Gathered, Gate) {
    use super::super::fixtures::loaded;
    use super::super::gather::gather;
    use super::super::interner::Interner;
    let losses = [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12];
    let old = sweep(&losses, &["10ms"]);
    let new: Vec<RowBuilder> = old
        .iter()
        .enumerate()
        .map(|(place, row)| {
            let row = row.clone().with("corrupt", 0.0);
            let protocol = place / 70;
            match (protocol, place % 70) {
                (2, 60..) => row.goodput(300_000 + place as u64 * 10),
                (0, 65..) => row.failed("<refused>"),
                _ => row,
            }
        })
        .collect();
    let old: Vec<RowBuilder> = old.into_iter().map(|row| row.with("corrupt", 0.0)).collect();
    let mut interner = Interner::default();
    let (new, old) =
        (loaded(&mut interner, "new.jsonl", &new), loaded(&mut interner, "old<1>.jsonl", &old));
    let gathered = gather(&interner, &new, &Choice::default()).unwrap();
    let conditions = ["goodput < 0.9".parse().unwrap()];
    let gate = Gate::new(&interner, &gathered.layout, (&new, &old), &conditions, false).unwrap();
    (gathered, gate)
}

#[test]
fn the_verdict_on_older_rows_stands_before_the_figures() {
    let (gathered, gate) = compared();
    let html = draw(&gathered, Some(&gate));
    assert_self_contained(&html);
    let verdict =
        html.find("FAIL: 2 of 21 points got worse (goodput &lt; 0.9)").expect("the verdict");
    assert!(verdict < html.find("class=\"metric\"").unwrap());
    assert!(
        html.contains("Against old&lt;1&gt;.jsonl")
            && html.contains("<section class=\"notice bad\">")
    );
    let worse = &html[verdict..html.find("class=\"metric\"").unwrap()];
    assert!(worse.contains("<td>saw</td><td>12%</td>"), "{worse}");
    assert!(worse.contains("<td>0</td><td>5</td><td>10</td>"), "{worse}");
}

#[test]
fn rows_of_which_nothing_varies_are_a_table() {
    let html = page(&[row().seconds(1.0), row().repeat(2).seconds(2.0)]);
    assert!(html.contains("<details open>") && !html.contains("<svg"), "{html}");
}
