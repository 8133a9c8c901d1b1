//! The ports that the stack publishes: one that another program has is named before anything is built.

use std::fs;
use std::net::TcpListener;

use super::{Stack, UserSettings};
use crate::sources::expression;
use crate::step::{self, Result};

/// Fails with all ports of the stack's services that other programs have.
pub(super) fn check(stack: &Stack) -> Result {
    let compose = fs::read_to_string(step::root().join("compose.yaml"))
        .map_err(|error| format!("compose.yaml: {error}"))?;
    let user = UserSettings::read();
    let value = |name: &str, default: &str| user.get(name).unwrap_or_else(|| default.to_owned());
    let address = value("BIND_ADDRESS", "127.0.0.1");
    let profiles: Vec<_> = stack.profile_names().collect();
    let is_ours = |service| {
        step::output(&mut stack.call(&["ps", "-q", service])).is_ok_and(|ids| !ids.trim().is_empty())
    };
    let taken = published(&compose, &profiles).into_iter().filter_map(|(service, variable, default)| {
        let port = value(variable, default);
        let is_taken = TcpListener::bind(format!("{address}:{port}")).is_err() && !is_ours(service);
        is_taken.then(|| {
            format!("port {port} of {address} is taken, {service} needs it: set {variable} to another one")
        })
    });
    let taken = taken.collect::<Vec<_>>().join("\n");
    if taken.is_empty() { Ok(()) } else { Err(taken) }
}

/// The service, the variable and the default of each port that starts with these profiles.
fn published<'a>(compose: &'a str, profiles: &[String]) -> Vec<(&'a str, &'a str, &'a str)> {
    let parts = expression(r"(?m)^  ([\w-]+):$|^    profiles: (.*)$|\$\{(\w+_PORT):-(\d+)\}");
    let (mut service, mut starts, mut ports) = ("", true, Vec::new());
    for part in parts.captures_iter(compose) {
        let group = |number| part.get(number).map(|group| group.as_str());
        if let Some(name) = group(1) {
            (service, starts) = (name, true);
        } else if let Some(list) = group(2) {
            starts = profiles.iter().any(|profile| list.contains(&format!("\"{profile}\"")));
        } else if let (Some(variable), Some(default), true) = (group(3), group(4), starts) {
            ports.push((service, variable, default));
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_the_services_that_start_are_found() {
        let compose = fs::read_to_string(step::root().join("compose.yaml")).unwrap();
        let of = |profiles: &[&str]| {
            published(&compose, &profiles.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), [("redis", "REDIS_PORT", "16379")]);
        assert_eq!(
            of(&["metrics"])[1..],
            [("prometheus", "PROMETHEUS_PORT", "9090"), ("grafana", "GRAFANA_PORT", "3000")]
        );
        let all = ["observability", "collector", "metrics", "console", "demo"];
        assert_eq!(of(&all).len(), compose.matches("_PORT:-").count());
    }
}
