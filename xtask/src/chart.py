"""Lints and renders the Helm chart with several values, checks what it makes against schemas, and compares it with the
kustomization: both must make the same objects. Uses no network.

    chart.py ROOT

The packages are in the folders PYTHONPATH. Each failure prints one line; the exit code is then 1.
"""

import sys
from pathlib import Path

import helm_python as helm
import yaml
from cloudcoil.models.prometheus_operator.v1 import PodMonitor

import validate

CHART = "docker/helm/postrider"
EVERYTHING = {
    "redis": {"url": "redis://:secret@redis:6379"},
    "image": {"pullSecrets": ["registry"]},
    "worker": {
        "config": '[queues.default]\nkeep = "1d"\n',
        "env": [{"name": "PARTNER_TOKEN", "valueFrom": {"secretKeyRef": {"name": "partner", "key": "token"}}}],
        "volumes": [{"name": "secrets", "secret": {"secretName": "secrets"}}],
        "volumeMounts": [{"name": "secrets", "mountPath": "/run/secrets"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "only", "operator": "Exists"}],
    },
    "autoscaling": {"enabled": True, "queues": ["mail", "mail/1"], "authentication": "redis"},
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
                      "redis": {"peers": [{"podSelector": {"matchLabels": {"app": "redis"}}}], "port": 6380}},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "console": {"enabled": True, "variables": {"POSTRIDER_TRACE_URL": "https://jaeger.test/trace/{trace_id}"},
                "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "b"}}},
}
# The values with which the chart makes what the kustomization makes.
ALIKE = {"autoscaling": {"enabled": True}, "console": {"enabled": True}}
# Values that the schema must refuse.
WRONG = [
    {"worker": {"replica": 3}},
    {"worker": {"variables": {"POSTRIDER_SHUTDOWN_TIMEOUT": "60s"}}},
    {"redis": {"existingSecret": "", "url": ""}},
    {"redis": {"url": "redis:6379"}},
    {"autoscaling": {"minReplicas": 0}},
    {"image": {"tag": ""}},
]


def documents(chart, values, release="postrider"):
    for template, text in chart.render(values, name=release, namespace="hooks").items():
        if not template.endswith("NOTES.txt"):
            yield from ((template, document) for document in yaml.safe_load_all(text) if document)


def check(template, document):
    if document["kind"] != "PodMonitor":
        return validate.kubernetes(template, document)
    known = PodMonitor.model_validate(document).model_dump(by_alias=True, mode="json", exclude_unset=True)
    for key in validate.ignored(document, known):
        validate.fail(template, f"{key}: no such field in a PodMonitor")


def differences(ours, theirs, place):
    """What the kustomization has and the chart has not. The chart has more labels."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours:
            yield from differences(ours[key], theirs.get(key), f"{place}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs)):
            yield from differences(one, other, f"{place}/{index}")
    elif ours != theirs:
        yield f"{place}: {ours!r} in the kustomization, {theirs!r} in the chart"


def compare(root, chart):
    made = {(document["kind"], document["metadata"]["name"]): document for _, document in documents(chart, ALIKE)}
    folder = root / validate.KUBERNETES_FILES
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    image = kustomization["images"][0]
    for name in kustomization["resources"]:
        for ours in yaml.safe_load_all((folder / name).read_text()):
            for container in ours["spec"].get("template", {}).get("spec", {}).get("containers", []):
                container["image"] = f"{image['newName']}:{image['newTag']}"
            theirs = made.pop((ours["kind"], ours["metadata"]["name"]), None)
            for difference in differences(ours, theirs, f"{ours['kind']} {ours['metadata']['name']}"):
                validate.fail(CHART, difference)
    generated = kustomization["configMapGenerator"][0]
    ours = dict(text.split("=", 1) for text in generated["literals"])
    theirs = made.pop(("ConfigMap", generated["name"]), {}).get("data")
    if ours != theirs:
        validate.fail(CHART, f"variables: {ours} in the kustomization, {theirs} in the chart")
    for kind, name in made:
        validate.fail(CHART, f"{kind} {name}: not in the kustomization")


def main(root):
    checked = 0
    for values in [{}, ALIKE, EVERYTHING]:
        report = helm.lint(str(root / CHART), values, strict=True, namespace="hooks")
        for message in report["messages"]:
            # An icon is only recommended.
            if message["severity"] > 1:
                validate.fail(CHART, message["error"])
    with helm.Chart.load(str(root / CHART)) as chart:
        for values in [{}, ALIKE, EVERYTHING]:
            for template, document in documents(chart, values, "mail"):
                check(template, document)
                checked += 1
        for values in WRONG:
            try:
                chart.render(values, name="postrider")
                validate.fail(f"{CHART}/values.schema.json", f"it accepts {values}")
            except helm.HelmError:
                pass
        compare(root, chart)
    for failure in validate.failures:
        print(failure, file=sys.stderr)
    print(f"{checked} objects of the chart checked, {len(validate.failures)} failures")
    return 1 if validate.failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
