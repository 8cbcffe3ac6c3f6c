//! A load for relays of datagrams and of streams, and what a relay takes to carry it.
//!
//! Sender and receiver are one thread, so that one core carries both and the relay has the other.
//! Where it can, it is cheaper than what it measures: datagrams leave in runs or batches, and what
//! arrives on streams is discarded unread. The main figure is processor time of the relay per unit
//! that arrived, which tells relays apart on a machine that other work shares; the rate is told
//! beside it.
//!
//! What can be said without a socket is a function of values: the window of datagrams under way,
//! the times of Poisson arrivals, the phases of a measurement and the reading of `/proc`.

pub mod command;

mod arrivals;
mod clock;
mod datagrams;
mod measure;
mod paths;
mod percentiles;
mod processes;
mod standing;
mod streams;
