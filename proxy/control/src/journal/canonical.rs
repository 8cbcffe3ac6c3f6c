//! The one text that a configuration has, whoever wrote it, and its digest.

use jostle_common::digest::{Digest, Hasher};
use serde_json::Value;
use std::collections::BTreeMap;

/// Returns the one text of a value: without white space, the keys of objects in the order of their
/// bytes.
pub(super) fn text(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

/// The routes of a configuration, by name, as the texts that they have alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Texts(BTreeMap<String, String>);

impl Texts {
    pub(super) fn set(&mut self, name: &str, route: Value) {
        self.0.insert(name.to_owned(), text(route));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the digest of `{"proxies":[…],"seed":…}`, with the routes by name.
    pub(super) fn digest(&self, seed: u64) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(br#"{"proxies":["#);
        for (index, text) in self.0.values().enumerate() {
            if index > 0 {
                hasher.update(b",");
            }
            hasher.update(text.as_bytes());
        }
        hasher.update(format!(r#"],"seed":{seed}}}"#).as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configuration_has_one_text_whatever_the_order_of_its_keys() {
        let mut texts = Texts::default();
        texts.set("b", json!({ "name": "b", "listen": "udp://127.0.0.1:1" }));
        texts.set("a", json!({ "name": "a", "idle": "2m" }));
        let whole = r#"{"proxies":[{"idle":"2m","name":"a"},{"listen":"udp://127.0.0.1:1","name":"b"}],"seed":7}"#;
        assert_eq!(texts.digest(7), Digest::of(whole.as_bytes()));
        let value = json!({ "seed": 7, "proxies": [
            { "name": "a", "idle": "2m" }, { "name": "b", "listen": "udp://127.0.0.1:1" } ] });
        assert_eq!(text(value), whole);
    }
}
