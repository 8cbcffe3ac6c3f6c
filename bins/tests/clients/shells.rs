//! curl, git and ssh.

use super::{Forward, assert_came_through, forward};
use crate::proxy_support::{Background, free_port, installed, wait_for_port};
use crate::support::{Server, bytes};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn done(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

#[test]
fn curl_goes_by_either_kind() {
    if !installed("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let body = bytes(200_000);
    fs::write(folder.path().join("body"), &body).unwrap();
    let server = Server::start(&["http", "--root", folder.path().to_str().unwrap()]);
    // By its name too, which is looked up at the proxy.
    let local = format!("http://localhost:{}/body", server.address.port());
    let url = format!("http://{}/body", server.address);
    for (how, options) in [
        (Forward::Socks5, ["-x", "socks5h://"]),
        (Forward::Socks5, ["-x", "socks5://"]),
        (Forward::Http, ["-x", "http://"]),
        (Forward::Http, ["--proxytunnel", "-x"]),
    ] {
        let (jostle, address) = forward(how);
        for url in [&url, &local] {
            let mut command = Command::new("curl");
            // Whatever the environment says of proxies, it is not meant.
            command.args(["-sS", "--noproxy", "", "--max-time", "60"]);
            match options {
                [tunnel, x @ "-x"] => command.args([tunnel, x, &format!("http://{address}")]),
                [x, scheme] => command.args([x, &format!("{scheme}{address}")]),
            };
            assert!(done(command.arg(url)).stdout == body, "{options:?} {url}");
        }
        assert_came_through(jostle, 2 * body.len() as u64);
    }
}

/// git without whatever the user has configured.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_TERMINAL_PROMPT", "0").env("HOME", folder);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

/// A repository with a file, ready to be served as files.
fn repository(folder: &Path) -> PathBuf {
    let work = folder.join("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("file"), bytes(150_000)).unwrap();
    done(git(&work).args(["init", "-q", "."]));
    done(git(&work).args(["add", "file"]));
    let who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"];
    done(git(&work).args(who).args(["commit", "-q", "-m", "A file"]));
    let bare = folder.join("served");
    done(git(folder).args(["clone", "-q", "--bare", "work", "served"]));
    done(git(&bare).arg("update-server-info"));
    bare
}

fn assert_cloned(folder: &Path, clone: &str) {
    assert!(fs::read(folder.join(clone).join("file")).unwrap() == bytes(150_000));
    done(git(&folder.join(clone)).args(["fsck", "--strict"]));
}

#[test]
fn git_clones_by_either_kind() {
    if !installed("git") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bare = repository(folder);
    let server = Server::start(&["http", "--root", bare.to_str().unwrap()]);
    let url = format!("http://{}/", server.address);
    for (how, scheme) in [(Forward::Socks5, "socks5h"), (Forward::Http, "http")] {
        let (jostle, address) = forward(how);
        let proxy = format!("http.proxy={scheme}://{address}");
        done(git(folder).args(["-c", &proxy, "clone", "-q", &url, scheme]));
        assert_cloned(folder, scheme);
        assert_came_through(jostle, 150_000);
    }
}

/// An sshd of the test's own, on loopback, for the one key that it makes.
struct Sshd {
    folder: tempfile::TempDir,
    port: u16,
    _running: Background,
}

impl Sshd {
    /// `None`, aloud, where none can be started.
    fn start() -> Option<Self> {
        // It is called by its whole path, as it demands.
        let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].map(Path::new);
        let Some(program) = program.into_iter().find(|path| path.is_file()) else {
            eprintln!("SKIPPED: sshd is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        for key in ["host", "user"] {
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.path().join(key));
            done(&mut make);
        }
        // As root it wants this folder, which a service makes elsewhere.
        if rustix::process::geteuid().is_root() && fs::create_dir_all("/run/sshd").is_err() {
            eprintln!("SKIPPED: sshd has no /run/sshd");
            return None;
        }
        let port = free_port();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n",
            at("host"),
            at("user.pub")
        );
        fs::write(folder.path().join("config"), config).unwrap();
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f", &at("config")]).stdin(Stdio::null());
        let child = command.stderr(fs::File::create(folder.path().join("log")).unwrap()).spawn();
        let running = Background(child.unwrap());
        wait_for_port(port);
        Some(Self { folder, port, _running: running })
    }

    /// The options of a client that knows its key, and goes to it through a SOCKS5 proxy.
    fn options(&self, proxy: &str) -> Vec<String> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let mut options = vec!["-F".to_owned(), "none".to_owned(), "-i".to_owned(), at("user")];
        for option in [
            "IdentitiesOnly=yes".to_owned(),
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=no".to_owned(),
            format!("UserKnownHostsFile={}", at("known")),
            format!("ProxyCommand=nc -X 5 -x {proxy} %h %p"),
        ] {
            options.extend(["-o".to_owned(), option]);
        }
        options.extend(["-p".to_owned(), self.port.to_string()]);
        options
    }

    /// What it said, for when something goes wrong.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

#[test]
fn ssh_goes_through_nc_and_git_over_it() {
    if !["ssh", "ssh-keygen", "nc", "git"].map(installed).iter().all(|there| *there) {
        return;
    }
    let help = Command::new("nc").arg("-h").stdin(Stdio::null()).output().unwrap();
    if ![help.stdout, help.stderr].iter().any(|text| String::from_utf8_lossy(text).contains("-X")) {
        eprintln!("SKIPPED: this nc speaks no SOCKS; it is not OpenBSD's");
        return;
    }
    let Some(sshd) = Sshd::start() else { return };
    let (jostle, address) = forward(Forward::Socks5);
    let options = sshd.options(&address);
    let body = bytes(200_000);
    let file = sshd.folder.path().join("body");
    fs::write(&file, &body).unwrap();
    let mut command = Command::new("ssh");
    command.args(&options).args([OsStr::new("127.0.0.1"), OsStr::new("cat"), file.as_os_str()]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (said, log) = (String::from_utf8_lossy(&output.stderr), sshd.log());
    if log.contains("account is locked") {
        eprintln!("SKIPPED: sshd lets nobody in whose account has no password");
        return;
    }
    assert!(output.status.success(), "{said}\n{log}");
    assert!(output.stdout == body, "{} bytes", output.stdout.len());

    let folder = sshd.folder.path();
    let bare = repository(folder);
    // A command for a shell: the one option with spaces stands in quotes.
    let words: Vec<String> = options.iter().map(|word| format!("'{word}'")).collect();
    let mut clone = git(folder);
    clone.env("GIT_SSH_COMMAND", format!("ssh {}", words.join(" ")));
    done(clone.args(["clone", "-q", &format!("127.0.0.1:{}", bare.display()), "clone"]));
    assert_cloned(folder, "clone");
    assert_came_through(jostle, 350_000);
}
