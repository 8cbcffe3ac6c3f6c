//! The contents of a folder, as a page or as text: folders first, hidden files and what leads out
//! of the root left out.

use super::pages::{frame, upload_link};
use super::root::{Root, RootEntry, names};
use super::target::{RequestTarget, is_servable};
use crate::http::names::encoded_bytes;
use jostle_console::terminal;
use maud::{Markup, html};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, UNIX_EPOCH};

/// The number of names that are looked at.
const NAMES_MAX: usize = 5_000;
/// The end of the year 9999, in seconds since 1970.
const DATE_MAX: u64 = 253_402_300_799;

/// A folder that was read.
#[derive(Debug)]
pub(super) struct Listed {
    target: RequestTarget,
    entries: Vec<ListedEntry>,
    is_cut: bool,
}

#[derive(Debug)]
struct ListedEntry {
    name: Vec<u8>,
    /// Size and time of change; `None` for a folder.
    file: Option<(u64, i64)>,
}

/// Reads an open folder. Waits for the disk.
pub(super) fn read(root: &Root, target: &RequestTarget, folder: &OwnedFd) -> io::Result<Listed> {
    let names = names(folder, NAMES_MAX + 1)?;
    let is_cut = names.len() > NAMES_MAX;
    let mut entries: Vec<_> =
        names.into_iter().take(NAMES_MAX).filter_map(|name| entry(root, target, name)).collect();
    entries.sort_by(|a, b| (a.file.is_some(), &a.name).cmp(&(b.file.is_some(), &b.name)));
    Ok(Listed { target: target.clone(), entries, is_cut })
}

/// Returns the entry that a request for this name would find; nothing when it would be refused.
fn entry(root: &Root, target: &RequestTarget, name: Vec<u8>) -> Option<ListedEntry> {
    if !is_servable(&name) {
        return None;
    }
    let mut path = target.segments.clone();
    path.push(name.clone());
    match root.find(&path).ok()? {
        RootEntry::File(_, metadata) => {
            Some(ListedEntry { name, file: Some((metadata.size(), metadata.mtime())) })
        }
        RootEntry::Folder(_) => Some(ListedEntry { name, file: None }),
    }
}

/// Returns a line per name; a folder's ends with a slash.
pub(super) fn text(listed: &Listed) -> String {
    let line = |entry: &ListedEntry| {
        let end = if entry.file.is_some() { "" } else { "/" };
        format!("{}{end}\n", terminal::escaped_bytes(&entry.name))
    };
    let more = if listed.is_cut { "…\n" } else { "" };
    listed.entries.iter().map(line).collect::<String>() + more
}

/// Returns the page.
pub(super) fn page(listed: &Listed, has_uploads: bool) -> Markup {
    let names: Vec<_> =
        listed.target.segments.iter().map(|name| terminal::escaped_bytes(name)).collect();
    let title = if names.is_empty() { "Files".to_owned() } else { names.join("/") };
    let count = match listed.entries.len() {
        _ if listed.is_cut => format!("The first {NAMES_MAX} names."),
        0 => "Nothing is in here.".to_owned(),
        1 => "One entry.".to_owned(),
        count => format!("{count} entries."),
    };
    let body = html! {
        h1 { (title) }
        p.soft { (count) }
        @if has_uploads { (upload_link("Upload files")) }
        div.wide {
            table {
                thead {
                    tr { th { "Name" } th.number { "Size" } th.number { "Changed (UTC)" } }
                }
                tbody {
                    @if !names.is_empty() {
                        tr { td { a href="../" { ".." } } td {} td {} }
                    }
                    @for entry in &listed.entries { (row(entry)) }
                }
            }
        }
    };
    frame(&title, body)
}

fn row(entry: &ListedEntry) -> Markup {
    let (name, path) = (terminal::escaped_bytes(&entry.name), encoded_bytes(&entry.name));
    let Some((size, modified)) = entry.file else {
        return html! { tr { td { a href={ (path) "/" } { (name) "/" } } td {} td {} } };
    };
    let seconds = u64::try_from(modified).unwrap_or(0).min(DATE_MAX);
    let date =
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    // To the minute: 2026-11-21 09:30.
    let short = date.get(..16).unwrap_or_default().replace('T', " ");
    html! {
        tr {
            td { a href=(path) { (name) } }
            td.number { (indicatif::HumanBytes(size)) }
            td.number { time datetime=(date) { (short) } }
        }
    }
}
