//! What is in a folder, as a page or as text: folders first, hidden files and what leads out of the
//! root left out.

use super::pages::{escape, frame};
use super::root::{Found, Root, names};
use super::site::UPLOAD_PATH;
use super::target::{Target, is_servable};
use crate::http::names::encoded_bytes;
use jostle_console::terminal;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, UNIX_EPOCH};

/// How many names are looked at.
const NAMES_MAX: usize = 5_000;
/// The end of the year 9999, in seconds since 1970.
const DATE_MAX: u64 = 253_402_300_799;

/// A folder that was read.
#[derive(Debug)]
pub(super) struct Listed {
    target: Target,
    entries: Vec<Entry>,
    is_cut: bool,
}

#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    /// Size and time of change; `None` for a folder.
    file: Option<(u64, i64)>,
}

/// Reads an open folder. Waits for the disk.
pub(super) fn read(root: &Root, target: &Target, folder: &OwnedFd) -> io::Result<Listed> {
    let names = names(folder, NAMES_MAX + 1)?;
    let is_cut = names.len() > NAMES_MAX;
    let mut entries: Vec<_> =
        names.into_iter().take(NAMES_MAX).filter_map(|name| entry(root, target, name)).collect();
    entries.sort_by(|a, b| (a.file.is_some(), &a.name).cmp(&(b.file.is_some(), &b.name)));
    Ok(Listed { target: target.clone(), entries, is_cut })
}

/// What a request for this name would find; nothing when it would be refused.
fn entry(root: &Root, target: &Target, name: Vec<u8>) -> Option<Entry> {
    if !is_servable(&name) {
        return None;
    }
    let mut path = target.segments.clone();
    path.push(name.clone());
    match root.find(&path).ok()? {
        Found::File(_, metadata) => {
            Some(Entry { name, file: Some((metadata.size(), metadata.mtime())) })
        }
        Found::Folder(_) => Some(Entry { name, file: None }),
    }
}

/// A name per line; a folder's ends with a slash.
pub(super) fn text(listed: &Listed) -> String {
    let line = |entry: &Entry| {
        let end = if entry.file.is_some() { "" } else { "/" };
        format!("{}{end}\n", terminal::escaped_bytes(&entry.name))
    };
    let more = if listed.is_cut { "…\n" } else { "" };
    listed.entries.iter().map(line).collect::<String>() + more
}

/// The page.
pub(super) fn page(listed: &Listed, has_uploads: bool) -> String {
    let mut rows = String::new();
    if !listed.target.segments.is_empty() {
        rows.push_str("<tr><td><a href=\"../\">..</a></td><td></td><td></td></tr>\n");
    }
    rows.extend(listed.entries.iter().map(row));
    let path =
        listed.target.segments.iter().map(|name| name_text(name)).collect::<Vec<_>>().join("/");
    let title = if path.is_empty() { "Files".to_owned() } else { path };
    let count = match listed.entries.len() {
        _ if listed.is_cut => format!("The first {NAMES_MAX} names."),
        0 => "Nothing is in here.".to_owned(),
        1 => "One entry.".to_owned(),
        count => format!("{count} entries."),
    };
    let upload = match has_uploads {
        true => {
            format!(
                "<p class=\"actions\"><a class=\"button\" href=\"{UPLOAD_PATH}\">Upload files</a></p>\n"
            )
        }
        false => String::new(),
    };
    let body = format!(
        "<h1>{title}</h1>\n<p class=\"soft\">{count}</p>\n{upload}<div class=\"wide\"><table>\n\
         <thead><tr><th>Name</th><th class=\"number\">Size</th><th class=\"number\">Changed (UTC)</th></tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n"
    );
    frame(&title, &body)
}

fn row(entry: &Entry) -> String {
    let (name, path) = (name_text(&entry.name), encoded_bytes(&entry.name));
    match entry.file {
        None => format!("<tr><td><a href=\"{path}/\">{name}/</a></td><td></td><td></td></tr>\n"),
        Some((size, modified)) => {
            let modified = UNIX_EPOCH
                + Duration::from_secs(u64::try_from(modified).unwrap_or(0).min(DATE_MAX));
            let date = humantime::format_rfc3339_seconds(modified).to_string();
            // To the minute: 2026-11-21 09:30.
            let short = date.get(..16).unwrap_or_default().replace('T', " ");
            format!(
                "<tr><td><a href=\"{path}\">{name}</a></td><td class=\"number\">{}</td><td class=\"number\"><time datetime=\"{date}\">\
                 {short}</time></td></tr>\n",
                indicatif::HumanBytes(size)
            )
        }
    }
}

fn name_text(name: &[u8]) -> String {
    escape(&terminal::escaped_bytes(name))
}
