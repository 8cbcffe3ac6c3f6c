//! The profiles that are built in, by name: the files of `configs/profiles`.
//!
//! A new one is a file there and its name in the list here; a test says which of the two is
//! missing.

use jostle_common::setting::one_of;

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        const PROFILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../../configs/profiles/", $name, ".json")))),*];
    };
}

library![
    "5g-mmwave",
    "apple-100-percent-loss",
    "apple-3g",
    "apple-dsl",
    "apple-early-3g-average",
    "apple-early-3g-good",
    "apple-early-3g-lossy",
    "apple-early-cable",
    "apple-early-dsl",
    "apple-early-edge-average",
    "apple-early-edge-good",
    "apple-early-edge-lossy",
    "apple-early-generic-average",
    "apple-early-generic-bad",
    "apple-early-generic-good",
    "apple-early-wifi-average",
    "apple-early-wifi-good",
    "apple-edge",
    "apple-high-latency-dns",
    "apple-lte",
    "apple-very-bad-network",
    "apple-wifi",
    "apple-wifi-802-11ac",
    "atc-2g-developing-rural",
    "atc-2g-developing-urban",
    "atc-3g-average",
    "atc-3g-good",
    "atc-cable",
    "atc-dsl",
    "atc-edge-average",
    "atc-edge-good",
    "atc-edge-lossy",
    "coffee-shop-wifi",
    "comcast-3g-hsdpa",
    "comcast-dial-up",
    "comcast-dsl-good",
    "comcast-dsl-poor",
    "comcast-edge",
    "comcast-gprs",
    "comcast-starlink",
    "comcast-wifi",
    "devtools-3g",
    "devtools-fast-4g",
    "devtools-slow-4g",
    "geo-satellite",
    "in-flight-high",
    "in-flight-low",
    "lighthouse-desktop-dense-4g",
    "lighthouse-mobile-regular-3g",
    "lighthouse-mobile-slow-4g",
    "loadero-3-5g",
    "loadero-3g",
    "loadero-4g",
    "loadero-edge",
    "loadero-gprs",
    "loadero-high-jitter",
    "loadero-high-latency",
    "loadero-satellite-phone",
    "lte-bursts",
    "rfc8867-reference-path",
    "rfc8867-variable-capacity",
    "rfc8868-bursts-1",
    "rfc8868-bursts-3",
    "rfc8868-delay-150ms",
    "rfc8868-delay-300ms",
    "rfc8868-delay-50ms",
    "rfc8868-loss-1",
    "rfc8868-loss-10",
    "rfc8868-loss-20",
    "rfc8868-loss-5",
    "rfc8868-queue-bufferbloat",
    "rfc8868-queue-nominal",
    "rfc8868-queue-short",
    "sfu-cellular",
    "sfu-wifi-rare-bursts",
    "sitespeed-2g",
    "sitespeed-3g",
    "sitespeed-3g-slow",
    "sitespeed-4g",
    "sitespeed-cable",
    "sitespeed-edge",
    "starlink",
    "starlink-outages",
    "starlink-paths",
    "str0m-cellular",
    "str0m-congested",
    "str0m-satellite",
    "str0m-wifi-good",
    "str0m-wifi-lossy",
    "voip-textbook-bursts",
    "webpagetest-2g",
    "webpagetest-2g-old",
    "webpagetest-3g",
    "webpagetest-3g-fast",
    "webpagetest-3g-slow",
    "webpagetest-3g-slow-old",
    "webpagetest-4g",
    "webpagetest-cable",
    "webpagetest-dial",
    "webpagetest-dsl",
    "webpagetest-edge",
    "webpagetest-fios",
    "webpagetest-lte",
    "wifi-to-lte",
];

/// Names that are offered in place of a wrong one.
const LIKE_MAX: usize = 5;

/// Returns the JSON text of the built-in profile called `name`.
pub fn text(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Returns the names of all built-in profiles, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

/// Returns the profiles that a user who wrote `name` may have meant, the likeliest first: names
/// with a word of it, or a slip of the finger away.
pub fn like(name: &str) -> Vec<&'static str> {
    /// Two names of this similarity differ by a slip of the finger.
    const SIMILAR: f64 = 0.85;
    /// With one as similar as this no other needs to be offered.
    const CERTAIN: f64 = 0.95;
    let name = name.to_lowercase();
    let has_word =
        |known: &str| name.split('-').any(|word| known.split('-').any(|other| other == word));
    let mut likely: Vec<(f64, &str)> = names()
        .map(|known| (strsim::jaro_winkler(known, &name), known))
        .filter(|(similarity, known)| *similarity > SIMILAR || has_word(known))
        .collect();
    likely.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let is_certain = likely.first().is_some_and(|(similarity, _)| *similarity > CERTAIN);
    likely.into_iter().take(if is_certain { 1 } else { LIKE_MAX }).map(|(_, known)| known).collect()
}

/// Tells a user who wrote `name` where to look for the name of a built-in profile.
pub fn hint(name: &str) -> String {
    const LIST: &str = "jostle profile list shows the built-in profiles";
    match like(name).as_slice() {
        [] => LIST.into(),
        likely => format!("did you mean {}? {LIST}", one_of(likely)),
    }
}

#[cfg(test)]
mod tests;
