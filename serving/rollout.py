"""From champion to server: the first one serves at once, a later one goes out as a release."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.pointer import pointer_path, read_pointer
from ml_assets.registry.versions import load_version
from ml_assets.release import Blocked, begin
from ml_assets.settings import Settings
from serving.build import BentoRef
from serving.deploy import deploy, refresh


@dataclass(frozen=True)
class RolledOut:
    """What serves now, where, and what is on its way."""

    url: str
    version: str
    text: str
    restarted: bool


def roll_out(
    settings: Settings, spec: ModelSpec, bento: BentoRef, *, version: Path, index: Path | None, as_of: datetime
) -> RolledOut:
    """Bring the server up to date: newest index for whatever serves, and a release for a champion that does not yet.

    A champion that was rolled back before is not released again. A binary or regression model has no clicks to judge a
    canary by: a new champion serves everybody at once.

    Raises:
        CorruptedVersionError, PointerError: when the version or the index is not what was published.
        ServerError: when the server cannot start, or does not take the index up.
    """
    champion = load_version(version).version
    serving = read_pointer(pointer_path(settings, spec.name))
    if serving is None or serving.model_version == champion or not (spec.release.enabled and spec.ranks):
        deployed = deploy(settings, spec, bento, version=version, index=index, as_of=as_of)
        return RolledOut(deployed.url, deployed.version, "serves everybody", deployed.restarted)
    deployed = refresh(settings, spec, bento, index=index, as_of=as_of)
    try:
        release = begin(settings, spec, version, reason="champion of the registry")
        text = f"{champion} on its way as {release.stage.value} with {release.share:.0%} of the customers"
    except Blocked as blocked:
        text = str(blocked)
    return RolledOut(deployed.url, deployed.version, text, deployed.restarted)
