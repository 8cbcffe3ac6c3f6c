use super::*;
use crate::rows::Row;
use crate::trial::Trial;

fn row(seed: u64, repeat: u32, ok: bool) -> Row {
    Row { ok, ..Trial { seed, repeat, ..Trial::default() }.row() }
}

fn line(row: &Row) -> String {
    serde_json::to_string(row).unwrap() + "\n"
}

/// Returns the cells found in a file of this text, the remarks, and the text that the file holds
/// then.
fn found(text: &str) -> anyhow::Result<(Found, Vec<String>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, text).unwrap();
    let mut output = RowOutput::open(Some(&path), false, false).unwrap().unwrap();
    let (found, remarks) = output.read()?;
    Ok((found, remarks, std::fs::read_to_string(&path).unwrap()))
}

#[test]
fn what_stands_there_is_found_and_a_torn_end_is_cut_off() {
    let rows = [row(1, 1, true), row(2, 2, false), row(3, 3, false), row(3, 3, true)];
    let text: String = rows.iter().map(line).collect();
    let last = line(&row(4, 4, true));
    for torn in 0..=last.len() {
        let (found, remarks, left) = found(&(text.clone() + &last[..torn])).unwrap();
        // Without its end alone the last row is whole.
        let whole = torn >= last.len() - 1;
        assert_eq!(left, if whole { text.clone() + &last } else { text.clone() }, "{torn}");
        assert_eq!(found.count(), 3 + u64::from(whole));
        assert_eq!(remarks.len(), usize::from(torn > 0 && !whole));
        for (row, failed) in rows.iter().zip([false, true, false]) {
            let cell = Identity::of(row);
            assert_eq!((found.has(cell), found.has_failed(cell)), (true, failed), "{row:?}");
        }
        assert!(!found.has(Identity::of(&row(1, 5, true))));
        assert_eq!(found.seed(Path::new("")).unwrap(), Some(1));
    }
}

#[test]
fn what_is_no_row_is_left_alone() {
    let good = line(&row(1, 1, true));
    for text in [
        "a letter to a friend",
        "{}\n",
        "\u{0}\u{1}",
        "{\"protocol\":\n",
        &format!("{good}dear friend\n{good}"),
    ] {
        let error = found(text).unwrap_err().to_string();
        assert!(error.contains("is no row of a sweep") && error.contains("another -o"), "{error}");
    }
    assert_eq!(found(&format!("\n{good}\n")).unwrap().0.count(), 1);
}

#[test]
fn the_seed_is_told_by_first_repetitions_that_agree() {
    let seed = |rows: &[Row]| {
        found(&rows.iter().map(line).collect::<String>()).unwrap().0.seed(Path::new("r"))
    };
    assert_eq!(seed(&[]).unwrap(), None);
    assert_eq!(seed(&[row(9, 2, true), row(7, 1, true), row(7, 1, false)]).unwrap(), Some(7));
    for rows in [&[row(9, 2, true)][..], &[row(7, 1, true), row(8, 1, true)]] {
        let error = seed(rows).unwrap_err().to_string();
        assert!(error.starts_with("--seed: ") && error.ends_with("write it"), "{error}");
    }
}

#[test]
fn failed_rows_go_and_the_others_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    let rows = [row(1, 1, false), row(2, 2, true), row(3, 3, false)].map(|row| line(&row));
    std::fs::write(&path, rows.concat()).unwrap();
    std::fs::write(folder.path().join("rows.jsonl.new"), "left behind").unwrap();
    let mut output = RowOutput::open(Some(&path), false, false).unwrap().unwrap();
    output
        .remove_failed(&[row(1, 1, false), row(2, 2, false)].iter().map(Identity::of).collect())
        .unwrap();
    output.write("more\n").unwrap();
    let another = RowOutput::open(Some(&path), false, false).unwrap_err().to_string();
    assert!(another.starts_with("another sweep writes to "), "{another}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), rows[1..].concat() + "more\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_part_has_its_name_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    let open = |again| RowOutput::open(Some(&path), true, again).unwrap();
    let mut output = open(false).unwrap();
    output.write("one\n").unwrap();
    drop(output);
    assert!(!path.exists());
    let mut output = open(false).unwrap();
    output.write("two\n").unwrap();
    output.finish().unwrap();
    assert!(open(false).is_none());
    let mut output = open(true).unwrap();
    output.write("three\n").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    output.finish().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn where_nothing_can_be_written_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (path, words) in
        [(folder.path(), "is a folder"), (&folder.path().join("no/rows"), "cannot write")]
    {
        for is_part in [false, true] {
            let error = RowOutput::open(Some(path), is_part, false).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
