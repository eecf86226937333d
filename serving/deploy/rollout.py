"""From champion to server: the first one serves at once, a later one goes out as a release."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.pointer import current_pointer, pointer_path
from ml_assets.release import begin, choose
from serving.deploy.build import BentoRef
from serving.deploy.deployment import deploy, refresh
from serving.deploy.questions import Ask


@dataclass(frozen=True)
class RolledOut:
    """What serves now, where, and what is on its way; `refused` says why the champion is neither."""

    url: str
    version: str
    text: str
    restarted: bool
    refused: str | None = None


def roll_out(
    settings: Settings,
    spec: ModelSpec,
    bento: BentoRef,
    *,
    version: Path,
    index: Path | None,
    as_of: datetime,
    ask: Ask,
) -> RolledOut:
    """Bring the server up to date: newest index for whatever serves, and a release for a champion that does not yet.

    A champion that was taken back does not serve again, whatever the task: what serves goes on, on the newest data. A
    binary or regression model has no clicks to judge a canary by: a new champion serves everybody at once.

    Raises:
        CorruptedVersionError, PointerError: when the version or the index is not what was published.
        TakenBack: when the champion was taken back and nothing else serves.
        DeploymentRefused: when what was to be deployed does not answer; what served before does.
        ServerError: when nothing served before and the server cannot start.
    """
    chosen = choose(settings, spec.name, version)
    champion = chosen.version
    serving = current_pointer(pointer_path(settings, spec.name))
    if serving is None or serving.model_version == champion.version or not (spec.release.enabled and spec.ranks):
        deployed = deploy(settings, spec, bento, version=champion.path, index=index, as_of=as_of, ask=ask)
        text = chosen.refused or "serves everybody"
        return RolledOut(deployed.url, deployed.version, text, deployed.restarted, chosen.refused)
    deployed = refresh(settings, spec, bento, index=index, as_of=as_of, ask=ask)
    release = begin(settings, spec, champion.path, reason="champion of the registry")
    text = f"{champion.version} on its way as {release.stage.value} with {release.share:.0%} of the customers"
    return RolledOut(deployed.url, deployed.version, text, deployed.restarted)
