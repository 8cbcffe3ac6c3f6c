//! The profiles that are built in, by name: the files of `configs/profiles`.

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        const PROFILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../configs/profiles/", $name, ".json")))),*];
    };
}

library!["coffee-shop-wifi", "geo-satellite", "webpagetest-3g", "webpagetest-cable"];

/// The JSON text of the built-in profile called `name`.
pub fn text(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all built-in profiles, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

/// The built-in profile whose name is most like `name`, if one is like it at all.
pub fn closest(name: &str) -> Option<&'static str> {
    /// Two names of this similarity differ by a slip of the finger.
    const SIMILAR: f64 = 0.85;
    let similarity = |known: &str| strsim::jaro_winkler(known, name);
    names().filter(|known| similarity(known) > SIMILAR).max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn every_built_in_profile_is_valid_and_says_what_it_is() {
        assert_eq!(names().count(), 4);
        assert!(names().is_sorted());
        for name in names() {
            let profile = Profile::from_json(text(name).expect("it is listed")).expect(name);
            assert!(!profile.is_empty() && profile.about.len() > 20, "{name}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        assert_eq!(closest("cofee-shop"), Some("coffee-shop-wifi"));
        assert_eq!(closest("webpagetest-cabel"), Some("webpagetest-cable"));
        assert_eq!(closest("profile.json"), None);
    }

    #[test]
    fn every_profile_in_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/profiles");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder is part of the project")
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<String> = names().map(|name| format!("{name}.json")).collect();
        assert_eq!(files, listed);
    }
}
