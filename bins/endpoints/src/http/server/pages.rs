//! The server's own pages, each complete in itself: no other host is asked for anything.

use super::site::UPLOAD_PATH;
use hyper::StatusCode;
use indicatif::HumanBytes;

const STYLE: &str = include_str!("pages/style.css");
const UPLOAD: &str = include_str!("pages/upload.html");
const UPLOAD_SCRIPT: &str = include_str!("pages/upload.js");

/// What `/` says when there is nothing else to show.
pub(super) const WORKING: &str = "jostle-server http is working";

/// A page around `body`; both are HTML already.
pub(super) fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · jostle</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <footer>jostle {}</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The page of `/` when there is no index.
pub(super) fn working(has_uploads: bool) -> String {
    let uploads = match has_uploads {
        true => {
            format!(
                "<p class=\"actions\"><a class=\"button\" href=\"{UPLOAD_PATH}\">Upload files</a></p>\n"
            )
        }
        false => "<p>Uploads are off; <code>--uploads DIR</code> takes them.</p>\n".to_owned(),
    };
    let body = format!(
        "<h1>{WORKING}</h1>\n<p>Its root folder has no <code>index.html</code>. Ask for a file by its path, or start the server with \
         <code>--listing</code> to see here what there is.</p>\n{uploads}"
    );
    frame("It works", &body)
}

/// The page of a refusal.
pub(super) fn refusal(status: StatusCode, reason: &str) -> String {
    let name = status.canonical_reason().unwrap_or("Refused");
    let mut reason = escape(reason);
    if let Some(first) = reason.get(..1).map(str::to_ascii_uppercase) {
        reason.replace_range(..1, &first);
    }
    let body = format!(
        "<p class=\"status\">{}</p>\n<h1>{name}</h1>\n<p>{reason}.</p>\n<p class=\"actions\"><a href=\"/\">To the start</a></p>\n",
        status.as_u16()
    );
    frame(name, &body)
}

/// The page from which a person uploads.
pub(super) fn upload(limit: u64) -> String {
    let body = UPLOAD
        .replace("{SCRIPT}", UPLOAD_SCRIPT)
        .replace("{PATH}", UPLOAD_PATH)
        .replace("{LIMIT}", &HumanBytes(limit).to_string())
        .replace("{BYTES}", &limit.to_string());
    frame("Upload", &body)
}

/// What a browser without the script sees of its upload; `files` are name, size and digest.
pub(super) fn stored(files: &[(String, u64, String)]) -> String {
    let row = |(name, size, digest): &(String, u64, String)| {
        format!(
            "<li><b>{}</b> {}<br><code>sha256 {digest}</code></li>\n",
            escape(name),
            HumanBytes(*size)
        )
    };
    let rows: String = files.iter().map(row).collect();
    let body = format!(
        "<h1>Stored</h1>\n<ul class=\"plain\">\n{rows}</ul>\n<p class=\"actions\"><a href=\"{UPLOAD_PATH}\">Upload more</a></p>\n"
    );
    frame("Stored", &body)
}

/// Makes text harmless between tags and in quoted attributes. Control characters are no part of
/// HTML at all.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
