//! What the API answers is what its description says. The judges are Python's `jsonschema` and
//! `openapi-spec-validator`, which nobody here wrote.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stderr, reason = "it says what it skips")]

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Running, echo_server};

/// Reads answers from a file, and prints a line for each that its description does not allow.
/// Arguments: the document, the answers.
const JUDGE: &str = r#"
import json, re, sys
from jsonschema import Draft202012Validator
document = json.load(open(sys.argv[1]))
answers = json.load(open(sys.argv[2]))
def looked_up(value):
    while "$ref" in value:
        found = document
        for part in value["$ref"][2:].split("/"):
            found = found[part]
        value = found
    return value
judged = 0
for answer in answers:
    where = f'{answer["method"]} {answer["path"]} {answer["status"]}'
    path = next((path for path in document["paths"]
                 if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), answer["path"])), None)
    operation = document["paths"].get(path, {}).get(answer["method"].lower())
    if operation is None:
        print(where, "is not described")
        continue
    responses = operation["responses"]
    if str(answer["status"]) not in responses:
        print(where, "is no answer of it")
        continue
    response = looked_up(responses[str(answer["status"])])
    content = response.get("content")
    if content is None:
        if answer["body"]:
            print(where, "has a body")
    elif answer["type"].replace(" ", "") not in [kind.replace(" ", "") for kind in content]:
        print(where, "says it is", answer["type"])
    else:
        schema = dict(next(iter(content.values()))["schema"])
        schema["components"] = document["components"]
        for error in Draft202012Validator(schema).iter_errors(json.loads(answer["body"])):
            print(where, list(error.absolute_path), error.message[:200])
    judged += 1
print("judged", judged)
"#;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

/// A Python that has a module, if there is one.
fn python_with(module: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
    let has = |python: &PathBuf| {
        let import = format!("import {module}");
        Command::new(python).args(["-c", &import]).output().is_ok_and(|out| out.status.success())
    };
    [own, PathBuf::from("python3")].into_iter().find(has)
}

/// Asks for everything there is, well and badly, and keeps the answers.
fn answers() -> Vec<Value> {
    let running = Running::start();
    let listen = running.create("p", echo_server());
    let client = std::net::TcpStream::connect(listen).unwrap();
    let mut answers = Vec::new();
    let mut ask = |method: &str, path: &str, body: &str| {
        let answer = running.ask(method, path, body);
        let kind = answer.header("content-type").unwrap_or_default().to_owned();
        let kind =
            if kind == "application/json;charset=utf-8" { "application/json".into() } else { kind };
        let path = path.split('?').next().unwrap();
        answers.push(json!({ "method": method, "path": path, "status": answer.status,
                             "type": kind, "body": answer.body }));
        answer.status
    };
    let drop = r#"{"type":"drop","stream":"both","attributes":{"chance":"1%"}}"#;
    // The connection is there once the list has it.
    while running.ask("GET", "/proxies/p/flows", "").json()["flows"] == json!([]) {
        std::thread::yield_now();
    }
    for (method, path, body, status) in [
        ("GET", "/version", "", 200),
        ("GET", "/proxies", "", 200),
        (
            "POST",
            "/proxies",
            r#"{"name":"q","upstream":"u:1","listen":"127.0.0.1:0","protocol":"udp","profile":"geo-satellite","seed":3}"#,
            201,
        ),
        (
            "POST",
            "/proxies",
            r#"{"name":"w","listen":"127.0.0.1:0","protocol":"socks5","target":["*.a:1"],"user":"a:b"}"#,
            201,
        ),
        ("POST", "/proxies", r#"{"name":"x","protocol":"socks5","upstream":"u:1"}"#, 400),
        ("POST", "/proxies", r#"{"name":"x","protocol":"udp","target":"any"}"#, 400),
        ("POST", "/proxies", r#"{"name":"x","protocol":"http-proxy","target":"a b"}"#, 400),
        ("GET", "/proxies/w", "", 200),
        ("POST", "/proxies", r#"{"name":"q","upstream":"u:1"}"#, 409),
        ("POST", "/proxies", "junk", 400),
        ("POST", "/proxies", r#"{"name":"r","upstream":"u:1","listen":"garbage"}"#, 500),
        ("POST", "/populate", r#"[{"name":"q","upstream":"u:1","listen":"127.0.0.1:0"}]"#, 201),
        ("POST", "/populate", r#"[{"name":"s"}]"#, 400),
        ("POST", "/populate", r#"[{"name":"s","upstream":"u:1","listen":"garbage"}]"#, 500),
        ("GET", "/proxies/p", "", 200),
        ("GET", "/proxies/none", "", 404),
        ("PATCH", "/proxies/p", "{}", 200),
        ("POST", "/proxies/p", r#"{"enabled":7}"#, 400),
        ("GET", "/proxies/p/flows", "", 200),
        ("GET", "/proxies/p/flows?limit=x", "", 400),
        ("GET", "/proxies/p/flows/1", "", 200),
        ("PUT", "/proxies/p/flows/1/profile", r#"{"up":[{"rule":"delay","time":"1ms"}]}"#, 200),
        ("GET", "/proxies/p/flows/1/profile", "", 200),
        ("PUT", "/proxies/p/flows/1/profile", "[]", 400),
        ("POST", "/proxies/p/flows/1/reset", "", 204),
        ("DELETE", "/proxies/p/flows/77", "", 404),
        ("POST", "/proxies/p/toxics", r#"{"type":"latency","attributes":{"latency":5}}"#, 200),
        ("POST", "/proxies/p/toxics", drop, 200),
        ("POST", "/proxies/p/toxics", drop, 409),
        ("POST", "/proxies/p/toxics", r#"{"type":"drop","attributes":{"chance":"x"}}"#, 400),
        ("GET", "/proxies/p", "", 200),
        ("GET", "/proxies", "", 200),
        ("GET", "/proxies/p/toxics", "", 200),
        ("GET", "/proxies/p/toxics/drop_both", "", 200),
        ("PATCH", "/proxies/p/toxics/latency_downstream", r#"{"toxicity":0.5}"#, 200),
        ("POST", "/proxies/p/toxics/drop_both", r#"{"attributes":{"every":5}}"#, 200),
        ("GET", "/proxies/p/rules", "", 200),
        ("GET", "/proxies/p/profile", "", 200),
        ("PUT", "/proxies/q/profile", r#""coffee-shop-wifi""#, 200),
        ("PUT", "/proxies/q/profile", r#"{"up":7}"#, 400),
        ("PUT", "/proxies/none/profile", "{}", 404),
        ("GET", "/profiles", "", 200),
        ("GET", "/rules", "", 200),
        ("POST", "/rules", r#"{"on":true}"#, 200),
        ("POST", "/rules", "{}", 400),
        ("GET", "/state", "", 200),
        ("GET", "/openapi.json", "", 200),
        ("DELETE", "/proxies/p/toxics/drop_both", "", 204),
        ("DELETE", "/proxies/p/toxics/drop_both", "", 404),
        ("POST", "/reset", "", 204),
        ("DELETE", "/proxies/q", "", 204),
        ("DELETE", "/proxies/q", "", 404),
    ] {
        assert_eq!(ask(method, path, body), status, "{method} {path} {body}");
    }
    std::mem::drop(client);
    answers
}

#[test]
fn answers_are_those_that_are_described() {
    let answers = answers();
    let Some(python) = python_with("jsonschema") else {
        eprintln!("SKIPPED: no Python with jsonschema judges the answers");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers.json");
    std::fs::write(&file, Value::from(answers.clone()).to_string()).unwrap();
    let output = Command::new(python).args(["-c", JUDGE, DOCUMENT]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, format!("judged {}\n", answers.len()), "{errors}");
    assert!(answers.len() > 40);
}

#[test]
fn the_description_is_openapi() {
    let Some(python) = python_with("openapi_spec_validator") else {
        eprintln!("SKIPPED: no Python with openapi-spec-validator reads docs/openapi.json");
        return;
    };
    let judge = "import json,sys,openapi_spec_validator as v; v.validate(json.load(open(sys.argv[1]))); print('valid')";
    let output = Command::new(python).args(["-c", judge, DOCUMENT]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "valid\n", "{}", String::from_utf8_lossy(&output.stderr));
}
