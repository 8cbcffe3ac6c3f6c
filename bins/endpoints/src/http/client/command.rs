//! `jostle-client http`: fetches and sends files, checks them, and says how far.

use super::{
    DigestCheck, DownloadTarget, HttpClient, HttpClientSettings, HttpClientTotals, HttpReport,
    Sending, Url, download, head, run, upload,
};
use crate::way::WayOptions;
use clap::{Args, Subcommand};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::units::{ByteSize, parse_duration};
use jostle_common::words::grouped;
use jostle_console::exit::Usage;
use jostle_console::progress;
use jostle_console::stop::Stop;
use jostle_console::terminal::{Printer, escaped, escaped_bytes, rate};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Talks HTTP/1.1 to any server: several requests over one connection, checked, resumed, tried
/// again
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle-client http get http://127.0.0.1:12345/song.mp3 -o song.mp3
  jostle-client http get http://127.0.0.1:12345/a http://127.0.0.1:12345/b --dir fetched
  jostle-client http post http://127.0.0.1:12345/ song.mp3
  jostle-client http put http://127.0.0.1:12345/ song.mp3 cover.png
  jostle-client http head http://127.0.0.1:12345/song.mp3")]
pub struct HttpClientArgs {
    #[command(subcommand)]
    method: MethodArgs,
}

#[derive(Debug, Subcommand)]
enum MethodArgs {
    /// Fetch files. What breaks off is resumed, also by the next run
    Get {
        /// What to fetch
        #[arg(value_name = "URL", required = true)]
        urls: Vec<String>,
        /// Under which name to store it; what is there is replaced
        #[arg(short, long, value_name = "FILE", conflicts_with = "dir")]
        output: Option<PathBuf>,
        /// The folder for what is fetched, each under its own name or the next that is free; made
        /// if need be
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Begin anew, whatever an earlier run has left
        #[arg(long)]
        fresh: bool,
        /// The largest file to accept
        #[arg(long, value_name = "SIZE", default_value = "64GiB")]
        max_size: ByteSize,
        #[command(flatten)]
        common: Common,
    },
    /// Send files; the server finds names for them
    Post {
        /// Where to send them
        #[arg(value_name = "URL")]
        url: String,
        /// What to send
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Send them as a browser's form does
        #[arg(long)]
        form: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Send files under names of their own: the URL's, or behind its final slash their own
    Put {
        /// Where to send them
        #[arg(value_name = "URL")]
        url: String,
        /// What to send
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Ask what a server says about files
    Head {
        /// What to ask about
        #[arg(value_name = "URL", required = true)]
        urls: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args, Clone, Debug)]
struct Common {
    /// Give a connection up after so long without progress
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// How often to try again, for each file
    #[arg(long, value_name = "N", default_value = "3",
        value_parser = clap::value_parser!(u32).range(..=1000))]
    retries: u32,
    /// Print the status and the headers of each answer
    #[arg(long)]
    headers: bool,
    /// Print an object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: WayOptions,
}

impl MethodArgs {
    const fn common(&self) -> &Common {
        match self {
            Self::Get { common, .. }
            | Self::Post { common, .. }
            | Self::Put { common, .. }
            | Self::Head { common, .. } => common,
        }
    }

    /// Returns the largest file to fetch.
    const fn size_max(&self) -> u64 {
        match self {
            Self::Get { max_size, .. } => max_size.bytes(),
            Self::Post { .. } | Self::Put { .. } | Self::Head { .. } => u64::MAX,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Get { .. } => "get",
            Self::Post { .. } => "post",
            Self::Put { .. } => "put",
            Self::Head { .. } => "head",
        }
    }
}

/// The job to be done, checked.
enum Task {
    Get { url: Url, target: DownloadTarget, resume: bool },
    Send { url: Url, file: PathBuf, sending: Sending },
    Head { url: Url },
}

impl HttpClientArgs {
    /// Does all that was asked for. Returns false if something of it failed.
    ///
    /// # Errors
    /// A [`Usage`] when something impossible was asked for; another error when the folder cannot be
    /// made.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let common = self.method.common();
        if common.timeout.is_zero() {
            return Err(Usage::error(
                "--timeout 0 would give up at once; write a time such as 30s",
            ));
        }
        let tasks = self.tasks()?;
        let printer = Printer::new(common.json);
        let mut client = HttpClient::new(HttpClientSettings {
            timeout: common.timeout,
            retries: common.retries,
            size_max: self.method.size_max(),
        })
        .by_proxy(common.way.proxy()?);
        let clock = Clock::start();
        let mut sums = Sums::default();
        let done = run(stop, async {
            for task in &tasks {
                let report = perform(&mut client, task).await;
                sums.add(&report);
                self.print(printer, &report);
            }
        })?;
        let elapsed = clock.now().since(Instant::START);
        summary(printer, self.method.name(), &sums, client.totals(), elapsed, done.is_none());
        Ok(done.is_none() || sums.failed == 0)
    }

    fn tasks(&self) -> anyhow::Result<Vec<Task>> {
        match &self.method {
            MethodArgs::Get { urls, output, dir, fresh, .. } => {
                if output.is_some() && urls.len() > 1 {
                    return Err(Usage::error("-o names one file; write --dir DIR for several"));
                }
                let parsed =
                    urls.iter().map(|url| Url::parse(url)).collect::<anyhow::Result<Vec<_>>>()?;
                let target = match output {
                    Some(path) => DownloadTarget::File(path.clone()),
                    None => {
                        let failed = |error| anyhow::anyhow!("{}: {error}", dir.display());
                        std::fs::create_dir_all(dir).map_err(failed)?;
                        DownloadTarget::Folder(dir.clone())
                    }
                };
                Ok(parsed
                    .into_iter()
                    .map(|url| Task::Get { url, target: target.clone(), resume: !fresh })
                    .collect())
            }
            MethodArgs::Post { url, files, form, .. } => {
                let sending = if *form { Sending::Form } else { Sending::Post };
                let url = Url::parse(url)?;
                Ok(files
                    .iter()
                    .map(|file| Task::Send { url: url.clone(), file: file.clone(), sending })
                    .collect())
            }
            MethodArgs::Put { url, files, .. } => {
                let url = Url::parse(url)?;
                if files.len() > 1 && url.with_name("x") == url {
                    return Err(Usage::error(
                        "PUT gives each file the URL's name; end the URL with / for several",
                    ));
                }
                let sent = |file: &PathBuf| {
                    let name = file.file_name().unwrap_or_default().to_string_lossy();
                    Task::Send {
                        url: url.with_name(&name),
                        file: file.clone(),
                        sending: Sending::Put,
                    }
                };
                Ok(files.iter().map(sent).collect())
            }
            MethodArgs::Head { urls, .. } => {
                urls.iter().map(|url| Ok(Task::Head { url: Url::parse(url)? })).collect()
            }
        }
    }

    fn print(&self, printer: Printer, report: &HttpReport) {
        let (is_head, common) =
            (matches!(self.method, MethodArgs::Head { .. }), self.method.common());
        let is_sent = matches!(self.method, MethodArgs::Post { .. } | MethodArgs::Put { .. });
        let event = if is_head {
            "head"
        } else if is_sent {
            "sent"
        } else {
            "received"
        };
        let with_headers = is_head || common.headers;
        printer.event(event, fields(report, with_headers), || {
            let mut text = if with_headers { head_text(report) } else { String::new() };
            if !is_head || report.failure.is_some() {
                text.push_str(&outcome(report, is_sent));
            }
            text.trim_end().to_owned()
        });
    }
}

async fn perform(client: &mut HttpClient, task: &Task) -> HttpReport {
    match task {
        Task::Get { url, target, resume } => {
            let bar = progress::bytes(0, &url.to_string());
            let report = download(client, url, target, *resume, &bar).await;
            bar.finish_and_clear();
            report
        }
        Task::Send { url, file, sending } => {
            let bar = progress::bytes(0, &file.display().to_string());
            let report = upload(client, url, file, *sending, &bar).await;
            bar.finish_and_clear();
            report
        }
        Task::Head { url } => head(client, url).await,
    }
}

fn fields(report: &HttpReport, with_headers: bool) -> Value {
    let path = report.path.as_deref().map(Path::to_string_lossy);
    let status = report.head.as_ref().map(|head| head.status.as_u16());
    let checked = match report.check {
        DigestCheck::Digest => "digest",
        DigestCheck::Length => "length",
        DigestCheck::None => "nothing",
    };
    let mut fields = json!({ "ok": report.failure.is_none(), "error": report.failure,
        "url": report.url.to_string(),
        "status": status, "file": path, "stored": report.stored, "size": report.size,
        "sha256": report.digest, "checked": checked,
        "resumed": report.resumed, "retries": report.retries, "damaged": report.damaged,
        "seconds": report.elapsed.as_secs_f64() });
    if let (true, Some(head), Some(fields)) = (with_headers, &report.head, fields.as_object_mut()) {
        let mut headers = Map::new();
        for name in head.headers.keys() {
            let values: Vec<_> = head
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            headers.insert(name.to_string(), values.join(", ").into());
        }
        fields.insert("headers".to_owned(), headers.into());
    }
    fields
}

fn head_text(report: &HttpReport) -> String {
    let Some(head) = &report.head else { return String::new() };
    let mut text = format!("{:?} {}\n", head.version, head.status);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\n", escaped_bytes(value.as_bytes())));
    }
    text
}

/// Returns one line or two: what happened to the file, and how far that was checked.
fn outcome(report: &HttpReport, is_sent: bool) -> String {
    let url = escaped(&report.url.to_string());
    if let Some(reason) = &report.failure {
        return format!("{url}: failed: {}", escaped(reason));
    }
    let path =
        report.path.as_deref().map(|path| escaped(&path.display().to_string())).unwrap_or_default();
    let status = report.head.as_ref().map(|head| head.status.as_u16()).unwrap_or_default();
    let what = match (is_sent, &report.stored) {
        (false, _) => format!("{url}: {status}, {} bytes, stored as {path}", grouped(report.size)),
        (true, Some(name)) => {
            format!(
                "{path}: {status}, {} bytes, stored by the server as {}",
                grouped(report.size),
                escaped(name)
            )
        }
        (true, None) => format!("{path}: {status}, {} bytes sent", grouped(report.size)),
    };
    let digest = report.digest.map(|digest| digest.to_string()).unwrap_or_default();
    let check = match report.check {
        DigestCheck::Digest => "whole: the server has the same digest",
        DigestCheck::Length => "of the right length; the server names no digest",
        DigestCheck::None => "unchecked: the server names neither length nor digest",
    };
    let mut text = format!("{what}\n{check}: sha256 {digest}");
    for (name, count) in [("retries", report.retries), ("damaged", report.damaged)] {
        if count > 0 {
            text.push_str(&format!(", {name} {count}"));
        }
    }
    if report.resumed > 0 {
        text.push_str(&format!(", resumed at byte {}", grouped(report.resumed)));
    }
    text
}

/// The sums over all files.
#[derive(Debug, Default)]
struct Sums {
    done: u64,
    failed: u64,
    bytes: u64,
    retries: u64,
    damaged: u64,
}

impl Sums {
    fn add(&mut self, report: &HttpReport) {
        match report.failure {
            None => self.done += 1,
            Some(_) => self.failed += 1,
        }
        self.bytes += if report.failure.is_none() { report.size } else { 0 };
        self.retries += u64::from(report.retries);
        self.damaged += u64::from(report.damaged);
    }
}

fn summary(
    printer: Printer,
    method: &str,
    sums: &Sums,
    totals: HttpClientTotals,
    elapsed: Duration,
    stopped: bool,
) {
    let Sums { done, failed, bytes, retries, damaged } = *sums;
    let HttpClientTotals { connections, requests } = totals;
    let seconds = elapsed.as_secs_f64();
    let bytes = if method == "head" { 0 } else { bytes };
    let goodput = if seconds > 0.0 { bytes as f64 * 8.0 / seconds } else { 0.0 };
    let fields = json!({ "kind": "http", "method": method, "ok": failed == 0 && !stopped,
        "stopped": stopped, "done": done,
        "failed": failed, "bytes": bytes, "requests": requests, "connections": connections,
        "retries": retries, "damaged": damaged,
        "seconds": seconds, "goodput_bps": goodput });
    printer.event("summary", fields, || {
        let state = if stopped { "stopped: " } else { "" };
        let goodput =
            if bytes > 0 { format!(", goodput {}", rate(goodput)) } else { String::new() };
        format!(
            "{state}done {done} failed {failed} requests {requests} connections {connections} \
             retries {retries} damaged {damaged}\n\
             time {seconds:.3} s{goodput}"
        )
    });
}
