"""Reads the cases that all clients share."""

import base64
import json
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "conformance"


def cases(name):
    text = (FOLDER / f"{name}.json").read_text()
    return [
        case
        for case in json.loads(re.sub(r"<([^<>])\*(\d+)>", lambda found: found[1] * int(found[2]), text))
        if "python" in case.get("only", ["python"])
    ]


def job(description):
    """The arguments of a `Job`."""
    given = dict(description)
    if "body_base64" in given:
        given["body"] = base64.b64decode(given.pop("body_base64"))
    elif not isinstance(given.get("body", ""), str):
        given["json"] = given.pop("body")
    return given
