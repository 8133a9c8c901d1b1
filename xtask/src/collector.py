"""Checks which spans docker/collector/config.yaml exports, and that it exports each once.

This does not need the Collector. It simulates the two processors that decide, as their documentation describes them
(tailsamplingprocessor and filterprocessor of Contrib, 0.156).
"""

import re
from dataclasses import dataclass

import yaml

FILE = "docker/collector/config.yaml"
PASS_ON = {"memory_limiter", "redaction", "batch"}
CONDITIONS = {
    "span.status.code == STATUS_CODE_ERROR": lambda span: span.failed,
    "span.status.code != STATUS_CODE_ERROR": lambda span: not span.failed,
}


@dataclass(frozen=True)
class Span:
    """A span of a trace; times in seconds."""

    name: str
    trace: str
    end: float
    seconds: float = 0.01
    failed: bool = False
    type: str = ""
    resends: int = 0


def matches(policy, spans):
    """Whether a policy of the sampler keeps a trace."""
    kind, options = policy["type"], policy.get(policy["type"])
    if kind == "and":
        return all(matches(part, spans) for part in options["and_sub_policy"])
    if kind == "status_code":
        return options["status_codes"] == ["ERROR"] and any(span.failed for span in spans)
    if kind == "latency":
        whole = max(span.end for span in spans) - min(span.end - span.seconds for span in spans)
        return whole * 1000 >= float(options["threshold_ms"])
    if kind == "string_attribute":
        assert options["key"] == "messaging.operation.type", options
        return any(span.type in options["values"] for span in spans)
    if kind == "numeric_attribute":
        assert options["key"] == "http.request.resend_count", options
        return any(options["min_value"] <= span.resends <= options["max_value"] for span in spans)
    if kind == "probabilistic":
        return float(options["sampling_percentage"]) >= 100
    raise AssertionError(f"unknown policy type {kind}")


def tail_sampling(options, spans):
    """The kept spans. A cached decision to drop a trace removes it from memory at once. Its later spans are decided on
    again, unless the cache still has the decision."""
    wait = float(options["decision_wait"].removesuffix("s"))
    cache = options["decision_cache"]
    assert cache["sampled_cache_size"] > options["num_traces"], "a decision is forgotten before its trace"
    kept, sampled, dropped, undecided = [], set(), [], {}

    def decide(before):
        for trace, (began, own) in list(undecided.items()):
            if began + wait <= before:
                del undecided[trace]
                if any(matches(policy, own) for policy in options["policies"]):
                    sampled.add(trace)
                    kept.extend(own)
                else:
                    dropped.append(trace)
                    if cache["non_sampled_cache_size"]:
                        del dropped[: -cache["non_sampled_cache_size"]]

    for span in sorted(spans, key=lambda span: span.end):
        decide(span.end)
        if span.trace in sampled:
            kept.append(span)
        elif span.trace not in dropped:
            undecided.setdefault(span.trace, (span.end, []))[1].append(span)
    decide(float("inf"))
    return kept


def exported(config, spans):
    """The spans that all pipelines of traces export, in the order of the pipelines."""
    out = []
    for name, pipeline in config["service"]["pipelines"].items():
        if name.split("/")[0] != "traces":
            continue
        assert pipeline["receivers"] == ["otlp"] and pipeline["exporters"] == ["otlp_grpc/traces"], name
        left = list(spans)
        for processor in pipeline["processors"]:
            options = config["processors"][processor]
            if processor == "tail_sampling":
                left = tail_sampling(options, left)
            elif processor.startswith("filter/"):
                conditions = [CONDITIONS[condition] for condition in options["trace_conditions"]]
                left = [span for span in left if not any(drops(span) for drops in conditions)]
            else:
                assert processor in PASS_ON, f"unknown processor {processor}"
        out += left
    return out


def load(root, environment):
    """The configuration with `${env:NAME:-default}` replaced."""
    text = (root / FILE).read_text()
    text = re.sub(r"\$\{env:(\w+):-([^}]*)\}", lambda found: environment.get(found[1], found[2]), text)
    return yaml.safe_load(text)


def attempt(trace, at, failed, **more):
    """The spans of an attempt that ends at `at` seconds."""
    return [
        Span(f"process {trace}", trace, at, type="process"),
        Span(f"POST {trace}", trace, at, failed=failed, **more),
        Span(f"settle {trace}", trace, at, type="settle"),
    ]


def enqueued(trace, at):
    return [Span(f"publish {trace}", trace, at, type="send"), Span(f"delay {trace}", trace, at, type="settle")]


def scenes():
    """For each scene: its name, its spans, and the names of the exported spans if no share of the rest is kept."""
    everything = lambda spans: [span.name for span in spans]
    ordinary = [*enqueued("good", 0), *attempt("good", 1, failed=False)]
    yield "a job without trouble is dropped", ordinary, []
    spans = [*enqueued("bad", 0), *attempt("bad", 1, failed=True)]
    yield "a trace with a failure is kept whole", spans, everything(spans)
    late = attempt("late", 60, failed=True)
    others = [*enqueued("other", 20), *attempt("other", 20, failed=False)]
    yield "a late failure keeps the spans that arrive with it", [*enqueued("late", 0), *others, *late], everything(late)
    yield (
        "a late failure itself is exported if no other trace was dropped since",
        [*enqueued("late", 0), *late],
        [span.name for span in late if span.failed],
    )
    spans = [*enqueued("twice", 0), *attempt("twice", 1, failed=True), *attempt("twice", 90, failed=False)]
    yield "later spans of a kept trace are kept", spans, everything(spans)
    spans = [*enqueued("again", 0), *others, *attempt("again", 60, failed=False, resends=1)]
    yield "a request that was repeated is kept", spans, everything(spans[-3:])
    spans = [Span("process slow", "slow", 4, seconds=3, type="process"), Span("POST slow", "slow", 4, seconds=3)]
    yield "slow work is kept", spans, everything(spans)
    read = [Span("receive", "read", 5, seconds=4.4, type="receive"), Span("XREADGROUP", "read", 5, seconds=4.4)]
    yield "a read that waited for jobs is not slow", read, []
    yield "a failed read is a failure", [Span("XREADGROUP", "read", 5, failed=True)], ["XREADGROUP"]


def faults(root):
    """The broken promises, one text each."""
    none, everything = load(root, {"TRACES_KEPT_PERCENT": "0"}), load(root, {})
    for name, spans, expected in scenes():
        left = sorted(span.name for span in exported(none, spans))
        if left != sorted(expected):
            yield f"{name}: exports {left}, not {sorted(expected)}"
        left = sorted(span.name for span in exported(everything, spans))
        if left != sorted(span.name for span in spans):
            yield f"{name}: all must be kept, but {left} are exported"
    for file in (FILE, "docker/collector/slim.yaml"):
        # Workers export every 60 s by default (OTEL_METRIC_EXPORT_INTERVAL).
        if "metric_expiration: ${env:METRICS_EXPIRATION:-2m}" not in (root / file).read_text():
            yield f"{file}: metrics of a stopped worker are served for longer than two export intervals"
