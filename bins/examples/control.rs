//! Does a client keep its patience of half a second when the answer takes a second?

use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Request;

const API: &str = "http://127.0.0.1:8474";

fn ask(method: &str, path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
    let request = Request::builder().method(method).uri(format!("{API}{path}"));
    let mut answer = ureq::run(request.body(body.to_string())?)?;
    Ok(serde_json::from_str(&answer.body_mut().read_to_string()?).unwrap_or_default())
}

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = json!({
        "name": "slow-web", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:8080",
        "toxics": [{ "type": "latency", "attributes": { "latency": 100 } }],
    });
    let proxy = ask("POST", "/proxies", &wanted)?;
    let url = format!("http://{}/", proxy["listen"].as_str().ok_or("no address")?);
    let patience = Some(Duration::from_millis(500));
    let client: Agent = Agent::config_builder().timeout_global(patience).build().into();

    client.get(&url).call()?; // a tenth of a second is soon enough
    let slower = json!({ "attributes": { "latency": 1000 } });
    ask("PATCH", "/proxies/slow-web/toxics/latency_downstream", &slower)?;
    let late = client.get(&url).call();
    assert!(matches!(late, Err(ureq::Error::Timeout(_))), "{late:?}");

    ask("DELETE", "/proxies/slow-web", &Value::Null)?;
    Ok(())
}
