//! `jostle report`: rows of `compare`, `trial` and `sweep` as a page, as tables, and as a judgement on older rows.

mod book;
mod dimension;
mod gate;
mod gather;
mod key;
mod metric;
mod origin;
mod page;
mod read;
mod remarks;

#[cfg(test)]
mod made_up;
