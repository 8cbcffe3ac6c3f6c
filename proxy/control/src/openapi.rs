//! The description of the API: an OpenAPI 3.1 document, which a test holds to the routes.

use crate::context::Context;
use crate::profiles::with_json;
use crate::routes::only;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

/// The document.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// Returns the route.
pub(crate) fn routes() -> Router<Context> {
    Router::new().route("/openapi.json", only(get(show)))
}

async fn show() -> Response {
    with_json(StatusCode::OK, DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Bodies, Guard};
    use crate::registry::Registry;
    use crate::routes;
    use jostle_proxy::{Proxy, Settings};
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;
    use std::time::Duration;

    /// The methods that a description may have. Answers to HEAD and OPTIONS are refusals.
    const METHODS: [&str; 5] = ["delete", "get", "patch", "post", "put"];

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// Every method and path that the router has, as it shows itself.
    fn routed() -> BTreeSet<String> {
        let proxy = Proxy::bind(Settings::new(Vec::new(), 7)).unwrap();
        let registry = Arc::new(Registry::new(proxy.control(), proxy.routes()));
        let address = "127.0.0.1:1".parse().unwrap();
        let guard = Guard::new(address, &[], None, false, &[7; 24]);
        let context =
            Context::new(registry, guard, Bodies { patience: Duration::from_secs(1) }, 11);
        let shown = format!("{:?}", routes::all(&context));
        let (own, _) = shown.split_once("fallback_router: ").expect("fallbacks come behind");
        let (endpoints, paths) = own.split_once("Node { paths: {").expect("paths come last");
        // `RouteId(3): MethodRouter(…)` and `RouteId(3): "/proxies/{proxy}"`, in no order.
        let by_number = |text: &'_ str| -> BTreeMap<usize, String> {
            let parts = text.split("RouteId(").skip(1);
            let read = |part: &str| {
                let (number, rest) = part.split_once("): ")?;
                Some((number.parse().ok()?, rest.to_owned()))
            };
            parts.filter_map(read).collect()
        };
        let (endpoints, paths) = (by_number(endpoints), by_number(paths));
        assert!(endpoints.keys().eq(paths.keys()), "each path has its methods: {shown}");
        let mut routed = BTreeSet::new();
        for (number, path) in &paths {
            let path = path.split('"').nth(1).expect("a path in quotes");
            for method in METHODS {
                let (_, shows) = endpoints[number].split_once(&format!(" {method}: ")).unwrap();
                if !shows.starts_with("None") {
                    routed.insert(format!("{method} {path}"));
                }
            }
        }
        routed
    }

    #[test]
    fn every_route_is_described_and_every_description_routed() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| format!("{method} {path}"))
            })
            .collect();
        let routed = routed();
        assert!(routed.len() > 25 && routed.contains("get /version"), "{routed:?}");
        let not_described: Vec<_> = routed.difference(&described).collect();
        assert!(not_described.is_empty(), "describe them in docs/openapi.json: {not_described:?}");
        let not_routed: Vec<_> = described.difference(&routed).collect();
        assert!(not_routed.is_empty(), "docs/openapi.json has what is not there: {not_routed:?}");
    }

    #[test]
    fn every_operation_is_named_once_and_every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let mut names = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name), "{name} is there twice");
                assert!(operation["summary"].is_string(), "{method} {path}");
                let parameters = path.matches('{').count();
                let given = operation["parameters"].as_array().map_or(0, Vec::len);
                assert!(given >= parameters, "{method} {path} says all of its parameters");
            }
        }
    }
}
