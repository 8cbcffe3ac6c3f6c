//! The site's own pages, each complete in itself: no other host is asked for anything.

use hyper::StatusCode;
use indicatif::HumanBytes;
use maud::{Markup, PreEscaped, html};

const STYLE: &str = include_str!("pages/style.css");
const UPLOAD_SCRIPT: &str = include_str!("pages/upload.js");

/// The path of the upload page.
pub(super) const UPLOAD_PATH: &str = "/_jostle/upload";
/// The text of `/` when there is nothing else to show.
pub(super) const WORKING: &str = "jostle-server http is working";

/// Returns a page around `body`.
pub(super) fn frame(title: &str, body: Markup) -> Markup {
    html! {
        (PreEscaped("<!doctype html>"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · jostle" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer { "jostle " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}

/// Returns a link to the upload page.
pub(super) fn upload_link(text: &str) -> Markup {
    html! { p.actions { a.button href=(UPLOAD_PATH) { (text) } } }
}

/// Returns the page of `/` when there is no index.
pub(super) fn working(has_uploads: bool) -> Markup {
    let body = html! {
        h1 { (WORKING) }
        p {
            "Its root folder has no " code { "index.html" } ". Ask for a file by its path, or \
             start the server with " code { "--listing" } " to see here what there is."
        }
        @if has_uploads {
            (upload_link("Upload files"))
        } @else {
            p { "Uploads are off; " code { "--uploads DIR" } " takes them." }
        }
    };
    frame("It works", body)
}

/// Returns the page of a refusal.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Markup {
    let name = status.canonical_reason().unwrap_or("Refused");
    // Control characters are no part of HTML at all.
    let mut reason = reason.replace(char::is_control, "\u{fffd}");
    if let Some(first) = reason.get(..1).map(str::to_ascii_uppercase) {
        reason.replace_range(..1, &first);
    }
    let body = html! {
        p.status { (status.as_u16()) }
        h1 { (name) }
        p { (reason) "." }
        p.actions { a href="/" { "To the start" } }
    };
    frame(name, body)
}

/// Returns the page from which a person uploads.
pub(super) fn upload(limit: u64) -> Markup {
    let script = UPLOAD_SCRIPT.replace("{BYTES}", &limit.to_string());
    let body = html! {
        h1 { "Upload files" }
        p {
            "At most " (HumanBytes(limit)) " each. A file gets its name only when all of it has \
             arrived; one that is there already is never overwritten."
        }
        form #form action=(UPLOAD_PATH) method="post" enctype="multipart/form-data" {
            label.drop #drop {
                b { "Drop files here, or choose them" }
                input #files type="file" name="file" multiple required;
            }
            p.actions { button #send { "Upload" } }
        }
        ul.plain #list aria-live="polite" {}
        script { (PreEscaped(script)) }
    };
    frame("Upload", body)
}

/// Returns the page that a browser without the script sees of its upload; `files` are name, size
/// and digest.
pub(super) fn stored(files: &[(String, u64, String)]) -> Markup {
    let body = html! {
        h1 { "Stored" }
        ul.plain {
            @for (name, size, digest) in files {
                li { b { (name) } " " (HumanBytes(*size)) br; code { "sha256 " (digest) } }
            }
        }
        p.actions { a href=(UPLOAD_PATH) { "Upload more" } }
    };
    frame("Stored", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_chose_is_only_text() {
        let name = "<img src=x onerror=alert(1)>\"&".to_owned();
        let page = stored(&[(name.clone(), 5, "ab".to_owned())]).into_string();
        assert!(page.contains("<b>&lt;img src=x onerror=alert(1)&gt;&quot;&amp;</b> 5 B<br>"));
        let page = refusal(StatusCode::NOT_FOUND, &format!("a\u{1b}{name}")).into_string();
        assert!(page.contains("<p>A\u{fffd}&lt;img"), "{page}");
    }

    #[test]
    fn the_script_knows_the_limit_and_stays_as_it_is() {
        let page = upload(1 << 30).into_string();
        assert!(page.contains("const most = 1073741824;"), "{page}");
        assert!(page.contains("unit < units.length"), "the script is not escaped: {page}");
        assert!(page.contains("At most 1.00 GiB each"), "{page}");
    }
}
