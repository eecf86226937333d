"""`make audit`: locked versions with known vulnerabilities; 0 only when all were looked up and none has any.

An advisory service is asked by pip-audit. Where none answers, `advisories.yaml` is read instead, which knows less: that
is said, and a list older than `OLD_DAYS` is a warning.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import SpecifierSet

HERE = Path(__file__).parent
LOCK = HERE.parent / "requirements.lock"
LIST = HERE / "advisories.yaml"
OLD_DAYS = 60
PROBE = "packaging"
"""Asked about first: where this one is unknown, no service answers, and nobody else is asked about."""


def main() -> int:
    """Look, and say what was found."""
    locked = locked_versions(LOCK.read_text())
    advisories = yaml.safe_load(LIST.read_text())
    holds = {entry["id"]: entry["holds"] for entry in advisories["entries"] if "holds" in entry}
    if asked({PROBE: locked[PROBE]})[1]:
        print("no advisory service answers: asking the list that is kept here")
        found, unknown = list(listed(locked, advisories)), []
        age = (date.today() - advisories["looked_at"]).days
        print(f"{len(advisories['entries'])} advisories, looked at {age} days ago")
        if age > OLD_DAYS:
            print(f"warning: that is more than {OLD_DAYS} days: look through their sources and renew {LIST.name}")
    else:
        found, unknown = asked(locked)
    for package, advisory in found:
        print(f"{package} {locked[package]}: {advisory}{': ' + holds[advisory] if advisory in holds else ''}")
    for package in unknown:
        print(f"{package} {locked[package]}: could not be looked up")
    bad = [advisory for _, advisory in found if advisory not in holds]
    print(f"{len(locked)} packages, {len(bad)} advisories that concern this lock, {len(unknown)} not looked up")
    return int(bool(bad or unknown))


def locked_versions(lock: str) -> dict[str, str]:
    """Name -> version of every pinned package."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE))


def listed(locked: Mapping[str, str], advisories: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Package and advisory of each entry of the list that concerns a locked version."""
    for entry in advisories["entries"]:
        version = locked.get(entry["package"])
        if version is not None and SpecifierSet(entry["affected"]).contains(version, prereleases=True):
            yield entry["package"], entry["id"]


def asked(locked: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """What a service knows: package and advisory, and the packages that it could not be asked about."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "pins.txt")
        pins.write_text("".join(f"{name}=={version}\n" for name, version in locked.items()))
        command = [sys.executable, "-m", "pip_audit", "-r", str(pins), "--disable-pip", "--no-deps", "-f", "json"]
        done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)
    return said(done.stdout, locked)


def said(answer: str, locked: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The same out of pip-audit's JSON; who is not in it was not looked up."""
    try:
        dependencies = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        dependencies = []
    known = {each["name"]: each for each in dependencies if "skip_reason" not in each}
    found = [(name, vulnerability["id"]) for name, each in known.items() for vulnerability in each["vulns"]]
    return found, sorted(locked.keys() - known.keys())


if __name__ == "__main__":
    sys.exit(main())
