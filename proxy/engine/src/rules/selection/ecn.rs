//! The choice of packets by what their IP headers say of congestion.

use jostle_common::ecn::Ecn;
use jostle_common::setting::SettingError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Code points of which a packet must say one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcnMatch {
    /// A bit per code point, at the place that its bits are.
    said: u8,
}

impl EcnMatch {
    /// Returns true if a packet that says this is chosen.
    pub const fn admits(self, ecn: Ecn) -> bool {
        self.said >> ecn.bits() & 1 == 1
    }

    /// Returns it as a profile has it: a name, or several as a list.
    pub(super) fn written(&self) -> Value {
        let names = Ecn::ALL.into_iter().filter(|ecn| self.admits(*ecn)).map(Ecn::name);
        let names: Vec<&str> = names.collect();
        match names[..] {
            [name] => name.into(),
            _ => names.into(),
        }
    }
}

impl FromIterator<Ecn> for EcnMatch {
    fn from_iter<I: IntoIterator<Item = Ecn>>(said: I) -> Self {
        Self { said: said.into_iter().fold(0, |said, ecn| said | 1 << ecn.bits()) }
    }
}

/// A code point, or several: not-ect, ect0, ect1 and ce.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"ect0\", say, or a list such as [\"ect0\", \"ect1\"]")]
pub(super) enum RawEcn {
    One(String),
    Several(#[schemars(length(min = 1))] Vec<String>),
}

impl RawEcn {
    pub(super) fn read(self, place: &str) -> Result<EcnMatch, SettingError> {
        let names = match self {
            Self::One(name) => vec![name],
            Self::Several(names) => names,
        };
        if names.is_empty() {
            let problem = "it names nothing that a packet may say; write \"ect0\", say";
            return Err(SettingError::new(place, problem));
        }
        let read = |name: &String| name.parse::<Ecn>();
        let said: Result<EcnMatch, String> = names.iter().map(read).collect();
        said.map_err(|problem| SettingError::new(place, problem))
    }
}
