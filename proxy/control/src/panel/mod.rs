//! The panel: one page at `/` and the files that it loads, all from here.
//!
//! The page is plain ES modules and CSS, kept in `page/` and embedded as they stand: a user needs
//! no build step and no network, and what is served is what is read. It speaks to the proxy through
//! the API's own routes alone.

use crate::context::Context;
use crate::routes::only;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! files {
    ($($path:literal $kind:ident $file:literal;)*) => {
        &[$(File { path: $path, content_type: $kind, bytes: include_bytes!(concat!("page/", $file)) }),*]
    };
}

/// All of them. uPlot (1.6.32, MIT; its licence stands beside it) draws the charts.
const FILES: &[File] = files! {
    "/" HTML "index.html";
    "/panel/style.css" CSS "style.css";
    "/panel/icon.svg" PICTURE "icon.svg";
    "/panel/api.js" SCRIPT "api.js";
    "/panel/charts.js" SCRIPT "charts.js";
    "/panel/copy.js" SCRIPT "copy.js";
    "/panel/dom.js" SCRIPT "dom.js";
    "/panel/edits.js" SCRIPT "edits.js";
    "/panel/feed.js" SCRIPT "feed.js";
    "/panel/flows.js" SCRIPT "flows.js";
    "/panel/keys.js" SCRIPT "keys.js";
    "/panel/kinds.js" SCRIPT "kinds.js";
    "/panel/live.js" SCRIPT "live.js";
    "/panel/main.js" SCRIPT "main.js";
    "/panel/presets.js" SCRIPT "presets.js";
    "/panel/profile.js" SCRIPT "profile.js";
    "/panel/row.js" SCRIPT "row.js";
    "/panel/rules.js" SCRIPT "rules.js";
    "/panel/store.js" SCRIPT "store.js";
    "/panel/tabs.js" SCRIPT "tabs.js";
    "/panel/units.js" SCRIPT "units.js";
    "/panel/vendor/uplot.js" SCRIPT "vendor/uplot.js";
    "/panel/vendor/uplot.css" CSS "vendor/uplot.css";
    "/panel/vendor/uplot-LICENSE.txt" TEXT "vendor/uplot-LICENSE.txt";
};

/// Returns the page's routes.
pub(crate) fn routes() -> Router<Context> {
    FILES.iter().fold(Router::new(), |router, file| {
        let answer = move || async move {
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type))];
            (kind, file.bytes).into_response()
        };
        router.route(file.path, only(get(answer)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    /// The page should be there at once.
    const BYTES_MAX: usize = 160 << 10;

    fn text(file: &File) -> &str {
        std::str::from_utf8(file.bytes).expect("files of the page are text")
    }

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("the page has a folder");
        entries
            .map(|entry| entry.expect("it can be read").path())
            .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
            .collect()
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/panel/page");
        let there: BTreeSet<String> = files_below(&page)
            .iter()
            .map(|path| path.strip_prefix(&page).expect("it is below").display().to_string())
            .map(|name| if name == "index.html" { "/".into() } else { format!("/panel/{name}") })
            .collect();
        let served: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert!(there.len() > 20);
        assert_eq!(served, there);
    }

    #[test]
    fn it_is_small() {
        let total: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(total < BYTES_MAX, "{total} bytes");
    }

    /// The content security policy forbids what stands in the markup itself, and `innerHTML` would
    /// make markup of what a peer sends.
    #[test]
    fn nothing_in_it_becomes_markup_or_comes_from_elsewhere() {
        let scripts = FILES.iter().filter(|file| file.content_type == SCRIPT);
        for file in scripts.filter(|file| !file.path.contains("vendor")) {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!text(file).contains(word), "{}: {word}", file.path);
            }
        }
        for file in FILES.iter().filter(|file| !file.path.ends_with(".txt")) {
            let elsewhere = text(file).match_indices("http").map(|(at, _)| &text(file)[at..]);
            let is_name = |found: &&str| {
                found.starts_with("http://www.w3.org/")
                    || found.starts_with("https://github.com/leeoniya/uPlot")
            };
            let urls: Vec<&str> = elsewhere
                .filter(|found| found.starts_with("http://") || found.starts_with("https://"))
                .filter(|found| !is_name(found))
                .map(|found| found.lines().next().unwrap_or_default())
                .collect();
            assert!(urls.is_empty(), "{}: {urls:?}", file.path);
        }
        let page = text(&FILES[0]);
        assert!(page.contains("<script type=\"module\""));
        for word in [" style=", " onclick=", "<style", "javascript:"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.split("<script").skip(1).all(
            |script| script.starts_with(" src=") || script.starts_with(" type=\"module\" src=")
        ));
    }
}
