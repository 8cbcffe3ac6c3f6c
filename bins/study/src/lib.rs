//! Experiments: trials, sweeps and comparisons of endpoints under bad weather, on sockets and in
//! virtual time; forecasts and simulations of profiles; reports on what came of them.

pub mod audit;
pub mod compare;
pub mod forecast;
mod page;
pub mod probe;
pub mod profiles;
pub mod report;
pub mod rows;
pub mod simulate;
mod subject;
pub mod sweep;
pub mod trial;
pub mod virtual_time;
pub mod weather;
