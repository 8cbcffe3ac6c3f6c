//! The weather of a trial: a profile, and shorthands in front of it.

use super::{ROUTE, Trial};
use jostle_common::setting::SettingError;
use jostle_engine::profile::Profile;
use jostle_engine::route::{HostPort, Listening, Route, RouteWorkers};
use std::net::SocketAddr;

impl Trial {
    /// Returns everything that happens to its packets.
    ///
    /// # Errors
    /// When a shorthand asks for something impossible.
    pub fn weather(&self) -> Result<Profile, SettingError> {
        let profile =
            self.profile.as_ref().map(|named| (*named.profile).clone()).unwrap_or_default();
        self.shorthands.in_front_of(profile)
    }

    /// Returns the proxy's route to its server.
    ///
    /// # Errors
    /// When a shorthand asks for something impossible, or a rule of the profile cannot act on what
    /// is relayed.
    pub fn route(&self, server: SocketAddr) -> Result<Route, SettingError> {
        let route = Route {
            name: ROUTE.to_owned(),
            transport: self.job.transport(),
            listen: HostPort { host: server.ip().to_string(), port: 0 },
            destination: HostPort { host: server.ip().to_string(), port: server.port() }.into(),
            profile: self.weather()?,
            seed: Some(self.seed),
            paired: None,
            enabled: true,
            tcp: self.tcp(),
            follow: false,
            idle: None,
            listening: Listening::default(),
            workers: RouteWorkers::default(),
        };
        route.check_rules().map_err(|problem| SettingError::new("profile", problem))?;
        Ok(route)
    }
}
