//! Toxiproxy's API: its routes, its statuses, its errors word for word, its JSON.
//!
//! Client libraries in ten languages speak to it. What they were seen to rely on is kept, also
//! where it is odd: errors are JSON that says it is text, a created toxic is 200 and a created
//! proxy
//! 201.

mod answer;
mod asked;
mod body;
mod listen;
mod looked_up;
mod proxies;
mod request_id;
mod routes;
mod toxics;

pub(crate) use answer::{Refusal, not_found, plain};
pub(crate) use proxies::refused;
pub(crate) use request_id::RequestIds;
pub(crate) use routes::routes;
pub(crate) use toxics::rules;
