//! Configuration files, and the errors in them.

use http::HeaderName;
use postrider_queue::job::Rate;
use postrider_queue::work::Receives;
use postrider_worker::settings::{Retries, UnknownFields};

use super::*;

fn problems(text: &str) -> Vec<String> {
    let problems = Config::parse(text).expect_err("it must be refused");
    problems.found.iter().map(|(line, text)| format!("{line}: {text}")).collect()
}

#[test]
fn a_whole_file_is_read() {
    let config = Config::parse(
        "[queues.default]\nweight = 4\n[queues.bulk]\nunknown_fields = \"refuse\"\n\
         [retry.default]\nbase = \"2s\"\nmax_age = \"1d\"\n[retry.gentle]\nwaits = [\"5s\", \"1m\"]\n",
    )
    .unwrap();
    let queues: Vec<_> = config.queues.iter().map(|queue| (queue.name.to_string(), queue.weight)).collect();
    assert_eq!(queues, [("bulk".to_owned(), 1), ("default".to_owned(), 4)]);
    let rules: Vec<_> = config.queues.iter().map(|queue| queue.unknown_fields).collect();
    assert_eq!(rules, [UnknownFields::Refuse, UnknownFields::Warn]);
    let default = config.default_retry.unwrap();
    assert_eq!(default.max_age, Some(Duration::from_secs(86400)));
    assert_eq!(default.delay(1, 1.0), Duration::from_secs(2));
    assert_eq!(config.retry.named["gentle"].max_attempts, 3);
}

#[test]
fn all_errors_are_reported_at_once_with_their_lines() {
    let found = problems(
        "colour = 1\n[queues.\"a b\"]\n[queues.x]\nweight = 0\nwieght = 1\n[retry.a]\nbase = 5\nmax_attempts = \"x\"\n",
    );
    assert_eq!(found.len(), 6, "{found:?}");
    let lines: Vec<_> = found.iter().map(|text| &text[..1]).collect();
    assert_eq!(lines, ["1", "2", "4", "5", "7", "8"], "{found:?}");
    assert!(
        found[0].contains(
            "known are egress, flows, http, notice, propagation, queues, results, retry, secrets, trace_url, traces"
        ),
        "{found:?}"
    );
    assert!(
        found[3].ends_with(
            "`wieght` is not known here (did you mean `weight`?); known are keep, on_dead, unknown_fields, weight"
        ),
        "{found:?}"
    );
}

#[test]
fn a_syntax_error_is_reported_with_its_line() {
    let found = problems("[queues.x]\nweight = = 1\n");
    assert!(found.iter().all(|text| text.starts_with("2: ")), "{found:?}");
}

#[test]
fn the_egress_rules_are_read() {
    let config = Config::parse(
        "[egress]\nallow = [\"10.0.0.0/8\", \"hooks.internal:8080\"]\ndeny = [\"*:25\"]\n\
         only = [\"*.example.org\"]\nports = [443, 8443]\nschemes = [\"https\"]\n",
    )
    .unwrap();
    let Egress { allow, deny, only, ports, schemes } = config.egress;
    let written = |rules: Vec<postrider_worker::settings::Rule>| {
        rules.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(written(allow), ["10.0.0.0/8", "hooks.internal:8080"]);
    assert_eq!((written(deny), written(only)), (vec!["*:25".to_owned()], vec!["*.example.org".to_owned()]));
    assert_eq!((ports, schemes), (vec![443, 8443], vec!["https".to_owned()]));
}

#[test]
fn every_wrong_egress_rule_is_reported_with_its_line() {
    let found = problems(
        "[egress]\nallow = [\n  \"10.0.0.0/99\",\n  3,\n]\ndeny = \"*\"\nports = [443, 0, \"x\"]\n\
         schemes = [\"ftp\"]\nonly = []\ndeny_ports = [1]\n",
    );
    let lines: Vec<_> = found.iter().map(|text| text.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["3", "4", "6", "7", "7", "8", "9", "10"], "{found:#?}");
    assert!(found[0].contains("`allow`: `10.0.0.0/99` is not a rule"), "{found:#?}");
    assert!(found[6].contains("leave it out"), "{found:#?}");
    assert!(problems("egress = 1\n")[0].contains("must be a table, as in [egress]"));
}

#[test]
fn the_recipients_of_context_are_a_word_or_a_list_and_every_wrong_host_is_reported() {
    let read = |text: &str| Config::parse(&format!("[propagation]\n{text}\n")).unwrap().propagation;
    let hosts = |text: &str| text.parse::<hyper_otel::Recipients>().unwrap();
    assert_eq!(read("traces_to = \"none\"").traces, hosts("none"));
    assert_eq!(read("baggage_to = [\"*.a.test\"]").baggage, ["*.a.test".parse().unwrap()]);
    assert_eq!(read("traces_to = [\"a.test\", \"b.test:1\"]").traces, hosts("a.test,b.test:1"));
    assert_eq!(read("").traces, hosts("all"));
    let found = problems(
        "[propagation]\ntraces_to = [\n  \"http://a.test\",\n  1,\n]\nbaggage_to = \"all\"\nto = 1\n",
    );
    let lines: Vec<_> = found.iter().map(|text| &text[..1]).collect();
    assert_eq!(lines, ["3", "4", "6", "7"], "{found:#?}");
    assert!(found[0].contains("`traces_to`: `http://a.test` is no host"), "{found:#?}");
}

#[test]
fn how_further_attempts_are_traced_is_a_word_and_a_wrong_one_is_reported() {
    let read = |text: &str| Config::parse(&format!("[traces]\n{text}\n")).unwrap().traces.retries;
    assert_eq!(read("retries = \"parent\""), Some(Retries::Parent));
    assert_eq!(read("retries = \"link\""), Some(Retries::Link));
    assert_eq!(read("retries = \"none\""), Some(Retries::None));
    assert_eq!(read(""), None, "the file does not set the default");
    for wrong in ["retries = \"child\"", "retries = 1", "retrys = \"link\""] {
        let found = problems(&format!("[traces]\n\n{wrong}\n"));
        assert!(found.len() == 1 && found[0].starts_with("3: ") && found[0].contains("retr"), "{found:?}");
    }
    assert!(problems("[traces]\nretries = \"child\"\n")[0].contains("parent"));
}

#[test]
fn which_reads_and_whether_commands_are_traced_is_read_and_a_wrong_word_is_reported() {
    let read = |text: &str| Config::parse(&format!("[traces]\n{text}\n")).unwrap().traces;
    let traces = read("receive = \"always\"\nredis = true");
    assert_eq!((traces.receive, traces.redis), (Some(Receives::Always), Some(true)));
    let traces = read("receive = \"sampled\"\nredis = false");
    assert_eq!((traces.receive, traces.redis), (Some(Receives::Sampled), Some(false)));
    assert_eq!(read(""), Traces::default());
    for (wrong, part) in [("receive = true", "receive"), ("redis = \"yes\"", "`redis` must be true or false")]
    {
        let found = problems(&format!("[traces]\n\n{wrong}\n"));
        assert!(found.len() == 1 && found[0].starts_with("3: ") && found[0].contains(part), "{found:?}");
    }
    assert!(problems("[traces]\nreceive = \"never\"\n")[0].contains("sampled or always"));
}

#[test]
fn what_is_set_of_http_is_read_and_a_password_in_it_is_never_shown() {
    let text = "[http]\ntls_timeout = \"2s\"\nmin_tls = \"1.3\"\nno_proxy = [\"a.test\"]\n\
                proxy = \"http://me:hunter2@p:1\"\nca_files = [\"/ca.pem\"]\nmax_response_body = 1000\n";
    let http = Config::parse(text).unwrap().http;
    assert_eq!((http.tls_timeout, http.max_response_body), (Duration::from_secs(2), 1000));
    assert_eq!((http.min_tls, http.no_proxy.len()), (postrider_worker::settings::TlsVersion::V1_3, 1));
    assert!(http.proxy.is_some() && http.headers_timeout.is_none());
    let found = problems(
        "[http]\nproxy = \"me:hunter2@p\"\nmin_tls = \"1.1\"\nbody_timeout = \"0s\"\nca_files = [1]\nx = 1\n",
    );
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(!found.concat().contains("hunter2"), "{found:?}");
}

#[test]
fn a_policy_has_a_list_or_a_backoff() {
    assert!(problems("[retry.x]\nwaits = [\"1s\"]\nbase = \"1s\"\n")[0].contains("one or the other"));
    assert!(problems("[retry.x]\nwaits = [\"1x\", 3]\n").len() == 2);
    assert!(problems("[retry.x]\nwaits = []\n")[0].contains("empty"));
}

#[test]
fn a_policy_has_its_own_view_of_statuses() {
    let config = Config::parse(
        "[retry.x]\nretry_statuses = [\"409\", \"3xx\"]\nfinal_statuses = [\"501\"]\nretry_after_cap = \"5m\"\n",
    )
    .unwrap();
    let policy = &config.retry.named["x"];
    assert_eq!(policy.statuses.class(302, false), postrider_worker::settings::StatusClass::Passing);
    assert_eq!(policy.retry_after_cap, Duration::from_secs(300));
    assert!(problems("[retry.x]\nretry_statuses = [\"200\", 409, \"5x\"]\n").len() == 3);
    assert!(
        problems("[retry.x]\nretry_statuses = [\"5xx\"]\nfinal_statuses = [\"501\"]\n")[0]
            .contains("one or the other")
    );
}

#[test]
fn the_kept_part_of_responses_can_be_set() {
    let config = Config::parse("[results]\nheaders = [\"X-Id\"]\nmax_body = 10\n").unwrap();
    assert_eq!(config.results.headers, [HeaderName::from_static("x-id")]);
    assert_eq!(config.results.max_body, 10);
    assert!(problems("[results]\nheaders = [\"Set-Cookie\"]\n")[0].contains("set-cookie"));
    assert_eq!(problems("[results]\nheaders = [\"a b\"]\nmax_body = 65537\nx = 1\n").len(), 3);
    assert_eq!(problems("results = 1\n").len(), 1);
}

#[test]
fn a_flow_has_limits() {
    let config = Config::parse(
        "[flows.default]\nbreaker_failures = 0\n[flows.\"h:80\"]\nconcurrency = 2\nrate = \"90/m\"\n",
    )
    .unwrap();
    assert_eq!(config.flows.default.breaker.failures, 0);
    let limits = config.flows.get(FlowId::of("h:80"));
    assert_eq!(limits.concurrency, Some(2));
    assert_eq!(limits.rate, Some(Rate { per_second: 1.5, burst: 2 }));
    assert_eq!(config.flows.get(FlowId::of("other")), &config.flows.default);
    let named = Config::parse("[flows.\"H.example:80\"]\nconcurrency = 3\n").unwrap();
    for name in ["H.example:80", "h.example:80"] {
        assert_eq!(named.flows.get(FlowId::of(name)).concurrency, Some(3), "{name}");
    }
    assert_eq!(named.notes.len(), 0);
    for (name, part) in [("api.example.org", "api.example.org:443"), ("http://h.test:81/x", "h.test:81")] {
        let notes = Config::parse(&format!("[flows.{name:?}]\nconcurrency = 3\n")).unwrap().notes;
        assert!(notes.len() == 1 && notes[0].contains(&format!("[flows.{part:?}]")), "{notes:?}");
    }
    assert_eq!(Config::parse("[flows.orders]\nconcurrency = 3\n").unwrap().notes.len(), 0);
    for wrong in ["rate = \"5\"", "rate = \"0/s\"", "rate = \"5/d\"", "burst = 5", "concurrency = 0"] {
        assert_eq!(problems(&format!("[flows.x]\n{wrong}\n")).len(), 1, "{wrong}");
    }
}

#[test]
fn a_queue_may_carry_its_weight() {
    let queue: WeightedQueue = "bulk:3".parse().unwrap();
    assert_eq!((queue.name.to_string().as_str(), queue.weight), ("bulk", 3));
    for wrong in ["bulk:", "bulk:0", "bulk:1001", "bu lk", ":1"] {
        assert!(wrong.parse::<WeightedQueue>().is_err(), "{wrong}");
    }
}

#[test]
fn a_key_in_a_wrong_table_is_reported_with_the_right_one() {
    for (text, hint) in [
        ("[queue.default]\n", "`queue` is not known here (did you mean `queues`?)"),
        ("[queues.x]\nmax_attempts = 3\n", "`max_attempts` is not known here (it belongs to [retry.NAME])"),
        ("concurrency = 3\n", "`concurrency` is not known here (it belongs to [flows.NAME])"),
        ("[egress]\ntraces_to = \"all\"\n", "`traces_to` is not known here (it belongs to [propagation])"),
        (
            "[http]\nconect_timeout = \"1s\"\n",
            "`conect_timeout` is not known here (did you mean `connect_timeout`?)",
        ),
        ("[secrets.x]\nbearer = { fille = \"/x\" }\n", "`fille` is not known here (did you mean `file`?)"),
    ] {
        assert!(problems(text).iter().any(|found| found.contains(hint)), "{:?}", problems(text));
    }
}

#[test]
fn the_delivery_log_is_off_unless_a_time_is_set() {
    let log = |text: &str| Config::parse(text).unwrap().log;
    assert_eq!(log(""), LogBounds { age_ms: 0, jobs: 1_000_000, bytes: 256 << 20 });
    let set = "[results]\nkeep = \"1d\"\nkeep_jobs = 5\nkeep_bytes = 1000\n";
    assert_eq!(log(set), LogBounds { age_ms: 86_400_000, jobs: 5, bytes: 1000 });
    let queues = Config::parse("[queues.a]\nkeep = \"0s\"\n[queues.b]\n").unwrap().queues;
    assert_eq!(queues.iter().map(|queue| queue.keep).collect::<Vec<_>>(), [Some(Duration::ZERO), None]);
    assert_eq!(problems("[results]\nkeep = 1\nkeep_jobs = 0\n").len(), 2);
}

#[test]
fn the_address_of_traces_is_above_the_first_table() {
    assert!(Config::parse("trace_url = \"http://t/{trace_id}\"\n[queues.x]\n").is_ok());
    let found = problems("trace_url = \"http://t/\"\n[queues.x]\ntrace_url = \"http://t/{trace_id}\"\n");
    assert!(found[0].starts_with("1: `trace_url`: write an address with {trace_id}"), "{found:?}");
    assert!(
        found[1].starts_with("3: `trace_url` is not known here (it belongs above the first table)"),
        "{found:?}"
    );
}
