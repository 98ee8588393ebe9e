"""From the name of an experiment, and settings, to the experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prosody_tts.config.checks import validate
from prosody_tts.config.merging import check, merge, parse, read, refuse_references
from prosody_tts.config.settings import EXPERIMENTS, ROOT, Experiment
from prosody_tts.errors import UserError, nearest
from prosody_tts.files import read_json


def load(file: Path | str | None = None, overrides: Sequence[str] = ()) -> Experiment:
    """Build an experiment from ``base <- audio preset <- corpus <- size <- family <- design <- file <- key=value``.

    ``file`` is an experiment file, or the bare name of one in ``experiments/``.

    Raises:
        UserError: a file is missing or malformed, or a setting or value is unknown; names the nearest right one.
    """
    layers = [] if file is None else [read(find_experiment(file))]
    layers.append(parse(overrides))
    experiment = merge([read(path) for path in _presets(layers)] + layers)
    validate(experiment)
    return experiment


def _presets(layers: Sequence[DictConfig]) -> list[Path]:
    """The files that lie under ``layers``, in the order of merging."""
    defaults = Experiment()

    def chosen(key: str, default: str, *below: DictConfig) -> str:
        # Layers have been checked: what chooses a file is one of its choices.
        return str(OmegaConf.select(OmegaConf.merge(*below, *layers), key, default=default))

    size = EXPERIMENTS / "sizes" / f"{chosen('size', defaults.size)}.yaml"
    design = chosen("design", defaults.design, read(size))  # a size may choose it
    corpus, family = chosen("corpus", defaults.corpus), chosen("family", defaults.family)
    paths = [EXPERIMENTS / "base.yaml", EXPERIMENTS / "audio" / f"{chosen('audio.preset', defaults.audio.preset)}.yaml"]
    paths += [EXPERIMENTS / "corpora" / f"{corpus}.yaml", size, EXPERIMENTS / "families" / f"{family}.yaml"]
    if design == "paper":
        paths += [EXPERIMENTS / "designs" / f"{family}.yaml"]
    return [path for path in paths if path.exists()]


def from_plain(data: dict[str, Any]) -> Experiment:
    """Rebuild an experiment from ``to_plain`` data, such as a stage's ``config.json``.

    Raises:
        UserError: it is not such data.
    """
    source = "the stored settings"
    if not isinstance(data, dict):
        raise UserError(f"{source} are damaged: they are no group of settings; delete their folder")
    refuse_references(str(data), source)
    try:
        layer = OmegaConf.create(data)
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise UserError(f"{source} are damaged ({' '.join(str(error).split())[:200]}); delete their folder") from None
    check(layer, Experiment, source)
    return merge([layer])


def read_stored(path: Path) -> Experiment:
    """The settings that a stage left in its ``config.json``.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    try:
        return from_plain(read_json(path))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); delete its folder to have the stage made again") from None


def find_experiment(file: Path | str) -> Path:
    """Resolve an experiment file, or the bare name of one in ``experiments/``.

    Raises:
        UserError: there is no such file; lists the experiments there are.
    """
    for path in (Path(file), ROOT / file):
        if path.suffix in {".yaml", ".yml"} and path.is_file():
            return path
    path = Path(file)
    names = {p.stem: p for p in sorted(EXPERIMENTS.glob("*.yaml")) if p.stem != "base"}
    stem = path.stem if path.suffix in {".yaml", ".yml"} else path.name
    if path.suffix == "" and path.name in names and path.parent == Path("."):
        return names[path.name]
    raise UserError(f"there is no experiment file '{file}'; {nearest(stem, names)} (in {EXPERIMENTS})")
