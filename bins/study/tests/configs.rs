//! Every sweep in `configs/` is what it says it is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_engine::profile::no_files;
use jostle_study::sweep::Sweep;
use std::path::PathBuf;

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/sweeps");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_sweep_can_be_run() {
    let files = files();
    for file in &files {
        let sweep = Sweep::from_json(&std::fs::read_to_string(file).unwrap(), &no_files);
        let sweep = sweep.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(sweep.check(), Ok(()), "{}", file.display());
        assert!(
            sweep.seed.is_some() && sweep.base.is_virtual && !sweep.about.is_empty(),
            "{}",
            file.display()
        );
        assert!(
            (50..=1000).contains(&sweep.cells()),
            "{}: {} cells",
            file.display(),
            sweep.cells()
        );
    }
    assert_eq!(files.len(), 5);
}
