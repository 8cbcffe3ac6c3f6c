//! The scenarios of quic-network-simulator, which runs ns-3 between two containers: one line of
//! point-to-point links, and on it what the scenario's name says.
//!
//! The client is at the left and the server at the right, so what goes to the server is up.

#[cfg(test)]
mod tests;
mod units;

use super::command_line::{Known, Options, Style, commands, flag, shortened, value};
use super::draft::{Draft, delay, drop};
use super::quantity::whole;
use crate::profile::netem::Translation;
use jostle_common::chance::Direction;
use jostle_common::setting::{SettingError, one_of};
use jostle_common::units::{BitRate, Span};
use serde_json::json;
use std::time::Duration;

const KNOWN: &[Known] = &[
    value(&["delay"]),
    value(&["bandwidth"]),
    value(&["queue"]),
    value(&["rate_to_client"]),
    value(&["rate_to_server"]),
    value(&["drops_to_client"]),
    value(&["drops_to_server"]),
    value(&["on"]),
    value(&["off"]),
    value(&["repeat"]),
    value(&["direction"]),
    value(&["first-rebind"]),
    value(&["rebind-freq"]),
    flag(&["rebind-addr"]),
    value(&["crossdatarate"]),
];

/// ns-3 reads a value behind `=` alone.
const STYLE: Style =
    Style { tool: "quic-network-simulator", one_dash: true, spaced: false, known: KNOWN };

/// A scenario: its name, the options that it needs besides those of the line, and others.
struct Scenario {
    name: &'static str,
    needs: &'static [&'static str],
    takes: &'static [&'static str],
    write: fn(&Options, Duration, &mut Draft) -> Result<(), SettingError>,
}

const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "simple-p2p", needs: &[], takes: &[], write: |_, _, _| Ok(()) },
    Scenario {
        name: "drop-rate",
        needs: &["rate_to_client", "rate_to_server"],
        takes: &[],
        write: drop_rate,
    },
    Scenario {
        name: "droplist",
        needs: &[],
        takes: &["drops_to_client", "drops_to_server"],
        write: droplist,
    },
    Scenario {
        name: "corrupt-rate",
        needs: &["rate_to_client", "rate_to_server"],
        takes: &[],
        write: corrupt_rate,
    },
    Scenario {
        name: "blackhole",
        needs: &["on", "off"],
        takes: &["repeat", "direction"],
        write: blackhole,
    },
    Scenario {
        name: "rebind",
        needs: &["first-rebind"],
        takes: &["rebind-freq", "rebind-addr"],
        write: rebind,
    },
    Scenario { name: "tcp-cross-traffic", needs: &[], takes: &[], write: tcp_cross_traffic },
    Scenario {
        name: "udp-cross-traffic",
        needs: &["crossdatarate"],
        takes: &[],
        write: udp_cross_traffic,
    },
];

/// Options that every scenario needs.
const OF_THE_LINE: [&str; 3] = ["delay", "bandwidth", "queue"];

/// The bytes of headers on the line that a UDP payload does not count: PPP, IPv4 and UDP.
const OVERHEAD: u32 = 30;

/// ns-3's queue discipline holds what `--queue` says, the device behind it one more.
const DEVICE_PACKETS: u64 = 1;

/// Corruption hits one of so many first bytes of the payload.
const CORRUPTIBLE: u32 = 51;

/// The links from the source of TCP cross traffic to the line, and from it to the sink.
const ACCESS_RATE: &str = "100Mbit/s";
const ACCESS_DELAY: Duration = Duration::from_millis(1);

/// The payload of ns-3's OnOffApplication, and when that of the scenario begins.
const CROSS_PAYLOAD: &str = "512B";
const CROSS_START: &str = "20s";

/// The addresses that flows leave from when those are rebound as well.
const REBIND_ADDRESSES: &str = "127.0.0.0/8";

/// More turns are longer than any phase list.
const REPEATS_MAX: i64 = 4000;

/// Translates a scenario as it is given to the simulator: `drop-rate --delay=15ms …`, with
/// `SCENARIO=` or `run.sh` in front or without.
///
/// ```
/// use jostle_engine::profile::imports::from_quic_sim;
/// let line = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25";
/// assert!(from_quic_sim(line).unwrap().profile.contains(r#""time": "15ms""#));
/// ```
///
/// # Errors
/// When there is no such scenario, or the simulator or jostle would refuse an option; the place is
/// the option.
pub fn from_quic_sim(line: &str) -> Result<Translation, SettingError> {
    let words = scenario_words(line)?;
    let names = SCENARIOS.map(|scenario| scenario.name);
    let Some((first, rest)) = words.split_first() else {
        let problem = format!("no scenario is here; write {}", one_of(&names));
        return Err(SettingError::new("scenario", problem));
    };
    let Some(scenario) = SCENARIOS.iter().find(|scenario| scenario.name == first) else {
        let problem = format!("the simulator has no such scenario; it has {}", one_of(&names));
        return Err(SettingError::new(shortened(first), problem));
    };
    let options = Options::read(rest, STYLE)?;
    if let Some(word) = options.others.first() {
        let problem = "values stand behind =, without a space; write --delay=15ms, say";
        return Err(SettingError::new(shortened(word), problem));
    }
    for known in KNOWN {
        let name = known.spellings[0];
        let belongs = OF_THE_LINE.contains(&name)
            || scenario.needs.contains(&name)
            || scenario.takes.contains(&name);
        if options.has(name) && !belongs {
            let problem = format!("{} has no such option; leave it out", scenario.name);
            return Err(SettingError::new(format!("--{name}"), problem));
        }
    }
    for name in OF_THE_LINE.iter().chain(scenario.needs) {
        if options.get(name).is_none_or(str::is_empty) {
            let problem = format!("{} needs it; write --{name}={}", scenario.name, example(name));
            return Err(SettingError::new(format!("--{name}"), problem));
        }
    }
    let one_way = units::time("--delay", options.get("delay").unwrap_or_default())?;
    let mut draft = Draft::default();
    // What is sent in front of the line comes first.
    let is_cross = scenario.name.ends_with("cross-traffic");
    if is_cross {
        (scenario.write)(&options, one_way, &mut draft)?;
    }
    line_rules(&options, one_way, &mut draft)?;
    if !is_cross {
        (scenario.write)(&options, one_way, &mut draft)?;
    }
    draft.finish("quic-network-simulator", &words.join(" "))
}

/// Returns the words of the scenario, out of what may stand around them.
fn scenario_words(line: &str) -> Result<Vec<String>, SettingError> {
    let mut all = commands(line)?;
    if all.len() > 1 {
        let problem = format!("{} commands are here; translate one at a time", all.len());
        return Err(SettingError::new("scenario", problem));
    }
    let mut words = all.pop().unwrap_or_default();
    if words.first().is_some_and(|word| word == "run.sh" || word.ends_with("/run.sh")) {
        words.remove(0);
    }
    if let Some(first) = words.first_mut()
        && let Some(value) = first.strip_prefix("SCENARIO=")
    {
        *first = value.to_owned();
    }
    // Quotes held it together.
    Ok(words.iter().flat_map(|word| word.split_whitespace()).map(str::to_owned).collect())
}

fn example(name: &str) -> &'static str {
    match name {
        "delay" => "15ms",
        "bandwidth" | "crossdatarate" => "10Mbps",
        "on" => "10s",
        "off" | "first-rebind" => "2s",
        "queue" => "25",
        _ => "10",
    }
}

/// Writes the line itself: a queue, a speed, and a delay, the same both ways.
fn line_rules(options: &Options, one_way: Duration, draft: &mut Draft) -> Result<(), SettingError> {
    let text = options.get("bandwidth").unwrap_or_default();
    let bits = units::rate("--bandwidth", text)?;
    let packets = whole("--queue", options.get("queue").unwrap_or_default())?;
    let Ok(packets) = u64::try_from(packets) else {
        return Err(SettingError::new("--queue", "a queue holds no fewer than 0 packets"));
    };
    let packets = packets.saturating_add(DEVICE_PACKETS);
    let limit = BitRate::new(bits).map(|rate| rate.to_string()).unwrap_or_default();
    draft.both(&json!({
        "rule": "rate", "limit": limit, "queue": format!("{packets} packets"), "overhead": OVERHEAD,
    }));
    draft.both(&delay(one_way));
    draft.remark(format!(
        "ns-3's device holds {DEVICE_PACKETS} packet behind the queue and in front of the line, so \
         {packets} wait here. It counts PPP, IPv4 and UDP headers, {OVERHEAD} bytes more than a \
         payload (50 with IPv6), so \"overhead\" says that."
    ));
    Ok(())
}

/// Reads a whole percentage, as the scenarios do.
fn share(options: &Options, name: &str) -> Result<i64, SettingError> {
    let place = format!("--{name}");
    let percent = whole(&place, options.get(name).unwrap_or_default())?;
    if !(0..=100).contains(&percent) {
        let problem = format!("{percent} is no share of packets; write 0 to 100");
        return Err(SettingError::new(place, problem));
    }
    Ok(percent)
}

/// Both ways, and the option that says something of each.
const TO_SERVER_AND_CLIENT: [(Direction, &str); 2] =
    [(Direction::Up, "server"), (Direction::Down, "client")];

fn drop_rate(options: &Options, _: Duration, draft: &mut Draft) -> Result<(), SettingError> {
    for (direction, end) in TO_SERVER_AND_CLIENT {
        let percent = share(options, &format!("rate_to_{end}"))?;
        if percent > 0 {
            draft.rule(direction, drop(&format!("{percent}%")));
        }
    }
    Ok(())
}

fn corrupt_rate(options: &Options, _: Duration, draft: &mut Draft) -> Result<(), SettingError> {
    for (direction, end) in TO_SERVER_AND_CLIENT {
        let percent = share(options, &format!("rate_to_{end}"))?;
        if percent > 0 {
            draft.rule(
                direction,
                json!({
                    "rule": "corrupt", "chance": format!("{percent}%"), "bytes": 1,
                    "where": { "offset": 0, "length": CORRUPTIBLE },
                }),
            );
        }
    }
    draft.remark(
        "The simulator spares Version Negotiation packets of QUIC; here they are damaged like \
         others.",
    );
    Ok(())
}

fn droplist(options: &Options, _: Duration, draft: &mut Draft) -> Result<(), SettingError> {
    let mut is_any = false;
    for (direction, end) in TO_SERVER_AND_CLIENT {
        let name = format!("drops_to_{end}");
        let Some(list) = options.get(&name) else { continue };
        let place = format!("--{name}");
        let numbers =
            list.split(',').filter(|one| !one.is_empty()).map(|one| match whole(&place, one)? {
                number @ 1.. => Ok(number as u64),
                _ => Err(SettingError::new(&place, "packets are counted from 1; write 1,3,4, say")),
            });
        let mut numbers = numbers.collect::<Result<Vec<u64>, _>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        if !numbers.is_empty() {
            is_any = true;
            draft.rule(direction, json!({ "rule": "drop", "packets": numbers }));
        }
    }
    if is_any {
        draft.remark(
            "The simulator counts the packets that come out of the line; here they are counted as \
             they come to it, so one that the queue drops has a number too.",
        );
    }
    Ok(())
}

fn blackhole(options: &Options, _: Duration, draft: &mut Draft) -> Result<(), SettingError> {
    let time = |name: &str| {
        let place = format!("--{name}");
        let time = units::time(&place, options.get(name).unwrap_or_default())?;
        if time.is_zero() {
            return Err(SettingError::new(place, "a span of no length is none; write 2s, say"));
        }
        Ok(time)
    };
    let (on, off) = (time("on")?, time("off")?);
    let repeat = options.get("repeat").map_or(Ok(1), |text| whole("--repeat", text))?;
    if !(1..=REPEATS_MAX).contains(&repeat) {
        let problem = format!("{repeat} is out of bounds; write 1 to {REPEATS_MAX}");
        return Err(SettingError::new("--repeat", problem));
    }
    let directions: &[Direction] = match options.get("direction") {
        None | Some("both") => &Direction::BOTH,
        Some("toclient") => &[Direction::Down],
        Some("toserver") => &[Direction::Up],
        Some(other) => {
            let problem = format!(
                "\"{}\" is no direction; write both, toclient or toserver",
                shortened(other)
            );
            return Err(SettingError::new("--direction", problem));
        }
    };
    let all = drop("100%");
    for _ in 0..repeat {
        draft.phase(Some(on), None, directions);
        draft.phase(Some(off), Some(&all), directions);
    }
    draft.phase(None, None, directions);
    counts_from_the_first_packet(draft);
    Ok(())
}

fn counts_from_the_first_packet(draft: &mut Draft) {
    draft.remark(
        "The simulator counts time from its own start, which is before the client's; here it \
         counts from the first packet. \"start\": \"run\" counts from jostle's start.",
    );
}

fn tcp_cross_traffic(
    _: &Options,
    one_way: Duration,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    // From the source to the line, from the line to the sink; and all the way back.
    let back = one_way + 4 * ACCESS_DELAY;
    draft.rule(
        Direction::Down,
        json!({
            "rule": "cross", "tcp": 1, "model": "reno", "return": Span(back).to_string(),
            "access": ACCESS_RATE,
        }),
    );
    draft.remark(format!(
        "The stream is jostle's modelled TCP with Reno, SACK and Linux's timers, not ns-3's. Its \
         acknowledgements take {}, the line and both links at its ends, but wait in no queue and \
         are never lost. Its segments count their IP and TCP headers already, so the \"overhead\" \
         makes them 28 bytes too large.",
        Span(back)
    ));
    counts_from_the_first_packet(draft);
    Ok(())
}

fn udp_cross_traffic(
    options: &Options,
    _: Duration,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    let text = options.get("crossdatarate").unwrap_or_default();
    let bits = units::rate("--crossdatarate", text)?;
    let rate = BitRate::new(bits).map(|rate| rate.to_string()).unwrap_or_default();
    draft.rule(
        Direction::Down,
        json!({ "rule": "cross", "rate": rate, "size": CROSS_PAYLOAD, "start": CROSS_START }),
    );
    draft.remark(
        "As in ns-3 the cross traffic's rate is that of its payloads of 512 bytes, and it begins \
         after 20 s.",
    );
    counts_from_the_first_packet(draft);
    Ok(())
}

fn rebind(options: &Options, _: Duration, draft: &mut Draft) -> Result<(), SettingError> {
    let time = |name: &str| {
        let text = options.get(name).unwrap_or_default();
        units::time(&format!("--{name}"), text).map(|time| Span(time).to_string())
    };
    let mut rule = json!({ "rule": "rebind", "first": time("first-rebind")? });
    // None at all is once, and so is 0.
    if options.has("rebind-freq") && time("rebind-freq")? != Span(Duration::ZERO).to_string() {
        rule["every"] = time("rebind-freq")?.into();
    }
    match options.get("rebind-addr") {
        None | Some("0" | "f" | "false") => {}
        Some("" | "1" | "t" | "true") => {
            rule["addresses"] = REBIND_ADDRESSES.into();
            draft.remark(format!(
                "The simulator draws another address of the client's network; here each is drawn \
                 from {REBIND_ADDRESSES}, which on Linux is all loopback. For a server elsewhere \
                 write addresses that the machine has."
            ));
        }
        Some(other) => {
            let problem = format!("\"{}\" is neither true nor false", shortened(other));
            return Err(SettingError::new("--rebind-addr", problem));
        }
    }
    draft.rule(Direction::Up, rule);
    draft.remark(
        "The simulator rebinds all flows at once, by its own time; here each flow has its own, \
         from its first packet.",
    );
    Ok(())
}
