//! `jostle trial`: one cell of a sweep, run once, which gives one row.

#[cfg_attr(not(test), expect(dead_code, reason = "its command comes next"))]
mod commands;
