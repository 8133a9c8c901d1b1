//! Each row of the table of variables.

mod endpoint;

use super::*;

/// With telemetry on, since else nothing but the switch is warned of.
fn config(variables: &[(&str, &str)]) -> Config {
    read(&[&[("OTEL_ENABLED", "true")], variables].concat())
}

fn read(variables: &[(&str, &str)]) -> Config {
    Config::from_lookup(|name| {
        variables.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

/// What was read, where that gave no warning.
fn quiet(variables: &[(&str, &str)]) -> Config {
    let config = config(variables);
    assert_eq!(config.warnings, [""; 0], "{variables:?}");
    config
}

/// What was read, where that gave one warning, which names the variable and not its value.
fn warned(name: &str, value: &str) -> Config {
    let config = config(&[(name, value)]);
    let [warning] = config.warnings.as_slice() else {
        panic!("{name}={value}: not one warning: {:?}", config.warnings)
    };
    assert!(warning.contains(name), "{warning}");
    config
}

#[test]
fn telemetry_is_off_unless_asked_for() {
    assert!(!read(&[]).enabled);
    assert!(!read(&[("OTEL_ENABLED", "")]).enabled);
    for yes in ["true", "TRUE", "1", "yes", "On"] {
        assert!(read(&[("OTEL_ENABLED", yes)]).enabled, "{yes}");
    }
    for no in ["false", "0", "no", "OFF"] {
        assert!(!read(&[("OTEL_ENABLED", no)]).enabled, "{no}");
    }
}

#[test]
fn the_switch_of_the_specification_wins_and_only_true_is_true() {
    assert!(!quiet(&[("OTEL_SDK_DISABLED", "True")]).enabled);
    assert!(quiet(&[("OTEL_SDK_DISABLED", "false")]).enabled);
    assert!(warned("OTEL_SDK_DISABLED", "1").enabled);
}

#[test]
fn an_unclear_switch_is_off_and_reported_once() {
    let config = read(&[("OTEL_ENABLED", "maybe"), ("OTEL_BSP_MAX_QUEUE_SIZE", "none")]);
    assert!(!config.enabled);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].starts_with("OTEL_ENABLED"));
}

#[test]
fn a_receiver_without_the_switch_causes_a_hint_how_to_turn_it_on() {
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_METRICS_EXPORTER"] {
        let config = read(&[(name, "http://collector:4317")]);
        assert_eq!(config.warnings.len(), 1, "{name}");
        assert!(config.warnings[0].starts_with(name) && config.warnings[0].contains("OTEL_ENABLED=true"));
    }
    assert!(read(&[("OTEL_TRACES_EXPORTER", "none")]).warnings.is_empty());
    assert!(
        read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"), ("OTEL_ENABLED", "false")]).warnings.is_empty()
    );
}

#[test]
fn resource_attributes_are_percent_decoded_and_the_service_name_has_its_own_place() {
    let config = config(&[("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb, service.name=mailer ,bad,x=%zz")]);
    assert_eq!(config.service_name, "mailer");
    assert_eq!(config.resource, [("team".to_owned(), "a,b".to_owned()), ("x".to_owned(), "%zz".to_owned())]);
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(quiet(&[("OTEL_SERVICE_NAME", "a")]).service_name, "a");
}

#[test]
fn propagators_are_the_three_that_are_known() {
    let of = |list: &str| quiet(&[("OTEL_PROPAGATORS", list)]).propagators;
    assert_eq!(quiet(&[]).propagators, Propagators::ALL);
    assert_eq!(of("TraceContext, baggage"), Propagators::ALL);
    assert_eq!(of("tracecontext"), Propagators::TRACE_CONTEXT);
    assert_eq!(of("baggage"), Propagators { trace_context: false, baggage: true });
    assert_eq!(of("none"), Propagators::NONE);
    assert_eq!(warned("OTEL_PROPAGATORS", "b3,tracecontext").propagators, Propagators::TRACE_CONTEXT);
    assert_eq!(warned("OTEL_PROPAGATORS", "b3,b3multi").propagators, Propagators::ALL);
    let off = read(&[("OTEL_PROPAGATORS", "xray,baggage")]);
    assert_eq!((off.warnings.len(), off.propagators.trace_context), (1, false), "also with telemetry off");
}

#[test]
fn samplers_are_read_in_any_case_and_nonsense_is_warned_of() {
    let of = |name: &str, arg: &str| {
        quiet(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)]).sampler
    };
    let sampler = |parent_based, root| Sampler { parent_based, root };
    assert_eq!(quiet(&[]).sampler, sampler(true, Root::AlwaysOn));
    assert_eq!(of("ALWAYS_ON", ""), sampler(false, Root::AlwaysOn));
    assert_eq!(of("always_off", ""), sampler(false, Root::AlwaysOff));
    assert_eq!(of("TraceIdRatio", "0.25"), sampler(false, Root::Ratio(0.25)));
    assert_eq!(of("traceidratio", ""), sampler(false, Root::Ratio(1.0)));
    assert_eq!(of("parentbased_always_off", ""), sampler(true, Root::AlwaysOff));
    assert_eq!(of("parentbased_traceidratio", "1"), sampler(true, Root::Ratio(1.0)));
    assert_eq!(warned("OTEL_TRACES_SAMPLER", "jaeger_remote").sampler, sampler(true, Root::AlwaysOn));
    assert_eq!(warned("OTEL_TRACES_SAMPLER", "sometimes").sampler, sampler(true, Root::AlwaysOn));
    warned("OTEL_TRACES_SAMPLER_ARG", "0.5");
    for wrong in ["2", "-1", "half", "NaN"] {
        let config = config(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", wrong)]);
        assert_eq!(config.sampler.root, Root::Ratio(1.0), "{wrong}");
        assert_eq!(config.warnings.len(), 1, "{wrong}");
    }
}

#[test]
fn the_queues_are_bounded_and_a_batch_is_no_larger_than_its_queue() {
    let config = quiet(&[]);
    assert_eq!(config.span_queue, Queue { capacity: 14_336, batch: 512, delay: Duration::from_secs(5) });
    assert_eq!(config.log_queue, Queue { capacity: 2048, batch: 512, delay: Duration::from_secs(1) });
    let given = |processor: &str| {
        let [size, batch, delay] = ["MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE", "SCHEDULE_DELAY"]
            .map(|what| format!("OTEL_{processor}_{what}"));
        quiet(&[(&size, "100"), (&batch, "10"), (&delay, "50")])
    };
    let expected = Queue { capacity: 100, batch: 10, delay: Duration::from_millis(50) };
    assert_eq!(given("BSP").span_queue, expected);
    assert_eq!(given("BLRP").log_queue, expected);
    for wrong in ["0", "-1", "many", "1.5", "100000000"] {
        assert_eq!(warned("OTEL_BSP_MAX_QUEUE_SIZE", wrong).span_queue.capacity, 14_336, "{wrong}");
        assert_eq!(warned("OTEL_BSP_SCHEDULE_DELAY", wrong).span_queue.delay, Duration::from_secs(5));
        assert_eq!(warned("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", wrong).log_queue.batch, 512, "{wrong}");
    }
    assert_eq!(warned("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "20000").span_queue.batch, 14_336);
    assert_eq!(quiet(&[("OTEL_BSP_MAX_QUEUE_SIZE", "64")]).span_queue.batch, 64, "without a word");
}

#[test]
fn an_export_may_take_as_long_as_the_shorter_of_its_two_timeouts() {
    let config = quiet(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "4000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "20000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "3000"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "15000"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "2000"),
    ]);
    let seconds = [&config.traces, &config.logs, &config.metrics].map(|signal| signal.timeout.as_secs());
    assert_eq!(seconds, [3, 15, 2]);
    assert_eq!(quiet(&[]).traces.timeout, Duration::from_secs(10));
}

#[test]
fn a_timeout_in_seconds_is_warned_of() {
    let config = warned("OTEL_EXPORTER_OTLP_TIMEOUT", "10");
    assert_eq!(config.traces.timeout, Duration::from_millis(10));
    assert!(config.warnings[0].contains("milliseconds"), "{:?}", config.warnings);
    warned("OTEL_EXPORTER_OTLP_TIMEOUT", "0");
    warned("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s");
}

#[test]
fn metrics_are_sent_as_often_as_asked() {
    let interval = |value| quiet(&[("OTEL_METRIC_EXPORT_INTERVAL", value)]).metric_interval;
    assert_eq!(interval(""), Duration::from_secs(60));
    assert_eq!(interval("200"), Duration::from_millis(200));
    assert_eq!(warned("OTEL_METRIC_EXPORT_INTERVAL", "0").metric_interval, Duration::from_secs(60));
}

#[test]
fn exporters_are_otlp_and_none_and_for_metrics_prometheus() {
    let config = quiet(&[]);
    let kinds = [config.traces.exporter, config.metrics.exporter, config.logs.exporter];
    assert_eq!(kinds, [Exporter::Otlp, Exporter::Otlp, Exporter::None]);
    assert_eq!(quiet(&[("OTEL_TRACES_EXPORTER", "None")]).traces.exporter, Exporter::None);
    assert_eq!(quiet(&[("OTEL_LOGS_EXPORTER", "OTLP")]).logs.exporter, Exporter::Otlp);
    let of = |value: &str| {
        let config = quiet(&[("OTEL_METRICS_EXPORTER", value)]);
        (config.prometheus, config.metrics.exporter)
    };
    assert_eq!(of("otlp"), (false, Exporter::Otlp));
    assert_eq!(of("Prometheus"), (true, Exporter::None));
    assert_eq!(of("otlp, prometheus"), (true, Exporter::Otlp));
    assert_eq!(of("none"), (false, Exporter::None));
    for wrong in ["console", "zipkin", "prometheus", "logging"] {
        assert_eq!(warned("OTEL_TRACES_EXPORTER", wrong).traces.exporter, Exporter::Otlp);
        assert_eq!(warned("OTEL_LOGS_EXPORTER", wrong).logs.exporter, Exporter::None);
    }
    let statsd = warned("OTEL_METRICS_EXPORTER", "statsd,prometheus");
    assert_eq!((statsd.metrics.exporter, statsd.prometheus), (Exporter::Otlp, false));
}

#[test]
fn temporality_is_read_in_any_case() {
    let of = |value| quiet(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", value)]).temporality;
    assert_eq!(of(""), Temporality::Cumulative);
    assert_eq!(of("Delta"), Temporality::Delta);
    assert_eq!(of("LOWMEMORY"), Temporality::LowMemory);
    let wrong = warned("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes");
    assert_eq!(wrong.temporality, Temporality::Cumulative);
}

#[test]
fn limits_have_one_for_all_and_one_for_each() {
    let none = quiet(&[]).limits;
    assert_eq!((none.attributes, none.events, none.links, none.value_length), (128, 128, 128, None));
    let all = quiet(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "20"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "2"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "3"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "4"),
    ])
    .limits;
    assert_eq!((all.attributes, all.log_attributes), (10, 10));
    assert_eq!((all.value_length, all.log_value_length), (Some(20), Some(20)));
    assert_eq!((all.events, all.links, all.event_attributes, all.link_attributes), (1, 2, 3, 4));
    let each = quiet(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "6"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8"),
    ])
    .limits;
    assert_eq!((each.attributes, each.log_attributes), (5, 6));
    assert_eq!((each.value_length, each.log_value_length), (Some(7), Some(8)));
    assert_eq!(warned("OTEL_SPAN_LINK_COUNT_LIMIT", "-1").limits.links, 128);
}

#[test]
fn the_level_of_the_sdks_own_log_is_none_unless_asked_for() {
    assert_eq!(quiet(&[]).sdk_log, None);
    assert_eq!(quiet(&[("OTEL_LOG_LEVEL", "DEBUG")]).sdk_log, Some("debug"));
    assert_eq!(quiet(&[("OTEL_LOG_LEVEL", "none")]).sdk_log, None);
    assert_eq!(warned("OTEL_LOG_LEVEL", "loud").sdk_log, None);
}

#[test]
fn what_is_not_supported_is_reported() {
    for name in ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"] {
        warned(name, "/etc/otel.yaml");
    }
    warned("OTEL_METRICS_EXEMPLAR_FILTER", "trace_based");
    quiet(&[("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")]);
    let aggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    warned(aggregation, "base2_exponential_bucket_histogram");
    quiet(&[(aggregation, "explicit_bucket_histogram")]);
    let port = ("OTEL_EXPORTER_PROMETHEUS_PORT", "9464");
    quiet(&[port]);
    assert_eq!(config(&[port, ("OTEL_METRICS_EXPORTER", "prometheus")]).warnings.len(), 1);
}
