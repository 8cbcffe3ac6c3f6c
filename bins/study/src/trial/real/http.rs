//! A trial of `http`: the file is fetched with GET.

use super::crossing::cross;
use super::judge::Judged;
use super::transfer::{Outcome, RECEIVED, received};
use super::{Ended, LOOPBACK, Stage};
use crate::rows::Row;
use anyhow::Context;
use indicatif::ProgressBar;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use jostle_endpoints::ending::Ending;
use jostle_endpoints::http::client::{
    DownloadTarget, HttpClient, HttpClientSettings, Url, download, run as run_client,
};
use jostle_endpoints::http::pace::Least;
use jostle_endpoints::http::server::Limits;
use jostle_endpoints::http::site::{self, SiteSettings};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The folder that is served, next to what is received.
const ROOT: &str = "root";
/// The file's name there.
const NAME: &str = "file";

/// Fetches the file, and writes what came of it into the row.
///
/// # Errors
/// Faults of the machine.
pub(super) fn fetch(stage: &Stage<'_>, row: &mut Row) -> anyhow::Result<Ended> {
    let Stage { trial, subject, interrupt, .. } = *stage;
    let folder = stage.folder()?;
    let root = folder.path().join(ROOT);
    std::fs::create_dir(&root)
        .and_then(|()| std::fs::write(root.join(NAME), subject.content.bytes()))
        .with_context(|| format!("cannot write to {}", root.display()))?;
    // The limit ends it, whichever end is silent.
    let patience = trial.limit().saturating_mul(2);
    let limits = Limits {
        head_time: patience,
        idle: patience,
        least: Least { bytes: 1, within: patience },
        threads: 1,
        ..Limits::default()
    };
    let settings = SiteSettings { root, uploads: None, listing: false, hosts: Vec::new(), limits };
    let (server, _) = site::serve(LOOPBACK, &settings)?;
    let crossed = cross(
        trial,
        server.address(),
        interrupt,
        |stop| server.run(stop, |_| {}),
        |route, stop| get(route, folder.path(), patience, stop),
    )?;
    let judged = Judged::read(subject, &crossed.client)?;
    judged.write(row);
    let error = crossed.failure(&crossed.client.ending).or_else(|| judged.difference());
    Ok(Ended { error, summary: crossed.summary })
}

fn get(
    route: SocketAddr,
    folder: &Path,
    patience: Duration,
    stop: &Stop,
) -> anyhow::Result<Outcome> {
    let mut client =
        HttpClient::new(HttpClientSettings { timeout: patience, ..HttpClientSettings::default() });
    let url = Url::parse(&format!("http://{route}/{NAME}"))?;
    let target = DownloadTarget::File(folder.join(RECEIVED));
    let clock = Clock::start();
    let report = run_client(stop, async {
        download(&mut client, &url, &target, false, &ProgressBar::hidden()).await
    })?;
    let elapsed = clock.now().since(Instant::START);
    let (ending, elapsed) = match report {
        None => (Ending::Stopped, elapsed),
        Some(report) => match report.failure {
            Some(reason) => (Ending::Failed(reason), elapsed),
            None => (Ending::Done, report.elapsed),
        },
    };
    Ok(Outcome { elapsed, received: received(folder), ..Outcome::new(ending) })
}
