//! The JSON of the API: toxics that are added and changed, and proxies with further fields. What is
//! accepted is put to use, listed as itself, and read back from what it is written as.
#![no_main]

use jostle_engine::profile::{Profile, no_files};
use jostle_engine::route::{
    Route, Toxic, add_toxic, go_json, is_toxic_name_taken, toxics_of_profile,
};
use jostle_fuzz::use_profile;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The most bodies of one session.
const BODIES_MAX: usize = 16;

// Each line is a body: toxics are added to one profile, and each body changes all of them too.
fuzz_target!(|text: &str| {
    let mut profile = Profile::default();
    for line in text.lines().take(BODIES_MAX) {
        let Ok(body) = serde_json::from_str::<Value>(line) else { continue };
        let _ = go_json::write(&body);
        let _ = Route::from_value(body.clone());
        if let Ok(toxic) = Toxic::from_value(&body, |name| is_toxic_name_taken(&profile, name)) {
            add_toxic(&mut profile, &toxic);
        }
        for listed in toxics_of_profile(&profile) {
            let text = listed.toxic.to_json();
            let value: Value = serde_json::from_str(&text).expect("it is JSON");
            let again = Toxic::from_value(&value, |_| false).expect("it is what was read");
            assert_eq!(again.to_json(), text);
            if let Ok(changed) = listed.toxic.updated(&body) {
                listed.replace(&mut profile, &changed);
            }
        }
    }
    let written = profile.to_text();
    let read = Profile::from_json_with(&written, &no_files).expect(&written);
    assert_eq!(read.to_text(), written);
    // What no link has places for is refused where a profile is set.
    if profile.check().is_ok() {
        use_profile(&profile, &read);
    }
});
