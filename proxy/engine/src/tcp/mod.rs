//! The TCP model: what loss costs a TCP stream, without losing a byte of it.

mod segment;

pub use segment::Segment;
