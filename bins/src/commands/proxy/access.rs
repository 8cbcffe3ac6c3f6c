//! Who may use the API, as the command line says it.

use clap::Args;
use jostle_console::exit::Usage;
use jostle_console::files;
use jostle_control::{ServerSettings, Token};
use std::path::Path;

/// The options of it.
#[derive(Args, Debug)]
pub(super) struct Access {
    /// Answer only who shows this token (Authorization: Bearer TOKEN); @FILE reads it from a file's
    /// first line. The API listens beyond loopback only with one
    #[arg(long, value_name = "TOKEN|@FILE", hide_short_help = true, help_heading = "The run")]
    api_token: Option<String>,
    /// Answer requests for this host too, besides localhost and the address that the API listens
    /// on; several may be given
    #[arg(long, value_name = "NAME", value_parser = host, hide_short_help = true,
        help_heading = "The run")]
    api_host: Vec<String>,
}

/// Reads a host name.
fn host(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_name) {
        return Err("write a name without scheme and port: jostle.example.org".to_owned());
    }
    Ok(text.to_owned())
}

impl Access {
    /// Returns true if it says anything.
    pub(super) const fn is_said(&self) -> bool {
        self.api_token.is_some() || !self.api_host.is_empty()
    }

    /// Returns the settings of an API that may have so many descriptors.
    pub(super) fn settings(&self, descriptors: usize) -> anyhow::Result<ServerSettings> {
        let token = self.api_token.as_deref().map(token).transpose()?;
        Ok(ServerSettings {
            token,
            hosts: self.api_host.clone(),
            descriptors,
            ..ServerSettings::default()
        })
    }
}

fn token(text: &str) -> anyhow::Result<Token> {
    let (text, from) = match text.strip_prefix('@') {
        None => (text.to_owned(), String::new()),
        Some(path) => {
            let whole = files::read_text(Path::new(path)).map_err(|error| {
                Usage::error(format!("--api-token: cannot read {path}: {error}"))
            })?;
            let line = whole.lines().next().unwrap_or_default().trim().to_owned();
            (line, format!("{path}: "))
        }
    };
    Token::new(&text).map_err(|error| Usage::error(format!("--api-token: {from}{error}")))
}
