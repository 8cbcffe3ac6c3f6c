//! The examples of `docs/control.md`, run as they stand there.

use super::{in_a_network_of_its_own, installed};
use std::fs;
use std::path::Path;

/// Returns the only block of a language.
fn block(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/control.md");
    let text = fs::read_to_string(path).unwrap();
    let open = format!("\n```{language}\n");
    let mut blocks = text.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.next().expect("there is an example");
    assert_eq!(blocks.next(), None, "there is one example in {language}");
    block.to_owned()
}

/// Runs a command with an API on its usual port, and a web server on 8080.
fn assert_passes(command: &[&str]) {
    let Some(mut alone) = in_a_network_of_its_own() else { return };
    let script = r#"
        "$0" http --listen 127.0.0.1:8080 --root "$1" >"$2" &
        server=$!
        trap 'kill $server' EXIT
        tries=0
        until grep -q listening "$2" || [ $tries = 400 ]; do tries=$((tries + 1)); sleep 0.05; done
        jostle="$3"
        shift 3
        "$jostle" proxy --api -- "$@""#;
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    fs::write(folder.path().join("index.html"), "hello").unwrap();
    let output = alone
        .args(["sh", "-c", script, env!("CARGO_BIN_EXE_jostle-server")])
        .args([folder.path(), &said])
        .arg(env!("CARGO_BIN_EXE_jostle"))
        .args(command)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}{told}",
        String::from_utf8_lossy(&output.stdout)
    );
    // Or nothing had gone through the proxy.
    assert!(told.contains("slow-web"), "{told}");
}

/// Runs the block of a language by its program.
fn assert_block_passes(language: &str, program: &str, ending: &str) {
    if !installed(program) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("example.{ending}"));
    fs::write(&file, block(language)).unwrap();
    assert_passes(&[program, file.to_str().unwrap()]);
}

#[test]
fn the_example_for_curl_passes() {
    if installed("curl") {
        assert_block_passes("bash", "bash", "sh");
    }
}

#[test]
fn the_example_for_python_passes() {
    assert_block_passes("python", "python3", "py");
}

#[test]
fn the_example_for_node_passes() {
    assert_block_passes("js", "node", "mjs");
}

#[test]
fn the_example_for_rust_is_the_one_that_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(folder.join("examples/control.rs")).unwrap();
    assert_eq!(block("rust"), source);
    // Cargo builds examples beside the tests, unless it is asked for one target alone.
    let built = Path::new(env!("CARGO_BIN_EXE_jostle")).with_file_name("examples").join("control");
    if !built.exists() {
        eprintln!("SKIPPED: the example is not built (cargo build -p jostle-bins --examples)");
        return;
    }
    assert_passes(&[built.to_str().unwrap()]);
}
