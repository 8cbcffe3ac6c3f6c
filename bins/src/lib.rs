//! What the programs of jostle are made of.

pub mod audit;
pub mod compare;
