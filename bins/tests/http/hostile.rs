//! Paths that want out of the root. None does.

use crate::tools::{SECRET, Site, exchange, status};
use std::os::unix::fs::symlink;

/// What people and scanners try. `{ROOT}` is the absolute path of the folder around the root.
const PATHS: &[&str] = &[
    "/../secret.txt",
    "/../../../../../../etc/passwd",
    "/..",
    "/../",
    "/.",
    "/./../secret.txt",
    "/deep/../../secret.txt",
    "/deep/../../../../../../../../etc/passwd",
    "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt",
    "/.%2e/secret.txt",
    "/%2e./secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%2fsecret.txt",
    "/..%2Fsecret.txt",
    "/deep/..%2f..%2fsecret.txt",
    "/%2f..%2fsecret.txt",
    "/%252e%252e/secret.txt",
    "/%252e%252e%252fsecret.txt",
    "/..%252fsecret.txt",
    "/%25252e%25252e/secret.txt",
    "/..\\secret.txt",
    "/..%5csecret.txt",
    "/..%5Csecret.txt",
    "/%2e%2e%5csecret.txt",
    "/deep\\..\\..\\secret.txt",
    "/..%255csecret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%c0%ae%c0%ae%c0%afsecret.txt",
    "/..%c0%afsecret.txt",
    "/..%c1%9csecret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/%f0%80%80%ae%f0%80%80%ae/secret.txt",
    "/..%ef%bc%8fsecret.txt",
    "/%ef%bc%8e%ef%bc%8e/secret.txt",
    "/%uff0e%uff0e/secret.txt",
    "/..%u2215secret.txt",
    "//etc/passwd",
    "///etc/passwd",
    "//../secret.txt",
    "/%2fetc%2fpasswd",
    "/%2f%2fetc/passwd",
    "{ROOT}/secret.txt",
    "//{ROOT}/secret.txt",
    "/file:///etc/passwd",
    "/secret.txt",
    "/secret.txt%00",
    "/%00/../secret.txt",
    "/..%00/secret.txt",
    "/../secret.txt%00.html",
    "/hello.txt%00/../../secret.txt",
    "/..;/secret.txt",
    "/..;x=1/secret.txt",
    "/.../secret.txt",
    "/..../secret.txt",
    "/....//secret.txt",
    "/....%2f%2fsecret.txt",
    "/.%00./secret.txt",
    "/%20../secret.txt",
    "/..%20/secret.txt",
    "/..%09/secret.txt",
    "/..%0d%0a/secret.txt",
    "/..%0a/secret.txt",
    "/C:\\Windows\\win.ini",
    "/C:/Windows/win.ini",
    "/\\\\server\\share\\file",
    "/hello.txt::$DATA/../../secret.txt",
    "/NUL",
    "/CON",
    "/~root/secret.txt",
    "/link-file",
    "/link-absolute",
    "/link-folder/secret.txt",
    "/link-root/etc/passwd",
    "/link-proc/etc/passwd",
    "/link-loop",
    "/link-twice",
    "/deep/link-up/secret.txt",
    "/deep/link-up/public/hello.txt",
    "/.git/config",
    "/.env",
    "/deep/.htpasswd",
    "/%2egit/config",
    "/%",
    "/%2",
    "/%zz",
    "/_jostle/../../secret.txt",
    "/_jostle/upload/../../../secret.txt",
    "/_jostle%2f..%2f..%2fsecret.txt",
    "http://127.0.0.1/../secret.txt",
    "http://127.0.0.1/%2e%2e/secret.txt",
    "file:///etc/passwd",
    "secret.txt",
    "../secret.txt",
    "*",
    "?/../secret.txt",
    "/?file=../secret.txt#",
];

#[test]
fn no_hostile_path_leaves_the_root() {
    assert!(PATHS.len() >= 60, "{}", PATHS.len());
    let site = Site::new();
    let public = site.path("public");
    for name in ["public/.git", "public/deep/.ssh"] {
        std::fs::create_dir(site.path(name)).unwrap();
    }
    for name in ["public/.git/config", "public/.env", "public/deep/.htpasswd"] {
        site.write(name, SECRET.as_bytes());
    }
    for (target, link) in [
        ("../secret.txt", "link-file"),
        ("..", "link-folder"),
        ("/", "link-root"),
        ("/proc/self/root", "link-proc"),
        ("link-loop", "link-loop"),
        ("link-file", "link-twice"),
        ("../..", "deep/link-up"),
    ] {
        symlink(target, public.join(link)).unwrap();
    }
    symlink(site.path("secret.txt"), public.join("link-absolute")).unwrap();
    let server = site.serve(&["--listing"]);
    let around = site.text("");
    let mut fine = Vec::new();
    for path in PATHS {
        let path = path.replace("{ROOT}", around.trim_end_matches('/'));
        for method in ["GET", "HEAD"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = exchange(server.address, request.as_bytes());
            assert!(!answer.contains(SECRET) && !answer.contains("root:"), "{path}: {answer}");
            match status(&answer) {
                400 | 404 => {}
                200 if method == "GET" => fine.push(path.clone()),
                200 => {}
                other => panic!("{path}: {other} {answer}"),
            }
        }
    }
    // A dot leads nowhere and a query names no file: these are the root itself.
    assert_eq!(fine, ["/.", "/?file=../secret.txt#"]);
    let normal = exchange(server.address, b"GET /hello.txt HTTP/1.0\r\n\r\n");
    assert!(normal.ends_with("hello world\n"), "and the server lives on: {normal}");
}

#[test]
fn uploads_stay_in_their_folder_under_harmless_names() {
    let site = Site::new();
    let server = site.serve(&[]);
    for path in PATHS {
        let path = path.replace("{ROOT}", site.text("").trim_end_matches('/'));
        let request = format!(
            "PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\
             \r\nevil"
        );
        let answer = exchange(server.address, request.as_bytes());
        assert!(matches!(status(&answer), 400 | 201 | 409 | 200), "PUT {path}: {answer}");
    }
    let mut names: Vec<String> = PATHS.iter().map(|path| path.replace('"', "")).collect();
    names.extend([
        "".into(),
        "..".into(),
        "a/b".into(),
        "nul.txt".into(),
        "\u{1b}[2J".into(),
        ".bashrc".into(),
    ]);
    for name in &names {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n\
             evil\r\n--b--\r\n"
        );
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(server.address, request.as_bytes());
        assert!(matches!(status(&answer), 201 | 400), "{name}: {answer}");
    }
    let stored = crate::support::names(&site.path("incoming"));
    assert!(stored.len() > 50, "{stored:?}");
    for name in &stored {
        assert!(
            !name.starts_with('.') && !name.chars().any(|c| c.is_control() || "/\\:".contains(c)),
            "{name}"
        );
    }
    assert_eq!(std::fs::read_to_string(site.path("secret.txt")).unwrap(), SECRET);
    assert_eq!(crate::support::names(site.folder.path()), ["incoming", "public", "secret.txt"]);
    assert_eq!(crate::support::names(&site.path("public")), ["deep", "hello.txt", "song.mp3"]);
}
