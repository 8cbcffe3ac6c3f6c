//! `jostle ctl`, and the command lines of `toxiproxy-cli`, against a running proxy.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod proxy_support;

use proxy_support::{Background, jostle, vacant_address};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A proxy with an API and without routes of its own.
struct Api {
    _proxy: Background,
    address: String,
}

impl Api {
    fn start(arguments: &[&str]) -> Self {
        let mut child = jostle()
            .args(["proxy", "--json", "--api=127.0.0.1:0", "--seed", "7"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let proxy = Background(child);
        let address = stdout.lines().find_map(|line| {
            let value: Value = serde_json::from_str(&line.unwrap()).unwrap();
            (value["event"] == "api").then(|| value["address"].as_str().unwrap().to_owned())
        });
        Self { _proxy: proxy, address: address.expect("it says where it answers") }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = jostle();
        command.arg("ctl").args(arguments).env("JOSTLE_API", &self.address);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that succeeds, and returns what it said.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[&["--json"], arguments].concat())).unwrap()
    }

    /// Runs a command that fails, and returns its status and complaint.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(output.stdout.is_empty(), "{arguments:?}: {:?}", output.stdout);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Runs `toxiproxy-cli` by its own name.
    fn cli(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().unwrap();
        let link: PathBuf = folder.path().join("toxiproxy-cli");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_jostle"), &link).unwrap();
        let mut command = Command::new(link);
        command.args(arguments).env("TOXIPROXY_URL", format!("http://{}", self.address));
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    }
}

#[test]
fn a_proxy_is_created_changed_and_deleted() {
    let api = Api::start(&[]);
    assert!(api.says(&["list"]).starts_with("no proxies; create one: jostle ctl create"));
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    let leads_to = upstream.local_addr().unwrap().to_string();
    let profile = r#"{ "up": [ { "rule": "drop", "chance": "2%" } ] }"#;
    let create =
        ["create", "dns", "--upstream", &leads_to, "--protocol", "udp", "--profile", profile];
    let made = api.says(&create);
    assert!(made.starts_with("created dns: 127.0.0.1:"), "{made}");
    let list = api.says(&["list"]);
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[0], "dns");
    assert_eq!(row[2..], [leads_to.as_str(), "udp", "enabled", "up:", "drop", "2%"]);
    assert_eq!(api.json(&["list"])[0]["listen"], row[1]);

    assert_eq!(api.says(&["toggle", "dns"]), "dns is disabled\n");
    assert_eq!(api.says(&["toggle", "dns", "off"]), "dns is disabled\n");
    assert_eq!(api.says(&["toggle", "dns"]), "dns is enabled\n");
    let inspected = api.says(&["inspect", "dns"]);
    assert!(inspected.contains("rules     up: drop 2%"), "{inspected}");

    assert_eq!(api.says(&["rules", "off"]), "rules off\n");
    assert!(api.says(&["list"]).ends_with("all rules are switched off\n"));
    assert_eq!(api.says(&["rules", "on"]), "rules on\n");

    assert_eq!(api.says(&["delete", "dns"]), "deleted dns\n");
    let (status, said) = api.fails(&["delete", "dns"]);
    let right = "jostle: there is no proxy \"dns\"; `jostle ctl list` lists those there are\n";
    assert_eq!((status, said.as_str()), (1, right));
    for command in [&["inspect", "dns"][..], &["toggle", "dns"], &["toxic", "add", "dns", "noop"]] {
        assert_eq!(api.fails(command), (1, right.to_owned()), "{command:?}");
    }
    // What the API itself says names it too.
    for command in [&["profile", "show", "dns"][..], &["flows", "list", "dns"]] {
        let (status, said) = api.fails(command);
        assert!(status == 1 && said.starts_with("jostle: there is no proxy \"dns\"; "), "{said}");
    }
}

#[test]
fn a_profile_is_set_by_name_file_or_text_and_only_on_what_was_seen() {
    let api = Api::start(&["tcp://127.0.0.1:0=127.0.0.1:9"]);
    let set = api.says(&["profile", "set", "1", "geo-satellite"]);
    assert!(set.contains("delay"), "{set}");
    let shown: Value = serde_json::from_str(&api.says(&["profile", "show", "1"])).unwrap();
    assert!(shown["both"].is_array() || shown["up"].is_array(), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.json");
    std::fs::write(&path, r#"{ "down": [ { "rule": "delay", "time": "7ms" } ] }"#).unwrap();
    let set = api.says(&["profile", "set", "1", path.to_str().unwrap()]);
    assert!(set.contains("down: delay 7 ms"), "{set}");
    let revision = api.json(&["inspect", "1"])["revision"].to_string();
    let text = r#"{ "up": [ { "rule": "drop", "chance": "1%" } ] }"#;
    api.says(&["profile", "set", "1", text, "--if-revision", &revision]);
    let (status, said) = api.fails(&["profile", "set", "1", text, "--if-revision", &revision]);
    assert_eq!(status, 1, "{said}");
    for (wrong, right) in
        [("{ nonsense", "the profile: "), ("no/such/file.json", "cannot read no/such/file.json")]
    {
        let (status, said) = api.fails(&["profile", "set", "1", wrong]);
        assert!(status == 2 && said.contains(right), "{said}");
    }
    let (status, said) = api.fails(&["profile", "set", "1", "geo-satelite"]);
    assert!(status == 1 && said.contains("geo-satellite"), "{said}");
}

#[test]
fn toxics_come_change_and_go() {
    let api = Api::start(&["tcp://127.0.0.1:0=127.0.0.1:9"]);
    let added = api.says(&["toxic", "add", "1", "latency", "latency=100", "jitter=10"]);
    assert_eq!(added, "added latency_downstream {\"latency\":100,\"jitter\":10}\n");
    let changed = api.says(&["toxic", "update", "1", "latency_downstream", "latency=500"]);
    assert_eq!(changed, "changed latency_downstream {\"latency\":500,\"jitter\":10}\n");
    let inspected = api.says(&["inspect", "1"]);
    assert!(inspected.contains("latency_downstream: latency downstream"), "{inspected}");
    let removed = api.says(&["toxic", "remove", "1", "latency_downstream"]);
    assert_eq!(removed, "removed latency_downstream\n");
    let (status, said) = api.fails(&["toxic", "add", "1", "latency", "latency"]);
    assert_eq!((status, said.as_str()), (2, "jostle: latency: write KEY=VALUE: latency=100\n"));
    let (status, said) = api.fails(&["toxic", "add", "1", "nonsense"]);
    assert!(
        status == 1 && said.contains("\"nonsense\" is no type of toxic; write latency, "),
        "{said}"
    );
    let (status, said) = api.fails(&["toxic", "add", "1", "noop", "--stream", "sideways"]);
    let right =
        "jostle: \"sideways\" is no direction; write --stream upstream, downstream or both\n";
    assert_eq!((status, said.as_str()), (1, right));
    let (status, said) = api.fails(&["toxic", "remove", "1", "gone"]);
    let right =
        "jostle: proxy \"1\" has no toxic \"gone\"; `jostle ctl inspect 1` lists those it has\n";
    assert_eq!((status, said.as_str()), (1, right));
    let (status, said) = api.fails(&["create", "1", "--upstream", "127.0.0.1:9"]);
    assert!(
        status == 1 && said.contains("there is a proxy \"1\" already; delete it first"),
        "{said}"
    );
    api.says(&["toxic", "add", "1", "latency", "latency=1"]);
    assert_eq!(api.says(&["reset"]), "all proxies are enabled, and without toxics\n");
    assert_eq!(api.json(&["inspect", "1"])["toxics"], json!([]));
}

#[test]
fn connections_are_listed_and_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = Api::start(&[]);
    let upstream = listener.local_addr().unwrap().to_string();
    api.says(&["create", "web", "--upstream", &upstream]);
    let address = api.json(&["list"])[0]["listen"].as_str().unwrap().to_owned();
    assert_eq!(api.says(&["flows", "list", "web"]), "no flows\n");
    let mut clients: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"hello").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        std::mem::forget(server);
    }
    let flows = api.json(&["flows", "list", "web"]);
    let local = clients[0].local_addr().unwrap().to_string();
    let id = flows.as_array().unwrap().iter().find(|flow| flow["client"] == local).unwrap()["id"]
        .to_string();
    assert!(api.says(&["flows", "list", "web"]).contains(&local));
    let rules = r#"{ "down": [ { "rule": "delay", "time": "7ms" } ] }"#;
    let set = api.says(&["flows", "set", "web", &id, rules]);
    assert_eq!(set, format!("flow {id}  down: delay 7 ms\n"));
    let shown = api.json(&["flows", "rules", "web", &id]);
    assert_eq!(shown["down"][0]["time"], "7ms", "{shown}");
    assert_eq!(api.json(&["profile", "show", "web"])["down"][0]["match"]["flow"].to_string(), id);
    assert!(api.says(&["flows", "set", "web", &id, "geo-satellite"]).contains("delay"), "by name");
    assert!(api.says(&["flows", "set", "web", &id, "{}"]).starts_with(&format!("flow {id}  ")));
    assert_eq!(api.json(&["flows", "rules", "web", &id]), json!({}));
    let (status, said) = api.fails(&["flows", "set", "web", "999", "{}"]);
    assert!(status == 1 && said.contains("has no flow 999"), "{said}");
    assert_eq!(api.says(&["flows", "close", "web", &id]), format!("closed {id}\n"));
    assert_eq!(clients[0].read(&mut [0; 5]).unwrap(), 0, "it has ended");
    let other = api.json(&["flows", "list", "web"])[0]["id"].to_string();
    assert_eq!(api.says(&["flows", "reset", "web", &other]), format!("reset {other}\n"));
    assert!(clients[1].read(&mut [0; 5]).is_err(), "it was reset");
}

#[test]
fn a_list_is_populated_and_seconds_are_watched() {
    let api = Api::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.json");
    let list = json!([ { "name": "a", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9" } ]);
    std::fs::write(&path, list.to_string()).unwrap();
    assert_eq!(api.says(&["populate", path.to_str().unwrap()]), "there are a\n");
    let lines = api.says(&["watch", "--count", "2"]);
    assert_eq!(lines.lines().count(), 4, "two seconds of two directions: {lines}");
    assert!(lines.contains(" a up: in 0, out 0, lost 0%, "), "{lines}");
    let second: Value = api.json(&["watch", "--count", "1"]);
    assert!(second["proxies"]["a"]["up"].is_object(), "{second}");
}

#[test]
fn nobody_there_is_said_with_the_remedy() {
    let free = vacant_address().to_string();
    let output = jostle().args(["ctl", "--api", &free, "list"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let right = format!(
        "jostle: nothing answers at http://{free}; start `jostle proxy --api`, or name another \
         address by --api\n"
    );
    assert_eq!(said, right);
    let output = jostle().args(["ctl", "--api", "https://x", "list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn toxiproxy_cli_says_what_scripts_look_for() {
    let api = Api::start(&[]);
    let ok = |said: &str| (Some(0), said.to_owned());
    assert_eq!(api.cli(&["list"]), ok(""));
    let create = ["create", "-l", "127.0.0.1:0", "-u", "127.0.0.1:9", "web"];
    assert_eq!(api.cli(&create), ok("Created new proxy web\n"));
    let (status, said) = api.cli(&create);
    let right = "Failed to create proxy: Create: HTTP 409: proxy already exists\n";
    assert_eq!((status, said.as_str()), (Some(1), right));
    let listen = api.json(&["list"])[0]["listen"].as_str().unwrap().to_owned();
    assert_eq!(api.cli(&["ls"]), ok(&format!("web\t{listen}\t127.0.0.1:9\tenabled\t0\n")));
    let add = [
        "toxic",
        "add",
        "-t",
        "latency",
        "-n",
        "slow",
        "-tox",
        "0.5",
        "-a",
        "latency=100",
        "-u",
        "web",
    ];
    assert_eq!(api.cli(&add), ok("Added upstream latency toxic 'slow' on proxy 'web'\n"));
    let update = ["t", "u", "-n", "slow", "-a", "jitter=25", "web"];
    assert_eq!(api.cli(&update), ok("Updated toxic 'slow' on proxy 'web'\n"));
    let line = "slow\ttype=latency\tstream=upstream\ttoxicity=1.00\tattributes=[\tjitter=25\t\
                latency=100\t]\n";
    assert_eq!(api.cli(&["inspect", "web"]), ok(line));
    let remove = ["toxic", "delete", "-n", "slow", "web"];
    assert_eq!(api.cli(&remove), ok("Removed toxic 'slow' on proxy 'web'\n"));
    // What Toxiproxy could not have is counted where no script looks.
    let inspected = |said: &str| {
        format!(
            "web: {said}; `jostle ctl inspect web` lists {}\n",
            if said == "1 rule more" { "it" } else { "them" }
        )
    };
    api.says(&["toxic", "add", "web", "drop", "chance=1%"]);
    assert_eq!(api.cli(&["inspect", "web"]), ok(&inspected("1 rule more")));
    api.says(&["toxic", "add", "web", "latency", "latency=5"]);
    api.says(&["toxic", "add", "web", "corrupt", "chance=1%"]);
    let row = format!("web\t{listen}\t127.0.0.1:9\tenabled\t1\n");
    assert_eq!(api.cli(&["list"]), ok(&(row + &inspected("2 rules more"))));
    let version = format!("toxiproxy-cli version {} (jostle)\n", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-v"] {
        assert_eq!(api.cli(&[flag]), ok(&version));
    }
    assert_eq!(api.cli(&["tog", "web"]), ok("Proxy web is now disabled\n"));
    assert_eq!(api.cli(&["toggle", "web"]), ok("Proxy web is now enabled\n"));
    let (status, said) = api.cli(&["i", "nope"]);
    let right = "Failed to retrieve proxy nope: Proxy: HTTP 404: proxy not found\n";
    assert_eq!((status, said.as_str()), (Some(1), right));
    assert_eq!(api.cli(&["d", "web"]), ok("Deleted proxy web\n"));
    let by_jostle = jostle()
        .args(["toxiproxy-cli", "--host", &format!("http://{}", api.address), "list"])
        .output()
        .unwrap();
    assert!(by_jostle.status.success() && by_jostle.stdout.is_empty());
}
