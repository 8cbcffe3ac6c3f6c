//! Journals of what was done by hand. What is read is played again.
#![no_main]

use jostle_control::History;
use jostle_engine::profile::no_files;
use jostle_fuzz::use_profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(history) = History::read(text, &no_files) else { return };
    for name in history.proxies().keys() {
        if let Ok(replay) = history.replay(name, &no_files) {
            use_profile(&replay.route.profile, &replay.route.profile);
        }
    }
});
