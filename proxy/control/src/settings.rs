//! What an API is started with: who may use it, and how long it waits for whom.

use crate::guard::Token;
use std::time::Duration;

/// The settings of an API.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// What every request has to know; beyond loopback there must be one.
    pub token: Option<Token>,
    /// Names that a request may ask for, besides those of loopback and the address that is listened
    /// on: without a port.
    pub hosts: Vec<String>,
    /// Whether the panel is served, and a browser that shows it may change things.
    pub panel: bool,
    /// How long it waits for its clients.
    pub patience: Patience,
    /// The descriptors that it may have, 16 or more: nearly as many connections are served at once,
    /// and further ones wait for the place of one whose client is silent.
    pub descriptors: usize,
}

impl ServerSettings {
    /// The fewest descriptors of an API.
    pub const DESCRIPTORS_LEAST: usize = 16;

    /// Returns how many descriptors are kept for an API by a process that may have `limit`.
    pub fn descriptors(limit: usize) -> usize {
        const SHARE: usize = 16;
        const MOST: usize = 256;
        (limit / SHARE).clamp(Self::DESCRIPTORS_LEAST, MOST)
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            token: None,
            hosts: Vec::new(),
            panel: false,
            patience: Patience::default(),
            descriptors: Self::DESCRIPTORS_LEAST,
        }
    }
}

/// How long a connection waits for its client, before it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the rest of a request's head, from its first byte.
    pub head: Duration,
    /// For the rest of a request's body, from the end of its head.
    pub body: Duration,
    /// For the next request.
    pub idle: Duration,
    /// For a client that does not read what it asked for.
    pub write: Duration,
}

impl Default for Patience {
    /// Toxiproxy's.
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            body: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(30),
        }
    }
}
