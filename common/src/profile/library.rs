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
