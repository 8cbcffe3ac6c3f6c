//! `jostle compare`: the same file through the same bad weather over TCP, plain UDP and reliable UDP, side by side.

mod finished;
mod folder;
mod options;
mod page;
mod plan;
mod subject;
mod table;
mod verdict;
mod words;

#[cfg(test)]
mod made_up;
