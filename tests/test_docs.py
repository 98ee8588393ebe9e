"""The documentation: commands and links that exist, pages that build, examples that keep the contracts they show."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_models
import test_priors
import yaml
from corpus_trees import clip, sentence
from page_reading import Reader
from typer.main import get_command

from data_modules.corpora import CORPORA
from prosody_tts.cli import app
from prosody_tts.command import split_arguments
from prosody_tts.config import EXPERIMENTS, ROOT, load
from prosody_tts.config.merging import parse
from prosody_tts.config.registries import Keys
from prosody_tts.errors import UserError
from prosody_tts.evaluation.metrics import METRICS
from prosody_tts.nn.context import CONTEXTS
from prosody_tts.nn.priors import PRIORS
from prosody_tts.nn.vocoders import GriffinLim
from prosody_tts.settings import settings as all_settings
from prosody_tts.sweeps import experiments_of, load_sweep
from prosody_tts.vocoders import VOCODERS

DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md"]
REGISTRIES: tuple[dict[str, Any], ...] = (CORPORA, CONTEXTS, PRIORS, VOCODERS, METRICS)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Commands and links -------------------------------------------------------------------------------------------------


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Language and text of every fenced block."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> Iterator[list[str]]:
    """Every command of ours in a page's blocks of shell, without its comments."""
    for language, text in blocks(path):
        if language != "sh":
            continue
        for line in text.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words and words[0] in {"prosody-tts", "make", "python", "wandb"}:
                    yield words


WRITTEN = [pytest.param(words, id=" ".join(words)[:60]) for page in PAGES for words in commands(page)]


def verb(words: list[str]) -> tuple[Any, list[str], list[str]]:
    """The command that the words call, its positional arguments, and its options; unknown ones fail."""
    found, rest = get_command(app), words[1:]
    while hasattr(found, "commands"):
        assert rest and rest[0] in found.commands, f"{found.name} has no verb {rest[:1]}"
        found, rest = found.commands[rest[0]], rest[1:]
    options = {name: option for option in found.params for name in (*option.opts, *option.secondary_opts)}
    positional: list[str] = []
    used: list[str] = []
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            positional.append(word)
            continue
        assert word in options, f"{found.name} has no option {word}"
        used.append(word)
        if not options[word].is_flag:
            assert rest, f"{word} needs a value"
            rest.pop(0)
    return found, positional, used


def check_arguments(name: str, positional: list[str]) -> None:
    """Experiments, sweeps and settings must load; what only a user has, such as DIR, is not looked for."""
    if name == "compare":
        for system in positional[:2]:
            file, *own = system.split()
            load(file, [*own, *positional[2:]])
        return
    files, settings = split_arguments(positional)
    if name in {"sweep", "reproduce", "table", "runs", "build"}:
        for file in files or ["paper_tables"]:
            sweep = load_sweep(file)
            # A search has no points before it begins.
            assert sweep.method == "bayes" or experiments_of(sweep, settings)
    elif name in {"settings", "rerun", "serve", "invite", "export", "analyse", "need"}:
        assert not settings
    elif name == "inspect":
        assert set(files) <= set(CORPORA)
        parse(settings)
    else:
        load(files[0] if files else "baseline", settings)


@pytest.mark.parametrize("words", WRITTEN)
def test_every_command_exists(words: list[str]) -> None:
    match words:
        case ["prosody-tts", *_]:
            found, positional, _ = verb(words)
            check_arguments(found.name, positional)
        case ["make", *rest]:
            made = (ROOT / "Makefile").read_text()
            for word in rest:
                variable, equals, _ = word.partition("=")
                assert re.search(rf"^{variable} \?=" if equals else rf"^{word}:", made, re.MULTILINE), word
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case ["python", script, *rest]:
            assert (ROOT / script).is_file()
            verb(["prosody-tts", *rest])
        case ["wandb", "sweep", file]:
            assert load_sweep(file)


def test_the_pages_name_commands_of_every_kind() -> None:
    """The tests above read something."""
    called = {tuple(param.values[0][:2]) for param in WRITTEN}
    assert {("prosody-tts", "sweep"), ("make", "docs"), ("python", "-m"), ("wandb", "sweep")} <= called
    assert len(WRITTEN) > 60


@pytest.mark.parametrize(
    "wrong", ["prosody-tts swep x", "prosody-tts table --wrkers 2", "prosody-tts train camp a.b=1"]
)
def test_a_wrong_command_is_found(wrong: str) -> None:
    with pytest.raises((AssertionError, UserError)):
        test_every_command_exists(shlex.split(wrong))


def test_sweeps_in_the_pages_are_sweeps(tmp_path: Path) -> None:
    written = [text for page in PAGES for language, text in blocks(page) if language == "yaml" and "program:" in text]
    assert written
    for text in written:
        (tmp_path / "sweep.yaml").write_text(text)
        assert len(experiments_of(load_sweep(str(tmp_path / "sweep.yaml")), [])) == 6


def slugs(path: Path) -> set[str]:
    """Anchors of a page's headings, as mkdocs makes them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        goal = page.parent / file if file else page
        assert goal.is_file(), target
        assert not anchor or anchor in slugs(goal), target


def test_every_setting_named_in_the_pages_is_one() -> None:
    """What stands in code as ``group.name`` or ``group.name=value``, where the group is one of settings."""
    known = {setting.name for setting in all_settings()}
    groups = "|".join({name.split(".")[0] for name in known if "." in name})
    named = {
        match
        for page in PAGES
        for match in re.findall(rf"`((?:{groups})\.[a-z_.]+)(?:=[^`]*)?`", page.read_text(encoding="utf-8"))
    }
    modules = {name for name in named if name.endswith((".py", ".yaml", "."))}
    assert len(named) > 30
    groups_known = {name.rpartition(".")[0] for name in known}
    assert named - modules - known - groups_known == set()


def test_the_report_invents_no_figure() -> None:
    """Shares with an interval are quoted from the README, where they are measured."""
    own = re.findall(r"\d+ % \[\d+, \d+\]", (DOCS / "report.md").read_text(encoding="utf-8"))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert len(own) >= 7 and [figure for figure in own if figure not in readme] == []


def test_project_files_are_what_they_say() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None and citation["version"] == version[1]
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    assert all(hook["language"] == "system" for hook in hooks[0]["hooks"])


# The site -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_site_asks_the_network_for_nothing(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|img|source|iframe|audio)[^>]*\ssrc=\"?(?:https?:)?//[^>]*>", text) == []
        assert [tag for tag in re.findall(r"<link[^>]*>", text) if re.search(r'href="?(?:https?:)?//', tag)] == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")) == []


def test_the_site_has_every_setting_verb_and_example(site: Path) -> None:
    listed = Reader((site / "settings.html").read_text(encoding="utf-8")).words
    assert {setting.name for setting in all_settings()} <= set(listed)
    shown = " ".join(Reader((site / "verbs.html").read_text(encoding="utf-8")).words)
    for name, found in get_command(app).commands.items():
        assert f"Usage: prosody-tts {name}" in shown
        for below in getattr(found, "commands", {}):
            assert f"Usage: prosody-tts {name} {below}" in shown
    added = "".join(Reader((site / "extending.html").read_text(encoding="utf-8")).words)
    for example in EXAMPLES.glob("*.py"):
        if example.stem != "run":
            assert example.read_text(encoding="utf-8").strip() in added
    assert "search_index.js" in {path.name for path in (site / "search").iterdir()}


# Examples -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples' keys in the registries, for one test."""
    before = [dict(registry) for registry in REGISTRIES]
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for path in EXAMPLES.glob("*.py"):
        if path.stem != "run":
            monkeypatch.delitem(sys.modules, path.stem, raising=False)
            importlib.import_module(path.stem)
    yield
    for registry, kept in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(kept)


KEYS = {
    "data_modules.corpora:CORPORA": CORPORA,
    "prosody_tts.nn.context:CONTEXTS": CONTEXTS,
    "prosody_tts.nn.priors:PRIORS": PRIORS,
    "prosody_tts.vocoders:VOCODERS": VOCODERS,
}


@pytest.mark.parametrize("place", KEYS)
def test_keys_are_the_same_read_and_loaded(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name = place.split(":")
    assert Keys(module, name).names() == tuple(KEYS[place])
    monkeypatch.delitem(sys.modules, module)
    assert Keys(module, name).names() == tuple(KEYS[place])


def test_a_key_is_a_choice_and_without_it_there_is_none(examples: None) -> None:
    chosen = ["corpus=tabbed", "sampler.contexts=[place]", "sampler.prior=laplace", "synthesis.vocoder=sines"]
    found = load("camp", chosen)
    assert (found.corpus, found.sampler.contexts, found.sampler.prior) == ("tabbed", ["place"], "laplace")
    for registry, key, setting in zip(
        (CORPORA, CONTEXTS, PRIORS, VOCODERS), ("tabbed", "place", "laplace", "sines"), chosen, strict=True
    ):
        del registry[key]  # not by monkeypatch, which would put it back when the examples are gone
        with pytest.raises(UserError, match=f"unknown value '{key}'"):
            load("camp", [setting])


def test_the_context_keeps_the_contract(examples: None) -> None:
    test_models.test_a_context_gives_states_and_ignores_padding("place")


@pytest.mark.parametrize("shape", test_priors.SHAPES)
def test_the_prior_keeps_the_contract(examples: None, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    monkeypatch.setitem(test_priors.KINDS, "laplace", {})
    test_priors.test_a_loss_is_a_number_that_reaches_every_parameter("laplace", shape)
    test_priors.test_what_stands_in_the_padding_changes_nothing("laplace", shape)
    test_priors.test_draws_depend_on_their_seed_and_a_temperature_of_zero_on_none("laplace", shape)
    test_priors.test_known_units_come_back_as_they_are("laplace", shape)
    test_models.test_a_prior_keeps_its_contract(shape, "laplace")


def test_the_vocoder_gives_the_samples_and_the_loudness_that_it_should(examples: None) -> None:
    import torch

    from data_modules.audio import mel_spectrogram
    from prosody_tts.vocoders import build_vocoder, mel_format

    settings = load("camp", ["synthesis.vocoder=sines"])
    vocoder = build_vocoder(settings)
    rate = settings.audio.sample_rate
    wave = 0.3 * torch.sin(2 * torch.pi * 600 * torch.arange(rate) / rate)
    mel = torch.from_numpy(mel_spectrogram(wave.numpy(), settings.audio))
    said = vocoder(torch.stack([mel, mel]), torch.tensor([len(mel), 40]))
    sizes = vocoder.samples(torch.tensor([len(mel), 40]))
    assert said.shape == (2, int(sizes[0])) and not said[1, sizes[1] :].any()
    assert torch.equal(sizes, GriffinLim(mel_format(settings.audio), 1).samples(torch.tensor([len(mel), 40])))
    spectrum = torch.fft.rfft(said[0]).abs()
    assert abs(float(spectrum.argmax()) * rate / len(said[0]) - 600) < 60
    again = mel_spectrogram(said[0].numpy(), settings.audio)
    middle = len(again) // 2
    assert abs(float(again[middle].max() - mel[middle].max())) < 0.7  # nats


def test_a_system_of_examples_goes_from_disk_to_table(tmp_path: Path) -> None:
    """The page's own command, in a process of its own, with a fault in the corpus."""
    lines = []
    for number in range(12):
        clip(tmp_path / f"u{number:02}.wav", sentence(number))
        lines.append(f"u{number:02}.wav\t{sentence(number)}\n")
    (tmp_path / "texts.tsv").write_text("".join([*lines, "lost.wav\tNobody recorded this sentence.\n"]))
    written = next(words for words in commands(DOCS / "extending.md") if words[0] == "python")
    here = [str(ROOT / word) if word.endswith("run.py") else word for word in written[1:]]
    here = [f"corpus_path={tmp_path / 'texts.tsv'}" if word.startswith("corpus_path=") else word for word in here]
    more = [f"run.folder={tmp_path / 'runs'}", "data.allowed_bad=0.1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *here, *more], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "sampler laplace (phones+place) of camp" in done.stderr
    measured = [json.loads(path.read_text())["metrics"] for path in tmp_path.glob("runs/evaluate/*/result.json")]
    assert any(found.get("span_error", -1) >= 0 for found in measured)
    faults = json.loads(next(tmp_path.glob("runs/corpus/*/faults.json")).read_text())
    assert [fault["item"] for fault in faults] == ["lost"]


def test_a_missing_file_of_the_corpus_is_one_sentence(examples: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file; give one of"):
        CORPORA["tabbed"]().identity(load("camp", ["corpus=tabbed", f"corpus_path={tmp_path / 'none.tsv'}"]))


def test_the_metric_is_nothing_of_a_recording_and_a_semitone_of_a_semitone(examples: None) -> None:
    from dataclasses import replace

    import numpy as np
    from evaluation_data import speak

    same = speak(1.0, 1.0, 0.0, sentences=1, renditions=1)[0]
    same = replace(same, system=same.reference)
    assert METRICS["span_error"].of(same) == 0
    highest = np.zeros_like(same.reference.log_f0)
    highest[np.nanargmax(np.where(np.arange(len(highest)) % 2, same.reference.log_f0, np.nan))] = np.log(2) / 12
    wider = replace(same.system, log_f0=same.system.log_f0 + highest)
    assert METRICS["span_error"].of(replace(same, system=wider)) == pytest.approx(1.0)


def test_every_experiment_the_pages_name_exists() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"experiments/([\w/]+\.yaml)", page.read_text(encoding="utf-8"))
    }
    assert (
        named
        and [name for name in named if name not in {"corpora/NAME.yaml"} and not (EXPERIMENTS / name).is_file()] == []
    )
