//! How a program speaks to the person or script that started it: output, progress, exit codes,
//! signals, keys, and the commands it runs itself.

pub mod child;
pub mod exit;
pub mod files;
pub mod keys;
pub mod logging;
mod mistakes;
pub mod printing;
pub mod progress;
pub mod shell;
pub mod signals;
pub mod status;
pub mod stdin;
pub mod stop;
pub mod terminal;
