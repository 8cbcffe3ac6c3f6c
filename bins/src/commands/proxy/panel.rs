//! `--panel` and `--open`: the page that shows a running proxy, and a browser that shows the page.

use clap::Args;
use jostle_console::exit::Usage;
use jostle_console::terminal::{Printer, note};
use jostle_control::Token;
use serde_json::json;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// The address of the API, and of the panel, unless another one is given.
const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8474);

/// The options about the panel.
#[derive(Args, Debug)]
pub(super) struct PanelOptions {
    /// Serve a page with sliders and charts for a browser, with the API behind it, on
    /// 127.0.0.1:8474 or at another address of this machine: --panel=127.0.0.1:9000
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true,
        help_heading = "The run")]
    panel: Option<Option<SocketAddr>>,
    /// Show the panel in a browser
    #[arg(long, requires = "panel", help_heading = "The run")]
    open: bool,
}

impl PanelOptions {
    /// Returns true if the page is served.
    pub(super) const fn is_served(&self) -> bool {
        self.panel.is_some()
    }

    /// Returns the address of the one server of both, if there is any.
    ///
    /// # Errors
    /// When two addresses are given.
    pub(super) fn address(&self, api: Option<SocketAddr>) -> anyhow::Result<Option<SocketAddr>> {
        match (self.panel.flatten(), api) {
            _ if !self.is_served() => Ok(api),
            (None, api) => Ok(Some(api.unwrap_or(ADDRESS))),
            (Some(panel), Some(api)) if panel != api => Err(Usage::error(format!(
                "--panel={panel}: the page and the API behind it have one address, and --api is \
                 {api}; leave one of them out"
            ))),
            (Some(panel), _) => Ok(Some(panel)),
        }
    }

    /// Says where the page is, and opens it if that was asked for.
    pub(super) fn ready(&self, printer: Printer, address: SocketAddr, token: Option<&Token>) {
        if !self.is_served() {
            return;
        }
        let url = format!("http://{address}/");
        printer.event("panel", json!({ "url": url }), || format!("panel {url}"));
        // What is printed stays on the screen and in logs; the browser signs in.
        let page = match token {
            Some(token) => format!("http://{address}{}", token.sign_in_path()),
            None => url.clone(),
        };
        if self.open && !open(&page) {
            note(&format!("no browser could be started; open {url} yourself"));
        }
    }
}

/// Opens a page in the person's browser. Returns false if nothing could be started.
fn open(url: &str) -> bool {
    let own = std::env::var_os("BROWSER").filter(|program| !program.is_empty());
    let usual = ["xdg-open", "open"].map(OsString::from);
    own.into_iter().chain(usual).any(|program| {
        let mut command = Command::new(program);
        // What it prints is not ours, and would stand in the summary.
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut browser) = command.spawn() else { return false };
        // It may run longer than the proxy; its end is taken note of, and nothing more.
        let waiting = std::thread::Builder::new().name("browser".into());
        waiting.spawn(move || browser.wait()).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_the_api_have_one_address() {
        let other: SocketAddr = "127.0.0.1:9000".parse().unwrap();
        let address = |panel, api| {
            PanelOptions { panel, open: false }.address(api).map_err(|error| error.to_string())
        };
        assert_eq!(address(None, None), Ok(None));
        assert_eq!(address(None, Some(other)), Ok(Some(other)));
        assert_eq!(address(Some(None), None), Ok(Some(ADDRESS)));
        assert_eq!(address(Some(None), Some(other)), Ok(Some(other)));
        assert_eq!(address(Some(Some(other)), None), Ok(Some(other)));
        assert_eq!(address(Some(Some(other)), Some(other)), Ok(Some(other)));
        let problem = address(Some(Some(other)), Some(ADDRESS)).unwrap_err();
        assert!(problem.contains("leave one of them out"), "{problem}");
    }
}
