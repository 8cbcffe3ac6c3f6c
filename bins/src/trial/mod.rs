//! A trial: one cell run once, which gives one row.

pub(crate) mod real;
