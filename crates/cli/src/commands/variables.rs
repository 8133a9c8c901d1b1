//! Variables of the environment that begin with our prefix and have no effect. Pure, except for [`unknown`].

use clap::CommandFactory;
use postrider_queue::job::meant;
use postrider_queue::names::VARIABLE_PREFIX;

/// Variables that are no argument's.
const OTHERS: [&str; 4] = [
    "POSTRIDER_TRACE_INTERNALS",
    "POSTRIDER_HTTP_EXCLUDED_URLS",
    "POSTRIDER_HTTP_ACTIVE_REQUESTS",
    "POSTRIDER_HTTP_CONNECTION_METRICS",
];
/// Kubernetes sets variables with these beginnings for a service named `postrider`.
const KUBERNETES: [&str; 2] = ["POSTRIDER_SERVICE_", "POSTRIDER_PORT"];

/// A sentence about each variable of this process that has no effect.
pub(super) fn unknown() -> Vec<String> {
    let set: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    among(&set, &known(&super::Cli::command()))
}

fn known(command: &clap::Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()));
    own.chain(command.get_subcommands().flat_map(known)).chain(OTHERS.map(str::to_owned)).collect()
}

fn among(set: &[String], known: &[String]) -> Vec<String> {
    let is_unknown = |name: &&String| {
        name.starts_with(VARIABLE_PREFIX)
            && !known.contains(name)
            && !KUBERNETES.iter().any(|start| name.starts_with(start))
    };
    let mut unknown: Vec<_> = set.iter().filter(is_unknown).collect();
    unknown.sort_unstable();
    let warnings = unknown.into_iter().map(|name| {
        let known = known.iter().map(|known| known.trim_start_matches(VARIABLE_PREFIX));
        let lower: Vec<String> = known.map(str::to_ascii_lowercase).collect();
        let meant = meant(name.trim_start_matches(VARIABLE_PREFIX), lower.iter().map(String::as_str));
        let hint =
            meant.map(|meant| format!("; did you mean {VARIABLE_PREFIX}{}?", meant.to_ascii_uppercase()));
        format!("the variable {name} is not known, and has no effect{}", hint.unwrap_or_default())
    });
    warnings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_with_what_it_means() {
        let known = known(&super::super::Cli::command());
        assert!(known.iter().any(|name| name == "POSTRIDER_CONCURRENCY"));
        let among =
            |names: &[&str]| among(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &known);
        let warnings = among(&["POSTRIDER_CONCURENCY", "POSTRIDER_COLOUR", "PATH"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("the variable POSTRIDER_COLOUR is not known"), "{warnings:?}");
        assert!(warnings[1].ends_with("did you mean POSTRIDER_CONCURRENCY?"), "{warnings:?}");
        let usual = [
            "POSTRIDER_LOG",
            "POSTRIDER_TRACE_INTERNALS",
            "POSTRIDER_SERVICE_HOST",
            "POSTRIDER_PORT_9090_TCP",
        ];
        assert!(among(&usual).is_empty());
    }
}
