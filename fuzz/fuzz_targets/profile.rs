//! Profiles, traces and netem's lines as text. What is accepted is put to use, and is read back
//! from what it is written as.
#![no_main]

use jostle_engine::profile::Profile;
use jostle_engine::profile::netem::{JitterOrder, from_netem};
use jostle_engine::rules::{DelayTrace, RateTrace};
use jostle_fuzz::use_profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Tables and traces that a profile names hold the same text.
    let read = |_: &str| Ok(text.to_owned());
    if let Ok(profile) = Profile::from_json_with(text, &read) {
        use_profile(&profile, &Profile::default());
        let written = profile.to_text();
        assert_eq!(Profile::from_json_with(&written, &read).as_ref(), Ok(&profile), "{written}");
        assert_eq!(profile.in_force().is_empty(), profile.is_empty());
    }
    if let Ok(translation) = from_netem(text, JitterOrder::AsInNetem)
        // It may name a file of tc's.
        && let Ok(profile) = Profile::from_json_with(&translation.profile, &|_| Ok("0 8192 -8192".to_owned()))
    {
        use_profile(&profile, &Profile::default());
    }
    if let Ok(trace) = RateTrace::parse(text) {
        let _ = (trace.mean_bits_per_second(), trace.opportunity(1 << 40));
    }
    let _ = DelayTrace::parse(text);
});
