//! What other tools are told, as profiles: the command lines and files that people have already.
//!
//! Each reads one tool's own syntax, units included, refuses what that tool would refuse or nothing
//! here is like, and says what it approximates and what it leaves out. Where a tool hands netem a
//! line, that line is translated as [`netem`](super::netem) does it.

mod cdp;
mod comcast;
mod command_line;
mod draft;
mod quantity;
mod quic_sim;
mod tcset;
#[cfg(test)]
mod tests;
mod throttle;

pub use cdp::from_cdp;
pub use comcast::from_comcast;
pub use quic_sim::from_quic_sim;
pub use tcset::from_tcset;
pub use throttle::from_throttle;
