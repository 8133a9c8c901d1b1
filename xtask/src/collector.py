"""Holds what docker/collector/config.yaml means against what it promises: which spans leave, and how often.

The Collector itself is not needed: its two processors that decide are played here, as their documentation describes them
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
    raise AssertionError(f"a policy of the type {kind} is not known here")


def tail_sampling(options, spans):
    """What is kept. Decisions of dropped traces that are cached leave the trace's memory at once; so their later spans are
    decided on again, but for as many traces as the cache holds."""
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
    """What all pipelines of traces export, in the order of their names."""
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
                assert processor in PASS_ON, f"{processor} is not known here"
        out += left
    return out


def load(root, environment):
    """The configuration with `${env:NAME:-default}` replaced."""
    text = (root / FILE).read_text()
    text = re.sub(r"\$\{env:(\w+):-([^}]*)\}", lambda found: environment.get(found[1], found[2]), text)
    return yaml.safe_load(text)


def attempt(trace, at, failed, **more):
    """The spans of an attempt that ends then."""
    return [
        Span(f"process {trace}", trace, at, type="process"),
        Span(f"POST {trace}", trace, at, failed=failed, **more),
        Span(f"settle {trace}", trace, at, type="settle"),
    ]


def enqueued(trace, at):
    return [Span(f"publish {trace}", trace, at, type="send"), Span(f"delay {trace}", trace, at, type="settle")]


def scenes():
    """Name; spans; the names of those that are exported where no share of the rest is kept."""
    everything = lambda spans: [span.name for span in spans]
    ordinary = [*enqueued("good", 0), *attempt("good", 1, failed=False)]
    yield "a job without trouble is dropped", ordinary, []
    spans = [*enqueued("bad", 0), *attempt("bad", 1, failed=True)]
    yield "a trace with a failure is kept whole", spans, everything(spans)
    late = attempt("late", 60, failed=True)
    others = [*enqueued("other", 20), *attempt("other", 20, failed=False)]
    yield "a failure that comes late keeps what comes with it", [*enqueued("late", 0), *others, *late], everything(late)
    yield (
        "and leaves itself where no other trace was dropped since",
        [*enqueued("late", 0), *late],
        [span.name for span in late if span.failed],
    )
    spans = [*enqueued("twice", 0), *attempt("twice", 1, failed=True), *attempt("twice", 90, failed=False)]
    yield "what comes later of a trace that is kept is kept", spans, everything(spans)
    spans = [*enqueued("again", 0), *others, *attempt("again", 60, failed=False, resends=1)]
    yield "a request that was repeated is kept", spans, everything(spans[-3:])
    spans = [Span("process slow", "slow", 4, seconds=3, type="process"), Span("POST slow", "slow", 4, seconds=3)]
    yield "slow work is kept", spans, everything(spans)
    read = [Span("receive", "read", 5, seconds=4.4, type="receive"), Span("XREADGROUP", "read", 5, seconds=4.4)]
    yield "a read that waited for jobs is not slow", read, []
    yield "one that failed is a failure", [Span("XREADGROUP", "read", 5, failed=True)], ["XREADGROUP"]


def faults(root):
    """What does not hold, one text each."""
    none, everything = load(root, {"TRACES_KEPT_PERCENT": "0"}), load(root, {})
    for name, spans, expected in scenes():
        left = sorted(span.name for span in exported(none, spans))
        if left != sorted(expected):
            yield f"{name}: {left} are exported, not {sorted(expected)}"
        left = sorted(span.name for span in exported(everything, spans))
        if left != sorted(span.name for span in spans):
            yield f"{name}: all are to be kept, and {left} are exported"
    for file in (FILE, "docker/collector/slim.yaml"):
        # Workers export every 60 s unless OTEL_METRIC_EXPORT_INTERVAL says otherwise.
        if "metric_expiration: ${env:METRICS_EXPIRATION:-2m}" not in (root / file).read_text():
            yield f"{file}: metrics of a worker that has left are offered for longer than two exports take"
