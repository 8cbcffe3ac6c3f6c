use super::*;
use jostle_engine::profile::no_files;
use serde_json::json;

fn trial(settings: &[(&str, Value)]) -> Result<Trial, SettingError> {
    let mut trial = Trial { repeat: 1, seed: 7, ..Trial::default() };
    for (name, value) in settings {
        trial.set(name, value, &no_files)?;
    }
    Ok(trial)
}

/// Returns a value for each parameter, as a row has it.
fn everything() -> Vec<(&'static str, Value)> {
    let mut settings = Vec::new();
    for parameter in Parameter::all() {
        let value = match parameter.kind() {
            SettingKind::Share => json!(0.05),
            SettingKind::Burst => json!(3.5),
            SettingKind::Rate => json!("10Mbit/s"),
            SettingKind::Queue => json!("50 packets"),
            SettingKind::Time => json!("5ms"),
            SettingKind::Size => json!(65_536),
            SettingKind::Count => json!(12),
            SettingKind::Timing => json!("fixed:50ms"),
            SettingKind::Profile => json!("coffee-shop-wifi"),
            SettingKind::Tcp => json!("reno"),
            SettingKind::Text if parameter.name() == "file" => json!("song.mp3"),
            SettingKind::Protocol | SettingKind::Transports | SettingKind::Text => continue,
        };
        settings.push((parameter.name(), value));
    }
    settings
}

#[test]
fn what_is_set_is_what_the_row_and_the_command_line_say() {
    let settings = everything();
    assert!(settings.len() > 34, "{}", settings.len());
    let trial = trial(&settings).unwrap();
    let parameters = trial.parameters();
    for (name, value) in &settings {
        assert_eq!(parameters.get(*name), Some(value), "{name}");
    }
    let arguments = trial.arguments();
    let mut again = Trial { repeat: 1, seed: 7, ..Trial::default() };
    for pair in
        arguments.chunks(2).filter(|pair| !["--repeat", "--seed"].contains(&pair[0].as_str()))
    {
        again.set(pair[0].trim_start_matches("--"), &json!(pair[1]), &no_files).unwrap();
    }
    assert_eq!(again, trial);
}

#[test]
fn a_row_says_what_was_asked_and_nothing_twice() {
    let trial = trial(&[
        ("protocol", json!("saw")),
        ("loss", json!("5%")),
        ("timeout", json!("fixed:50ms")),
    ])
    .unwrap();
    let text = serde_json::to_string(&trial.row()).unwrap();
    assert!(
        text.starts_with(
            r#"{"protocol":"saw","loss":0.05,"delay":"0s","repeat":1,"seed":7,"virtual":false,"ok":false"#
        ),
        "{text}"
    );
    assert!(text.contains(r#""timeout":"fixed:50ms","size":65536,"host":{}}"#), "{text}");
    assert_eq!(text.matches("\"loss\"").count(), 1);
}

#[test]
fn programs_are_a_job_of_their_own() {
    let trial =
        trial(&[("client", json!("curl")), ("server", json!("nginx")), ("over", json!("both"))])
            .unwrap();
    assert_eq!(
        (trial.job.name(), trial.job.transport()),
        ("commands", jostle_engine::route::Transports::Both)
    );
    assert!(trial.check().is_ok());
    assert_eq!(trial.parameters().len(), 3);
}

#[test]
fn what_cannot_be_is_refused_with_place_and_remedy() {
    for (settings, is_virtual, message) in [
        (vec![("loss", json!("5"))], false, "loss: \"5\" has no unit; write \"5%\""),
        (vec![("loss", json!(5))], false, "loss: 5 has no unit; write \"5%\""),
        (
            vec![("speed", json!("5"))],
            false,
            "speed: there is no such parameter; write one of protocol, ",
        ),
        (
            vec![("protocol", json!("quic"))],
            false,
            "protocol: there is no \"quic\"; write one of tcp, udp, saw",
        ),
        (vec![("profile", json!({ "up": 1 }))], false, "profile: up:"),
        (vec![("protocol", json!("http"))], true, "virtual: http runs on real sockets only"),
        (vec![("client", json!("curl"))], false, "server: there is a client and no server"),
        (
            vec![("check", json!("true"))],
            false,
            "check: it is for programs of your own; add --client",
        ),
        (vec![("jitter", json!("5ms"))], false, "--jitter: there is no delay to spread"),
        (
            vec![("protocol", json!("ping")), ("size", json!("8B"))],
            false,
            "size: a datagram of ping has 24 to 65507",
        ),
        (vec![("size", json!(0))], false, "size: there is nothing to lose"),
        (vec![("size", json!("1GiB"))], false, "size: a trial carries up to 256 MiB"),
        (vec![("count", json!(1.5))], false, "count: \"1.5\" is not a whole number"),
        (vec![("limit", json!(0))], false, "limit: nothing is done in no time"),
    ] {
        let found = trial(&settings)
            .and_then(|trial| Trial { is_virtual, ..trial }.check())
            .unwrap_err()
            .to_string();
        assert!(found.starts_with(message), "{settings:?}: {found}");
    }
}

#[test]
fn what_is_of_no_use_is_named() {
    let useless = |protocol: &str, name: &str, value: &str| {
        trial(&[("protocol", json!(protocol)), (name, json!(value))])
            .unwrap()
            .useless_parameter()
            .map(Parameter::name)
    };
    assert_eq!(useless("tcp", "timeout", "adaptive"), Some("timeout"));
    assert_eq!(useless("saw", "timeout", "adaptive"), None);
    assert_eq!(useless("udp", "tcp", "raw"), Some("tcp"));
    assert_eq!(useless("ping", "loss", "5%"), None);
}

#[test]
fn the_messages_of_a_trial_come_in_order_and_end() {
    let size = Some(ByteSize::new(2));
    let trial = Trial { count: Some(3), size, ..Trial::default() };
    assert_eq!(trial.messages().collect::<Vec<_>>(), ["ab", "bc", "cd"]);
}
