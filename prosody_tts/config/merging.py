"""Files and ``key=value`` settings as layers, and layers as one experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache, lru_cache
from io import StringIO
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prosody_tts.config.registries import choices
from prosody_tts.config.settings import Experiment
from prosody_tts.config.yaml_files import not_yaml, read_yaml_text
from prosody_tts.errors import UserError, nearest

#: Longest setting of a command line, in characters.
LONGEST = 10_000


def read(path: Path) -> DictConfig:
    """A file's settings, checked; not to be changed by whoever asks: the next one gets the same.

    Raises:
        UserError: it cannot be read, is no YAML, or has an unknown setting or value.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}") from None
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, changed: int, size: int) -> DictConfig:
    """Sweeps load hundreds of experiments over the same few files: once for each state of a file."""
    text = read_yaml_text(path)
    refuse_references(text, str(path))
    try:
        loaded = OmegaConf.load(StringIO(text))
    except Exception as error:  # the YAML library's errors share no public base
        raise not_yaml(path, error) from None
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{path} must hold settings as 'key: value' lines")
    check(loaded, Experiment, str(path))
    return loaded


def refuse_references(text: str, source: str) -> None:
    """Raise ``UserError`` for ``${…}``, which OmegaConf would look up: in other settings, or in the environment, where
    secrets stand."""
    if "${" in text:
        raise UserError(f"{source} holds '${{', which refers to another value; settings hold values only, write it out")


def parse(overrides: Sequence[str]) -> DictConfig:
    """``key=value`` settings, checked.

    Raises:
        UserError: one is no setting, or unknown.
    """
    for item in overrides:
        key, equals, _ = item.partition("=")
        if not equals or not key:
            raise UserError(f"'{item}' is not a setting; write key=value, as in sampler.prior=gaussian")
        if len(item) > LONGEST:
            raise UserError(f"the setting '{key[:60]}' has {len(item)} characters; settings have at most {LONGEST}")
        refuse_references(item, "the command line")
    # W&B writes Python's None; YAML knows null.
    items = [item[: -len("None")] + "null" if item.endswith("=None") else item for item in overrides]
    try:
        layer = OmegaConf.from_dotlist(items)
    except Exception as error:  # the YAML library's errors share no public base
        raise UserError(f"cannot parse the settings {' '.join(overrides)}: {' '.join(str(error).split())}") from None
    check(layer, Experiment, "the command line")
    return layer


def check(layer: DictConfig, schema: type, source: str, prefix: str = "") -> None:
    """Refuse unknown settings and values with the nearest right name, before OmegaConf does it less kindly.

    Raises:
        UserError: there is one.
    """
    hints = _hints(schema)
    for key in map(str, layer):
        name = f"{prefix}{key}"
        if key not in hints:
            raise UserError(f"unknown setting '{name}' in {source}; {nearest(key, hints)}")
        hint, value = hints[key], layer[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, DictConfig):
                raise UserError(f"'{name}' in {source} is a group of settings; write {name}.KEY=VALUE")
            check(value, hint, source, f"{name}.")  # type: ignore[arg-type]
            continue
        if isinstance(value, ListConfig) and any(isinstance(item, ListConfig | DictConfig) for item in value):
            raise UserError(f"'{name}' in {source} is a list of values and holds a list or a group; write [a,b]")
        known = choices(hint)
        for item in _items(hint, value):
            if known is not None and item not in known:
                raise UserError(f"unknown value '{item}' of '{name}' in {source}; {nearest(str(item), known)}")


@cache
def _hints(schema: type) -> dict[str, Any]:
    return get_type_hints(schema, include_extras=True)


def _items(hint: Any, value: Any) -> list[Any]:
    """What must be a choice: the value, or each item of a list; what should be a list and is none is told of later."""
    if get_origin(hint) is not list:
        return [value]
    try:
        return [] if isinstance(value, str) else list(value)
    except TypeError:
        return []


def merge(layers: Sequence[DictConfig]) -> Experiment:
    """An experiment of layers, the last the strongest, over the defaults.

    Raises:
        UserError: a value is of the wrong type.
    """
    try:
        experiment = OmegaConf.to_object(OmegaConf.merge(_schema(), *layers))
    except OmegaConfBaseException as error:
        message = str(getattr(error, "msg", None) or error).splitlines()[0]
        key = getattr(error, "full_key", None)
        raise UserError(f"wrong value for '{key}': {message}" if key else message) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"a setting has a value that it cannot have: {' '.join(str(error).split())[:200]}") from None
    assert isinstance(experiment, Experiment)
    return experiment


@cache
def _schema() -> Any:
    """The defaults and their types, which merging copies; most of a merge's time would go into making them."""
    return OmegaConf.structured(Experiment)
