"""The tables of finished evaluations: which systems, which seeds of each, from which folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prosody_tts.config import Experiment, RunConfig, to_plain
from prosody_tts.errors import UserError
from prosody_tts.files import digest, read_json, write_json
from prosody_tts.pipeline.plans import plan, vocoder_label
from prosody_tts.pipeline.running import git_commit, versions
from prosody_tts.pipeline.stage import COPY, VERSIONS, Stage, folder, is_done, read_result

#: Utterances left out that a table names one by one.
NAMED = 20


def _left_out(faults: Sequence[str]) -> tuple[str, ...]:
    """Notes under a table, one an utterance; of very many the first, and how many more."""
    notes = [f"Left out: {fault}" for fault in faults[:NAMED]]
    rest = len(faults) - len(notes)
    return (*notes, *([f"Left out: {rest} more, listed in the corpus's faults.json"] if rest else []))


def training_warnings(experiment: Experiment) -> list[str]:
    """What the finished trainings of a system warn of, such as a posterior that has collapsed."""
    trained = [stage for stage in plan(experiment) if stage.kind in {"acoustic", "sampler"} and is_done(stage)]
    told = [(stage.label, read_result(stage)["metrics"].get("warning")) for stage in trained]
    return [f"{label}, seed {experiment.seed}: {warning}" for label, warning in told if warning is not None]


def pool_seeds(experiments: Mapping[str, Experiment]) -> dict[str, list[Experiment]]:
    """Systems that differ in their seed alone become one, in the order given: name without its seed -> its seeds."""
    alike: dict[str, list[str]] = {}
    for name, experiment in experiments.items():
        alike.setdefault(digest(to_plain(replace(experiment, seed=0, run=RunConfig()))), []).append(name)
    pooled: dict[str, list[Experiment]] = {}
    for names in alike.values():
        # A sweep's point is called by its file and what varies, the seed among it.
        parts = names[0].split(", ")
        bare = ", ".join(part for part in parts if part != f"seed={experiments[names[0]].seed}")
        pooled[names[0] if bare in pooled else bare] = [experiments[name] for name in names]
    return pooled


def _relations(experiment: Experiment, names: Sequence[str]) -> dict[str, Any]:
    """Who governs whom in the texts of utterances, by spaCy's parse."""
    from data_modules.store import TextStore
    from prosody_tts.inspect.parse import relations

    text = next(stage for stage in plan(experiment) if stage.kind == "text")
    sentences = TextStore(folder(text))
    return dict(
        zip(names, relations(experiment.text.parser, [sentences.sentence(name) for name in names]), strict=True)
    )


def _code_figures(experiment: Experiment) -> dict[str, float]:
    """Figures of the codes that a system says, from the stages that measured them; none of one without codes."""
    from prosody_tts.evaluation.codes import figures

    if experiment.backbone != "tokens":
        return {}
    # The last stage is the evaluation of the system itself.
    stages = {stage.kind: stage for stage in plan(experiment)}
    return figures({kind: read_result(stages[kind])["metrics"] for kind in ("tokenizer", "evaluate")})


@dataclass(frozen=True)
class Evaluated:
    """Finished evaluations of systems on one corpus; the seeds of a system belong together.

    Attributes:
        first: system -> folder of the evaluation of its first seed; copy synthesis is among them.
        repeats: system -> folders of its other seeds'.
        identities: of every evaluation, by system and seed.
        pooled: system -> its experiments, one a seed.
        corpus: the corpus's stage.
    """

    first: dict[str, Path]
    repeats: dict[str, list[Path]]
    identities: dict[str, str]
    pooled: dict[str, list[Experiment]]
    corpus: Stage


def evaluated(experiments: Mapping[str, Experiment]) -> Evaluated:
    """Where the evaluations of systems lie.

    Raises:
        UserError: a system has not been evaluated, or they are of several corpora.
    """
    evaluations: dict[str, Path] = {}
    repeats: dict[str, list[Path]] = {}
    identities: dict[str, str] = {}
    corpora: dict[str, Stage] = {}
    pooled = pool_seeds(experiments)
    for name, seeds in pooled.items():
        for experiment in seeds:
            stages = plan(experiment)
            corpora[stages[0].key] = stages[0]
            for stage in stages[-2:] if experiment.measures == "speech" else stages[-1:]:
                system = COPY if stage.experiment.system == COPY else name
                if not is_done(stage):
                    raise UserError(
                        f"{system} has not been evaluated with these settings; run 'prosody-tts evaluate' first"
                    )
                first_seed = system == COPY or experiment is seeds[0]
                identities[system if first_seed else f"{system}, seed {experiment.seed}"] = stage.identity
                if first_seed:
                    evaluations[system] = folder(stage)
                else:
                    repeats.setdefault(system, []).append(folder(stage))
    if len(corpora) > 1:
        raise UserError("a table compares systems on one corpus; these settings name several")
    return Evaluated(evaluations, repeats, identities, pooled, next(iter(corpora.values())))


def report(experiments: Mapping[str, Experiment], out: Path, command: str = "") -> Any:
    """Write table, figures and page from the finished evaluations of systems that share a corpus.

    The seeds of a system are one row.

    Args:
        experiments: system -> its experiment, in the order of the table.
        out: folder of the report.
        command: what makes it again, for the footer.

    Returns:
        A rich renderable of the table.

    Raises:
        UserError: a system has not been evaluated.
    """
    found = evaluated(experiments)
    evaluations, repeats, identities, pooled = found.first, found.repeats, found.identities, found.pooled
    first = next(iter(experiments.values()))
    if len({experiment.measures for experiment in experiments.values()}) > 1:
        raise UserError("a table compares speech, labels or recognition; these settings mix them")
    speaks = first.measures == "speech"
    if speaks:
        evaluations = {COPY: evaluations.pop(COPY), **evaluations}
    from data_modules.store import Clips, CorpusStore
    from prosody_tts.report import build, labels_build, recognition_build
    from prosody_tts.report.provenance import Provenance

    corpus = CorpusStore(folder(found.corpus))
    commit = git_commit()
    provenance = Provenance(
        corpus=first.corpus if first.corpus_path is None else f"{first.corpus} ({Path(first.corpus_path).name})",
        split=first.evaluation.split,
        seed=first.seed,
        vocoder=vocoder_label(first) if speaks else "",
        commit=None if commit == "unknown" else commit.removesuffix("-dirty"),
        clean=None if commit == "unknown" else not commit.endswith("-dirty"),
        size=first.size,
        command=command,
        identities=identities,
        versions=versions(),
        seeds=tuple(sorted({one.seed for seeds in pooled.values() for one in seeds})) if repeats else (),
        notes=(
            *dict.fromkeys(warning for experiment in experiments.values() for warning in training_warnings(experiment)),
            *_left_out([f"{fault.item} ({fault.reason})" for fault in corpus.faults if fault.bad]),
        ),
    )
    settings: dict[str, Any] = {
        "confidence": first.evaluation.confidence,
        "resamples": first.evaluation.resamples,
        "seed": first.seed,
    }
    made_from = out / "made_from.json"
    inputs = {"report": VERSIONS["report"], **settings, **provenance.to_dict()}
    # By way of JSON, in which tuples are lists.
    if made_from.exists() and digest(read_json(made_from)) == digest(inputs):
        return {"speech": build, "labels": labels_build, "recognition": recognition_build}[first.measures].show(
            out, provenance
        )
    if not speaks:
        maker = labels_build if first.measures == "labels" else recognition_build
        shown = maker.build(out, evaluations, provenance, repeats=repeats, **settings)
    else:
        codes = {name: [_code_figures(one) for one in seeds] for name, seeds in pooled.items()}
        parses = partial(_relations, first)
        more: dict[str, Any] = {"repeats": repeats, "codes": codes, "parses": parses, **settings}
        shown = build.build(out, evaluations, Clips(corpus), provenance, **more)
    write_json(made_from, inputs)
    return shown
