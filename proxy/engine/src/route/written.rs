//! Routes as a configuration file has them: the way back from valid ones to what is read.

use super::listening::OPEN;
use super::{
    Configuration, CongestionControl, Destination, Forward, Route, TcpMode, Toxic, Unit,
    profile_of_toxics, toxics_of_profile,
};
use crate::profile::{Profile, laid_out};
use jostle_common::units::{ByteSize, Span};
use serde_json::{Map, Value, json};

/// Stands for a password where it is not to be read.
const MASK: &str = "***";

impl Configuration {
    /// Returns the configuration as a file has it; reading that gives the same routes, if there are
    /// any. What was read over is not in it.
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        fields.extend(self.seed.map(|seed| ("seed".to_owned(), seed.into())));
        let routes = self.routes.iter().map(Route::to_value);
        fields.insert("proxies".to_owned(), routes.collect());
        Value::Object(fields)
    }

    /// Returns the same as text, laid out as people do it.
    pub fn to_text(&self) -> String {
        laid_out(&self.to_value())
    }
}

impl Route {
    /// Returns the route as a configuration file has it, with its profile; `paired` is for callers
    /// of the library alone. Rules that are toxics, and all there is, are written as toxics.
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        put("name", self.name.as_str().into());
        put("listen", format!("{}://{}", self.scheme().name(), self.listen).into());
        match &self.destination {
            Destination::Upstream(upstream) => put("upstream", upstream.to_string().into()),
            Destination::Asked(forward) => {
                if !forward.allowed.is_any() {
                    put("target", forward.allowed.written().into());
                }
                if let Some(user) = &forward.user {
                    put("user", user.written().into());
                }
            }
        }
        let toxics = self.toxics();
        let plain = match &toxics {
            Some(_) => TcpMode::for_rules(&self.profile),
            None => TcpMode::default(),
        };
        if let Some(toxics) = toxics {
            put("toxics", toxics);
        } else if self.profile != Profile::default() {
            put("profile", self.profile.to_value());
        }
        if let Some(seed) = self.seed {
            put("seed", seed.into());
        }
        if !self.enabled {
            put("enabled", false.into());
        }
        if self.tcp != plain {
            let (tcp, unit) = written_mode(self.tcp);
            put("tcp", tcp);
            if let Some(unit) = unit {
                put("unit", unit);
            }
        }
        if self.follow {
            put("follow", true.into());
        }
        if let Some(idle) = self.idle {
            put("idle", Span(idle).to_string().into());
        }
        if self.listening.with_upstream {
            put("open", OPEN[1].into());
        }
        if let Some(accept) = self.listening.accept {
            put("accept", Span(accept).to_string().into());
        }
        if let Some(workers) = self.workers.written() {
            put("workers", workers);
        }
        Value::Object(fields)
    }

    /// The same for those who may read what is configured and not the password of its user, which
    /// is masked.
    pub fn to_public_value(&self) -> Value {
        let mut value = self.to_value();
        if let Destination::Asked(Forward { user: Some(user), .. }) = &self.destination {
            value["user"] = format!("{}:{MASK}", user.user()).into();
        }
        value
    }

    /// Returns its toxics as Toxiproxy prints them, if the profile is nothing else.
    fn toxics(&self) -> Option<Value> {
        let mut rules = self.profile.up.rules().chain(self.profile.down.rules()).peekable();
        let are_toxics = rules.peek().is_some() && rules.all(|rule| rule.toxic.is_some());
        if !are_toxics {
            return None;
        }
        let listed = toxics_of_profile(&self.profile);
        let toxics: Vec<Toxic> = listed.into_iter().map(|listed| listed.toxic).collect();
        if profile_of_toxics(&toxics) != self.profile {
            return None;
        }
        toxics.iter().map(|toxic| serde_json::from_str::<Value>(&toxic.to_json()).ok()).collect()
    }
}

/// Returns what is written as `tcp` and as `unit`.
fn written_mode(mode: TcpMode) -> (Value, Option<Value>) {
    match mode {
        TcpMode::Model(CongestionControl::Cubic) => ("model".into(), None),
        TcpMode::Model(control) => {
            let (model, ecn) = match control {
                CongestionControl::CubicEcn => (CongestionControl::Cubic, true),
                CongestionControl::RenoEcn => (CongestionControl::Reno, true),
                plain => (plain, false),
            };
            let mut fields = json!({ "model": model.name() });
            if ecn && let Some(fields) = fields.as_object_mut() {
                fields.insert("ecn".into(), true.into());
            }
            (fields, None)
        }
        TcpMode::Raw(Unit::Line) => ("raw".into(), None),
        TcpMode::Raw(Unit::Read) => ("raw".into(), Some("read".into())),
        TcpMode::Raw(Unit::Bytes(bytes)) => {
            ("raw".into(), Some(ByteSize::new(bytes).to_string().into()))
        }
    }
}
