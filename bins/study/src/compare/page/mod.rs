//! The comparison as one HTML page that needs nothing but itself and the received files beside it:
//! no script, no network.

mod chart;
mod picture;

use super::finished::{Comparison, FileProtocol, Finished};
use super::verdict::Verdict;
use crate::page::{self, escape};
use jostle_common::words::{count, duration, grouped, percent, rate, seconds, share};
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");

/// Writes the page.
pub(super) fn draw(comparison: &Comparison) -> String {
    let title = format!("{} in bad weather", escape(&comparison.file));
    let sections = [
        opening(comparison, &title),
        pictures(comparison),
        goodput(comparison),
        table(comparison),
        origin(comparison),
    ];
    page::document(
        &format!("{title} · jostle compare"),
        STYLE,
        "media-src 'self'",
        &sections.concat(),
    )
}

fn opening(comparison: &Comparison, title: &str) -> String {
    let verdict = Verdict::of(comparison);
    let mut size = format!("{} bytes", grouped(comparison.file_bytes));
    if let Some(music) = comparison.music_seconds {
        let _ = write!(size, ", {} of music", seconds(music));
    }
    let cards: String = verdict
        .parts
        .iter()
        .map(|(protocol, text)| {
            format!(
                "<div class=\"card {}\"><h3>{}</h3><p>{}</p></div>\n",
                protocol.name(),
                protocol.heading(),
                escape(text)
            )
        })
        .collect();
    format!(
        "<header>\n<h1>{title}</h1>\n<p class=\"soft\">{size}, sent {} at once through a network with {}.</p>\n\
         <p class=\"lead\">{}</p>\n</header>\n<div class=\"cards\">\n{cards}</div>\n",
        count(comparison.rows.len() as u64, "time"),
        escape(&comparison.weather),
        escape(&verdict.headline)
    )
}

fn pictures(comparison: &Comparison) -> String {
    let mut html = String::from(
        "<h2>What arrived</h2>\n<p class=\"legend state\"><span><i></i> intact</span> <span><i class=\"m\"></i> missing</span> \
         <span><i class=\"d\"></i> damaged</span> <span>Each cell is a chunk of 4,096 bytes, from the beginning of the file to its end.</span></p>\n",
    );
    for loss in comparison.losses() {
        let _ = writeln!(
            html,
            "<section class=\"loss\">\n<h3>{} of packets lost</h3>",
            percent(loss.as_f64())
        );
        for finished in comparison.rows.iter().filter(|finished| finished.row.loss == loss) {
            html.push_str(&file(finished));
        }
        html.push_str("</section>\n");
    }
    html
}

fn file(finished: &Finished) -> String {
    let mut player = String::new();
    if let Some(saved) = &finished.saved {
        let link = escape(&saved.path);
        let note = if saved.complete { "" } else { " (unfinished)" };
        if finished.audit.is_some() {
            let _ = write!(
                player,
                r#"<audio controls preload="none" src="{link}" aria-label="{}"></audio>"#,
                escape(&saved.path)
            );
        }
        let _ = write!(player, r#"<a href="{link}">{link}</a>{note}"#);
    }
    format!(
        "<div class=\"file {}\"><div class=\"what\"><b>{}</b> {}<br>{player}</div>{}</div>\n",
        finished.protocol.name(),
        finished.protocol.heading(),
        escape(&outcome(finished)),
        picture::draw(&finished.chunks)
    )
}

/// What became of a file, in a line.
fn outcome(finished: &Finished) -> String {
    let row = &finished.row;
    let time = row.seconds.map(|time| format!(" in {}", seconds(time))).unwrap_or_default();
    if finished.is_whole() {
        return format!("whole{time}");
    }
    if !row.ok {
        return format!("failed: {}", row.error.as_deref().unwrap_or("it did not end"));
    }
    let mut text = format!(
        "done{time}, {} lost or damaged",
        share(finished.lost_chunks(), finished.chunks.len() as u64)
    );
    if let Some(audit) = finished.audit {
        let _ = write!(text, ", {} of music gone or different", seconds(audit.seconds_lost));
    }
    text
}

fn goodput(comparison: &Comparison) -> String {
    let Some(svg) = chart::draw(comparison) else { return String::new() };
    format!(
        "<h2>Goodput against loss</h2>\n<p class=\"soft\">Undamaged bytes of the file per second, on a logarithmic scale.</p>\n\
         <div class=\"chart\"><p class=\"legend\">{}</p>\n{svg}</div>\n",
        markers(comparison)
    )
}

/// What the markers of the chart stand for.
fn markers(comparison: &Comparison) -> String {
    let shape = |protocol| match protocol {
        FileProtocol::Tcp => r#"<circle cx="7" cy="7" r="5"/>"#,
        FileProtocol::Udp => r#"<rect x="2" y="2" width="10" height="10"/>"#,
        FileProtocol::Saw => r#"<path d="M7 1.5 13 12H1z"/>"#,
    };
    let marker = |protocol: FileProtocol| {
        let (name, heading, shape) = (protocol.name(), protocol.heading(), shape(protocol));
        format!(
            r#"<span class="{name}"><svg viewBox="0 0 14 14" aria-hidden="true">{shape}</svg> {heading}</span> "#
        )
    };
    FileProtocol::ALL
        .into_iter()
        .filter(|protocol| !comparison.of(*protocol).is_empty())
        .map(marker)
        .collect()
}

fn table(comparison: &Comparison) -> String {
    let music = comparison.music_seconds.is_some();
    let mut html = String::from("<h2>All numbers</h2>\n<div class=\"wide\"><table>\n<thead><tr>");
    let heads = [
        "loss", "over", "arrived", "time", "goodput", "intact", "missing", "damaged", "doubled",
        "late",
    ];
    for head in heads.into_iter().chain(["packets", "resent"]) {
        let _ = write!(html, "<th>{head}</th>");
    }
    if music {
        html.push_str("<th>frames lost</th><th>music lost</th>");
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let mut before = None;
    for finished in &comparison.rows {
        let first = before != Some(finished.row.loss);
        before = Some(finished.row.loss);
        let _ = writeln!(
            html,
            "<tr{}>{}</tr>",
            if first { " class=\"first\"" } else { "" },
            cells(finished, music)
        );
    }
    html.push_str("</tbody>\n</table></div>\n");
    html
}

fn cells(finished: &Finished, music: bool) -> String {
    let row = &finished.row;
    let known = |number: Option<u64>| number.map_or_else(|| "–".to_owned(), grouped);
    let mut cells = vec![
        percent(row.loss.as_f64()),
        format!("<b class=\"{}\">{}</b>", finished.protocol.name(), finished.protocol.title()),
        finished.state().to_owned(),
        row.seconds.map_or_else(|| "–".to_owned(), seconds),
        row.goodput_bps.map_or_else(|| "–".to_owned(), rate),
    ];
    let counts = [
        row.intact,
        row.missing,
        row.damaged,
        row.doubled,
        row.late,
        row.packets,
        row.retransmissions,
    ];
    cells.extend(counts.map(known));
    if music {
        let lost =
            finished.audit.map(|audit| [grouped(audit.frames_lost), seconds(audit.seconds_lost)]);
        cells.extend(lost.unwrap_or_else(|| ["–", "–"].map(str::to_owned)));
    }
    cells.iter().map(|cell| format!("<td>{cell}</td>")).collect()
}

fn origin(comparison: &Comparison) -> String {
    let frames = if comparison.music_seconds.is_some() {
        "<p>Music is counted in frames of the MP3: the original and what arrived are both decoded, and a frame is lost when nothing in the \
         received file sounds exactly like it. A flipped bit makes no decoder complain, but it is heard.</p>\n"
    } else {
        ""
    };
    format!(
        "<h2>How this was made</h2>\n<p>Every row is one transfer over real sockets on one machine, through its own route of one proxy; all ran \
         at the same time. The proxy alone makes the weather. What it does to a packet follows from the seed and the packet's number, so \
         the same command meets the same weather again; times vary a little with the machine. All rows draw the same chances: the n-th \
         packet, if it is lost at a low rate, is lost at every higher one.</p>\n{frames}<dl>\n\
         <dt>again</dt><dd><code>{}</code></dd>\n<dt>seed</dt><dd class=\"num\">{}</dd>\n<dt>file</dt><dd><code>{}</code></dd>\n\
         <dt>its SHA-256</dt><dd><code>{}</code></dd>\n<dt>limit</dt><dd>{} for each row</dd>\n\
         <dt>rows</dt><dd><a href=\"rows.jsonl\">rows.jsonl</a>, the same numbers for machines</dd>\n\
         <dt>made by</dt><dd>jostle {}</dd>\n</dl>\n",
        escape(&comparison.command),
        comparison.seed,
        escape(&comparison.file),
        escape(&comparison.digest),
        duration(comparison.limit),
        env!("CARGO_PKG_VERSION"),
    )
}
