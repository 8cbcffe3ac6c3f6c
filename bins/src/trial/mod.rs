//! A trial: one cell run once, which gives one row.

pub mod options;
