//! What the programs of jostle are made of: endpoints that run in a thread or behind a command, and what their commands share.

pub mod address;
pub mod exit;
pub mod progress;
pub mod signals;
pub mod stop;
pub mod terminal;
