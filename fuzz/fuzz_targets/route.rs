//! Route files, which are read back from what they are written as, and routes and units as written
//! on the command line.
#![no_main]

use jostle_common::units::{BitRate, ByteSize, Probability, parse_duration};
use jostle_engine::route::{Configuration, parse_listen, parse_route, parse_unit, parse_upstream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let no_files = |name: &str| Err(format!("{name} is not there"));
    if let Ok(configuration) = Configuration::from_json(text, &no_files) {
        let written = configuration.to_text();
        let read = Configuration::from_json(&written, &no_files);
        let read = read.map(|read| (read.seed, read.routes));
        assert_eq!(read, Ok((configuration.seed, configuration.routes)), "{written}");
    }
    let _ = (parse_listen(text), parse_upstream(text), parse_unit(text), parse_route(text));
    let _ = (
        text.parse::<BitRate>(),
        text.parse::<ByteSize>(),
        text.parse::<Probability>(),
        parse_duration(text),
    );
});
