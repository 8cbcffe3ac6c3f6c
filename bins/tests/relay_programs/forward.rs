//! Programs that say themselves where they want to go: curl and git, through SOCKS5 and an HTTP
//! proxy.

use crate::proxy_support::{Background, Jostle, free_port, installed, wait_for_port};
use std::path::Path;
use std::process::{Command, Stdio};

/// The weather that they meet.
const WEATHERS: [&[&str]; 3] = [
    &[],
    &["--delay", "5ms", "--drop", "2%", "--seed", "3"],
    &["--delay", "5ms", "--tcp", "raw", "--unit", "read"],
];

/// Fetches a URL through a proxy; the status of the program, and what it says.
fn curl(proxy: &str, url: &str, more: &[&str], file: &Path) -> (i32, String) {
    let output = Command::new("curl")
        .args(["-sS", "-w", "%{http_code}", "--max-time", "60", "--noproxy", "", "-x", proxy])
        .args(more)
        .arg("-o")
        .arg(file)
        .arg(url)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn curl_gets_the_file_whole_from_wherever_it_asks() {
    if !installed("curl") {
        return;
    }
    let body: Vec<u8> =
        (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let server = crate::serve(body.clone());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let by_name = format!("http://localhost:{}/", server.port());
    let by_address = format!("http://{server}/");
    for weather in WEATHERS {
        let socks = ["socks5://127.0.0.1:0", "http-proxy://127.0.0.1:0"];
        let jostle = Jostle::start(&[&socks, weather].concat(), 2);
        let [socks, http] = ["socks5", "http-proxy"].map(|scheme| jostle.address(scheme));
        for (proxy, more) in [
            (format!("socks5h://{socks}"), &[][..]),
            (format!("socks5://{socks}"), &[]),
            (format!("http://{http}"), &[]),
            (format!("http://{http}"), &["-p"]),
        ] {
            for url in [&by_name, &by_address] {
                let (status, said) = curl(&proxy, url, more, &file);
                assert_eq!((status, said.as_str()), (0, "200"), "{proxy} {more:?} {weather:?}");
                assert!(std::fs::read(&file).unwrap() == body, "{proxy} {url}: every byte arrives");
            }
        }
        jostle.stop().assert_conserved();
    }
}

#[test]
fn curl_is_told_what_is_wrong_in_its_own_words() {
    if !installed("curl") {
        return;
    }
    let server = crate::serve(b"for users".to_vec());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let allow = "127.0.0.1:".to_owned() + &server.port().to_string();
    let routes = ["socks5://127.0.0.1:0", "http-proxy://127.0.0.1:0"];
    let options = ["--user", "ann:secret", "--allow", &allow];
    let jostle = Jostle::start(&[&routes[..], &options].concat(), 2);
    let [socks, http] = ["socks5", "http-proxy"].map(|scheme| jostle.address(scheme));
    let url = format!("http://{server}/");
    // 97: the proxy's handshake; 56: CONNECT was refused.
    for (proxy, more, wanted) in [
        (format!("socks5h://ann:secret@{socks}"), &[][..], (0, "200")),
        (format!("http://ann:secret@{http}"), &[], (0, "200")),
        (format!("http://ann:secret@{http}"), &["-p"], (0, "200")),
        (format!("socks5h://ann:wrong@{socks}"), &[], (97, "000")),
        (format!("socks5h://{socks}"), &[], (97, "000")),
        (format!("http://ann:wrong@{http}"), &[], (0, "407")),
        (format!("http://{http}"), &["-p"], (56, "000")),
    ] {
        let (status, said) = curl(&proxy, &url, more, &file);
        assert_eq!(status, wanted.0, "{proxy}: {said}");
        assert!(said.starts_with(wanted.1), "{proxy}: {said}");
    }
    let (status, said) =
        curl(&format!("http://ann:secret@{http}"), "http://127.0.0.2/", &[], &file);
    assert_eq!((status, said.as_str()), (0, "403"));
    let summary = jostle.stop();
    summary.assert_conserved();
}

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gc.auto=0"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {said}");
}

#[test]
fn git_clones_through_either() {
    if !installed("git") || !installed("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    git(&source, &["init", "-q", "-b", "main"]);
    let content: String = (0..20_000u32).map(|n| format!("{}\n", n.wrapping_mul(7919))).collect();
    std::fs::write(source.join("numbers"), &content).unwrap();
    git(&source, &["add", "."]);
    git(&source, &["commit", "-q", "-m", "numbers"]);
    // What is served as files is what git itself calls the dumb protocol.
    git(&source, &["update-server-info"]);
    let port = free_port();
    let _server = Command::new("python3")
        .args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1"])
        .current_dir(&source)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Background)
        .unwrap();
    wait_for_port(port);
    let routes = ["socks5://127.0.0.1:0", "http-proxy://127.0.0.1:0"];
    let jostle = Jostle::start(&[&routes[..], &["--delay", "2ms", "--drop", "1%"]].concat(), 2);
    let [socks, http] = ["socks5", "http-proxy"].map(|scheme| jostle.address(scheme));
    for (place, proxy) in [("a", format!("socks5h://{socks}")), ("b", format!("http://{http}"))] {
        let setting = format!("http.proxy={proxy}");
        let url = format!("http://localhost:{port}/.git");
        git(folder.path(), &["-c", &setting, "clone", "-q", &url, place]);
        let cloned = std::fs::read_to_string(folder.path().join(place).join("numbers")).unwrap();
        assert!(cloned == content, "{proxy}: every byte arrives");
    }
    jostle.stop().assert_conserved();
}
