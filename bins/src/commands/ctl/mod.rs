//! `jostle ctl`: a running proxy from the command line, by its API.

mod client;
mod flows;
mod proxies;
mod toxics;
pub(crate) mod toxiproxy_cli;
mod watch;

use clap::{Args, Subcommand};
use client::Client;
use jostle_console::terminal::text;
use serde_json::Value;
use std::process::ExitCode;

/// See and change a running proxy
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle ctl list
  jostle ctl create web --listen 127.0.0.1:8080 --upstream 127.0.0.1:80 --profile geo-satellite
  jostle ctl toxic add web latency latency=100 jitter=10
  jostle ctl profile set web '{ \"both\": [ { \"rule\": \"drop\", \"chance\": \"2%\" } ] }'
  jostle ctl rules off
  jostle ctl watch

It asks the API that `jostle proxy --api` answers at 127.0.0.1:8474.")]
pub struct CtlArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print what the API says instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// Where the API is.
#[derive(Args, Debug)]
struct ApiArgs {
    /// Where the API answers: a host and port, or a URL
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "JOSTLE_API",
        default_value = "127.0.0.1:8474"
    )]
    api: String,
    /// The token that it asks for, or @FILE
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "JOSTLE_API_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(proxies::ListArgs),
    Inspect(proxies::InspectArgs),
    Create(proxies::CreateArgs),
    Toggle(proxies::ToggleArgs),
    Delete(proxies::DeleteArgs),
    Toxic(toxics::ToxicArgs),
    Profile(proxies::ProfileArgs),
    Rules(proxies::RulesArgs),
    Flows(flows::FlowsArgs),
    Reset(proxies::ResetArgs),
    Populate(proxies::PopulateArgs),
    Watch(watch::WatchArgs),
}

impl CtlArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// A [`jostle_console::exit::Usage`] when the command line says something impossible; another
    /// error when nothing answers, or the answer is a refusal.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.api.api, self.api.token)?;
        let teller = Teller { json: self.json };
        match self.command {
            Command::List(args) => args.run(&client, teller),
            Command::Inspect(args) => args.run(&client, teller),
            Command::Create(args) => args.run(&client, teller),
            Command::Toggle(args) => args.run(&client, teller),
            Command::Delete(args) => args.run(&client, teller),
            Command::Toxic(args) => args.run(&client, teller),
            Command::Profile(args) => args.run(&client, teller),
            Command::Rules(args) => args.run(&client, teller),
            Command::Flows(args) => args.run(&client, teller),
            Command::Reset(args) => args.run(&client, teller),
            Command::Populate(args) => args.run(&client, teller),
            Command::Watch(args) => args.run(&client, teller),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints what was done: for people, or what the API said.
#[derive(Clone, Copy, Debug)]
struct Teller {
    json: bool,
}

impl Teller {
    /// Prints a value as JSON, or what `words` says. Neither has a control character of others'.
    fn tell(self, value: &Value, words: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut said = if self.json { value.to_string() } else { words() };
        if !said.is_empty() {
            said.push('\n');
        }
        text(&said)
    }
}
