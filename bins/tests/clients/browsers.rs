//! Headless Chromium, by itself and driven by Playwright, loads a page with fifty resources.

use super::{Forward, assert_came_through, forward};
use crate::proxy_support::installed;
use crate::support::Server;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A page with fifty resources, and a server that has it.
struct Page {
    folder: tempfile::TempDir,
    server: Server,
}

impl Page {
    fn serve() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let make = format!(
            "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {FOLDER:?}); import \
             page; page.make({:?})",
            folder.path()
        );
        assert!(Command::new("python3").args(["-c", &make]).status().unwrap().success());
        let server = Server::start(&["http", "--root", folder.path().to_str().unwrap()]);
        Self { folder, server }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.server.address)
    }

    /// The bytes of all files.
    fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }
}

/// Checks that the page and all its resources came as they are, and that its scripts ran.
fn assert_whole(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let whole = (&seen["same"], &seen["differ"], &seen["ran"]);
    assert_eq!(whole, (&json!(51), &json!([]), &json!(17)), "{seen}");
}

#[test]
fn chromium_loads_a_page_with_fifty_resources() {
    if !["chromium", "python3"].map(installed).iter().all(|there| *there) {
        return;
    }
    let page = Page::serve();
    for how in Forward::BOTH {
        let (jostle, address) = forward(how);
        let mut command = Command::new("python3");
        command.arg(format!("{FOLDER}/page.py"));
        command.args(["chromium", &page.url()]).arg(page.folder.path());
        command.arg(format!("--proxy-server={}://{address}", how.scheme()));
        // Chromium asks no proxy for what is on this machine unless told to.
        command.arg("--proxy-bypass-list=<-loopback>");
        assert_whole(command);
        assert_came_through(jostle, page.bytes());
    }
}

/// Playwright, where `scripts/install-test-programs.sh` puts it.
fn playwright() -> Option<PathBuf> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/node/node_modules/playwright-core/index.mjs");
    if !module.is_file() {
        eprintln!("SKIPPED: Playwright is not installed (scripts/install-test-programs.sh)");
        return None;
    }
    module.canonicalize().ok()
}

/// The path of a program.
fn path_of(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.find(|place| place.is_file()).unwrap()
}

#[test]
fn playwright_loads_it_by_its_own_setting() {
    if !["chromium", "python3", "node"].map(installed).iter().all(|there| *there) {
        return;
    }
    let Some(module) = playwright() else { return };
    let page = Page::serve();
    for how in Forward::BOTH {
        let (jostle, address) = forward(how);
        let mut command = Command::new("node");
        command.arg(format!("{FOLDER}/playwright.mjs")).args([&module, &path_of("chromium")]);
        command.arg(format!("{}://{address}", how.scheme()));
        command.arg(page.url()).arg(page.folder.path());
        assert_whole(command);
        assert_came_through(jostle, page.bytes());
    }
}
