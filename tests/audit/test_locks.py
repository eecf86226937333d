"""The lock of production, that of development, the bill of materials, and what is known to be wrong with them."""

import json
import re
import subprocess
import sys
import tomllib
from datetime import date

import pytest
import yaml
from packaging.requirements import Requirement

from audit import check
from ml_assets.config.settings import PROJECT

PRODUCTION, DEVELOPMENT = ((PROJECT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock"))


def pins(lock: str) -> dict[str, str]:
    """Name -> all that is said of it: version, marker, hashes."""
    return {entry.partition("==")[0]: entry.strip() for entry in re.split(r"\n(?=\S)", lock) if "==" in entry}


def test_production_installs_no_tools_of_development():
    tools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    names = {Requirement(tool).name.lower() for tool in tools}
    assert names >= {"pytest", "ruff", "moto", "uv"}
    assert names & pins(PRODUCTION).keys() == {"mypy"}, "Feast asks for SQLAlchemy's extra `mypy`; nothing else does"
    assert names <= pins(DEVELOPMENT).keys()


def test_development_has_all_of_production_to_the_same_hash():
    assert pins(PRODUCTION).items() <= pins(DEVELOPMENT).items()


@pytest.mark.parametrize("lock", [PRODUCTION, DEVELOPMENT], ids=["production", "development"])
def test_every_pin_has_a_hash_and_no_registry_is_named(lock):
    assert all("--hash=sha256:" in pin for pin in pins(lock).values())
    assert not re.search(r"https?://|--index-url|--find-links", lock)


def test_the_bill_of_materials_has_every_package_of_production_and_is_valid(tmp_path):
    pytest.importorskip("cyclonedx_py")
    out = tmp_path / "sbom.json"
    command = ["cyclonedx_py", "requirements", str(PROJECT / "requirements.lock"), "--output-reproducible"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--of", "JSON", "-o", str(out)], capture_output=True, text=True, check=False
    )  # it validates what it writes against the schema
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(out.read_text())
    assert said["bomFormat"] == "CycloneDX"
    found = {each["name"].lower(): each["version"] for each in said["components"]}
    assert found == check.locked_versions(PRODUCTION)


ADVISORIES = yaml.safe_load(check.LIST.read_text())


def test_every_advisory_says_where_it_is_from_and_none_concerns_this_lock_without_a_reason():
    for entry in ADVISORIES["entries"]:
        assert entry["source"].startswith("https://")
    assert ADVISORIES["looked_at"] <= date.today()
    concerned = {advisory for _, advisory in check.listed(check.locked_versions(PRODUCTION), ADVISORIES)}
    assert concerned <= {entry["id"] for entry in ADVISORIES["entries"] if "holds" in entry}


def test_an_old_version_is_found():
    assert list(check.listed({"h11": "0.14.0", "idna": "3.20"}, ADVISORIES)) == [("h11", "CVE-2025-43859")]


def test_what_a_service_was_not_asked_is_not_taken_for_good():
    answer = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "version": "1", "vulns": [{"id": "GHSA-1"}]},
            {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"},
        ]
    }
    locked = dict.fromkeys("abcd", "1")
    assert check.said(json.dumps(answer), locked) == ([("b", "GHSA-1")], ["c", "d"])
    assert check.said("", locked) == ([], ["a", "b", "c", "d"])
