//! The ports that the stack publishes: a port of another program is found before the build, not after it.

use std::env;
use std::fs;
use std::net::TcpListener;

use super::{Stack, in_file};
use crate::step::{self, Failure};

/// A port of a service, and the variable that sets it.
#[derive(Debug, PartialEq)]
struct Port<'a> {
    service: &'a str,
    variable: &'a str,
    default: &'a str,
}

/// Fails with all ports of the stack's services that other programs have.
pub(super) fn check(stack: &Stack) -> Result<(), Failure> {
    let compose = fs::read_to_string(step::root().join("compose.yaml"))
        .map_err(|error| Failure::from(format!("compose.yaml: {error}")))?;
    let file = fs::read_to_string(step::root().join(".env")).unwrap_or_default();
    let value = |name: &str, default: &str| {
        let set = env::var(name).ok().filter(|value| !value.is_empty());
        set.unwrap_or_else(|| in_file(&file, name).unwrap_or(default).to_owned())
    };
    let address = value("BIND_ADDRESS", "127.0.0.1");
    let profiles: Vec<&str> = stack.profiles.iter().map(|profile| profile.name()).collect();
    let taken = ports(&compose, &profiles).into_iter().filter_map(|port| {
        let number = value(port.variable, port.default);
        let is_free = TcpListener::bind(format!("{address}:{number}")).is_ok();
        let Port { service, variable, .. } = port;
        (!is_free && !runs(stack, service)).then(|| {
            format!("port {number} of {address}, for {service}, is not free: set {variable} to another one")
        })
    });
    let taken: Vec<String> = taken.collect();
    if taken.is_empty() { Ok(()) } else { Err(taken.join("\n").into()) }
}

/// Whether the stack runs already, with this service.
fn runs(stack: &Stack, service: &str) -> bool {
    step::output(&mut stack.call(&["ps", "-q", service])).is_ok_and(|ids| !ids.trim().is_empty())
}

/// The ports of the services that start with these profiles, as `compose.yaml` names them: `${VARIABLE_PORT:-DEFAULT}`.
fn ports<'a>(compose: &'a str, profiles: &[&str]) -> Vec<Port<'a>> {
    let (mut service, mut starts, mut ports) = ("", true, vec![]);
    for line in compose.lines() {
        let name = line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':'));
        if let Some(name) = name.filter(|name| !name.starts_with([' ', '#'])) {
            (service, starts) = (name, true);
        } else if let Some(list) = line.trim_start().strip_prefix("profiles:") {
            starts = profiles.iter().any(|profile| list.contains(&format!("\"{profile}\"")));
        } else if let Some((variable, default)) = port(line).filter(|_| starts) {
            ports.push(Port { service, variable, default });
        }
    }
    ports
}

fn port(line: &str) -> Option<(&str, &str)> {
    let (before, rest) = line.split_once("_PORT:-")?;
    let start = before.rfind("${")? + 2;
    let end = before.len() + "_PORT".len();
    Some((&line[start..end], rest.split('}').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_the_services_that_start_are_found() {
        let compose = "services:\n  redis:\n    ports: [\"${A:-1}:${REDIS_PORT:-16379}:6379\"]\n  grafana:\n    \
                       profiles: [\"metrics\"]\n    ports: [\"${GRAFANA_PORT:-3000}:3000\"]\n";
        let redis = Port { service: "redis", variable: "REDIS_PORT", default: "16379" };
        assert_eq!(ports(compose, &["demo"]), [redis]);
        assert_eq!(ports(compose, &["demo", "metrics"])[1].variable, "GRAFANA_PORT");
    }

    #[test]
    fn each_published_port_of_the_stack_is_found() {
        let compose = fs::read_to_string(step::root().join("compose.yaml")).unwrap();
        let published = compose.lines().filter(|line| line.contains("_PORT:-")).count();
        assert_eq!(ports(&compose, &["observability", "collector", "metrics", "demo"]).len(), published);
        assert!(published > 5);
    }
}
