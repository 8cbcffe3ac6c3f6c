//! HTTP through bad weather: loss costs time and nothing else; damage to the stream is noticed.

use crate::proxy_support::Jostle;
use crate::support::{bytes, client};
use crate::tools::{Site, curl, names_in};
use jostle_common::digest::Digest;

const SIZE: usize = 50_000_000;

#[test]
fn fifty_megabytes_arrive_whole_both_ways_over_a_lossy_route() {
    let site = Site::new();
    let content = bytes(SIZE);
    site.write("public/large", &content);
    site.write("large", &content);
    let server = site.serve(&[]);
    let route = format!("tcp://127.0.0.1:0={}", server.address);
    // Loss costs TCP time: at 2 % about 2 in 10,000 segments are lost twice and wait for a timer of
    // 200 ms.
    let jostle = Jostle::start(&[&route, "--drop", "2%", "--delay", "50us", "--seed", "7"], 1);
    let base = format!("http://{}", jostle.address("tcp"));
    let (out, large) = (site.text("out"), site.text("large"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let got = client(&["http", "get", &format!("{base}/large"), "-o", &out]);
            assert_eq!(
                (got.status, &got.summary["retries"]),
                (Some(0), &0.into()),
                "{}",
                got.stderr
            );
            eprintln!("get {} s", got.summary["seconds"]);
        });
        scope.spawn(|| {
            let put = client(&["http", "put", &format!("{base}/sent"), &large]);
            assert_eq!(
                (put.status, &put.summary["retries"]),
                (Some(0), &0.into()),
                "{}",
                put.stderr
            );
            eprintln!("put {} s", put.summary["seconds"]);
        });
    });
    for path in ["out", "incoming/sent"] {
        assert!(std::fs::read(site.path(path)).unwrap() == content, "{path}");
    }
    let summary = jostle.stop();
    for direction in ["up", "down"] {
        let discarded = summary.link("tcp", direction)["discarded"]["drop"].as_u64().unwrap();
        // 50 MB are about 34,500 segments.
        assert!(discarded > 500, "{direction}: {discarded}");
    }
}

#[test]
fn at_ten_percent_loss_it_takes_longer_and_arrives() {
    let site = Site::new();
    let server = site.serve(&[]);
    let route = format!("tcp://127.0.0.1:0={}", server.address);
    let jostle = Jostle::start(&[&route, "--drop", "10%", "--delay", "50us", "--seed", "7"], 1);
    let base = format!("http://{}", jostle.address("tcp"));
    let (out, song) = (site.text("out"), site.text("public/song.mp3"));
    let got = client(&["http", "get", &format!("{base}/song.mp3"), "-o", &out]);
    assert_eq!((got.status, &got.summary["retries"]), (Some(0), &0.into()), "{}", got.stderr);
    assert!(std::fs::read(&out).unwrap() == bytes(300_000));
    if let Some(text) = curl(&["-T", &song, &format!("{base}/by-curl")]) {
        assert_eq!(text, format!("by-curl 300000 {}\n", Digest::of(&bytes(300_000))));
    }
}

#[test]
fn damage_on_a_raw_route_is_noticed_in_both_directions() {
    let site = Site::new();
    site.write("public/file", &bytes(200_000));
    let server = site.serve(&[]);
    let route = format!("tcp://127.0.0.1:0={}", server.address);
    // Most transfers of 50 units are hit, and heads seldom.
    let weather = ["--tcp", "raw", "--unit", "4KiB", "--seed", "3"];
    let (out, song) = (site.text("out"), site.text("public/file"));
    let down =
        Jostle::start(&[&[route.as_str()], &weather[..], &["--down-corrupt", "5%"]].concat(), 1);
    let url = format!("http://{}/file", down.address("tcp"));
    let run = client(&["http", "get", &url, "-o", &out, "--retries", "0", "--timeout", "2s"]);
    assert_eq!((run.status, &run.summary["damaged"]), (Some(1), &1.into()), "{}", run.stderr);
    assert!(!site.path("out").exists());
    let up = Jostle::start(&[&[route.as_str()], &weather[..], &["--up-corrupt", "5%"]].concat(), 1);
    let url = format!("http://{}/sent", up.address("tcp"));
    let run = client(&["http", "put", &url, &song, "--retries", "0", "--timeout", "2s"]);
    assert_eq!((run.status, &run.summary["damaged"]), (Some(1), &1.into()), "{}", run.stderr);
    assert!(names_in(&site.path("incoming")).is_empty());
    // At a rate that lets some attempt through, trying again is enough.
    let some =
        Jostle::start(&[&[route.as_str()], &weather[..], &["--down-corrupt", "1%"]].concat(), 1);
    let url = format!("http://{}/file", some.address("tcp"));
    let run = client(&["http", "get", &url, "-o", &out, "--retries", "50", "--timeout", "2s"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(std::fs::read(&out).unwrap() == bytes(200_000));
}
