//! Route files, and routes and units as written on the command line.
#![no_main]

use jostle_common::units::{BitRate, ByteSize, Probability, parse_duration};
use jostle_engine::route::{Configuration, parse_listen, parse_route, parse_unit, parse_upstream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let no_files = |name: &str| Err(format!("{name} is not there"));
    let _ = Configuration::from_json(text, &no_files);
    let _ = (parse_listen(text), parse_upstream(text), parse_unit(text), parse_route(text));
    let _ = (
        text.parse::<BitRate>(),
        text.parse::<ByteSize>(),
        text.parse::<Probability>(),
        parse_duration(text),
    );
});
