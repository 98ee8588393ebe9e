"""What listeners' ratings show: intervals that cover, tests that others agree with, who is screened out, files read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prosody_tts.cli import run
from prosody_tts.errors import UserError
from prosody_tts.evaluation.statistics import gap_closed, holm, rank_biserial
from prosody_tts.listening.analysis import Question, analyse
from prosody_tts.listening.clusters import Means, bootstrap_gap, resampled
from prosody_tts.listening.exchange import Columns, Heard, read_files
from prosody_tts.listening.outcome import grids
from prosody_tts.listening.pairwise import differences
from prosody_tts.listening.power import TYPICAL, components, listeners_needed, power
from prosody_tts.listening.preference import preferences, sign_test
from prosody_tts.listening.ratings import UNDECIDED, Choice, Ratings, Score
from prosody_tts.listening.scales import ranks, stretched
from prosody_tts.listening.screening import Check, screen
from prosody_tts.report.grids import latex, markdown, tex
from prosody_tts.report.papers import GAP_CLOSED, MUSHRA

SYSTEMS = ("baseline", "camp_bert", "camp_oracle", "recording")
#: Mean scores of CAMP's main test.
CAMP = tuple(MUSHRA[name].value for name in SYSTEMS)


def study(
    generator: np.random.Generator,
    listeners: int = 25,
    items: int = 40,
    means: tuple[float, ...] = CAMP,
    by_listener: float = 3.0,
    by_item: float = 3.0,
    rest: float = 12.0,
    share: float = 1.0,
) -> Ratings:
    """Ratings whose systems have these true means; listeners and items have tastes of their own for each system."""
    shape = listeners, items, len(means)
    scores = np.array(means) + generator.normal(0, 8, (listeners, 1, 1)) + generator.normal(0, 6, (1, items, 1))
    scores = scores + generator.normal(0, by_listener, (listeners, 1, shape[2]))
    scores = scores + generator.normal(0, by_item, (1, items, shape[2])) + generator.normal(0, rest, shape)
    kept = generator.random((listeners, items)) < share
    screens = tuple((f"l{a}", f"i{b}") for a in range(listeners) for b in range(items) if kept[a, b])
    return Ratings(screens, SYSTEMS[: len(means)], scores[kept])


def heard_of(ratings: Ratings) -> Heard:
    """Ratings as a file would give them."""
    return Heard(
        [
            Score(listener, item, system, float(score))
            for (listener, item), row in zip(ratings.screens, ratings.scores, strict=True)
            for system, score in zip(ratings.systems, row, strict=True)
        ]
    )


@pytest.mark.parametrize(
    "design",
    [
        {},
        {"by_listener": 0.5, "by_item": 0.5},
        {"listeners": 12, "items": 20},
        {"share": 0.5},
    ],
)
def test_of_a_thousand_studies_with_a_gap_of_26_percent_the_interval_covers_it_in_93_to_97_percent(design) -> None:
    generator = np.random.default_rng(3)
    true = float(gap_closed(CAMP[1], CAMP[0], CAMP[3]))
    covered = 0
    for _ in range(1000):
        found = Means.of(study(generator, **design)).gap("camp_bert", "baseline", "recording", 0.95)
        low, high = found.interval.ends
        covered += low is not None and high is not None and low <= true <= high
    assert 930 <= covered <= 970


def test_the_published_means_of_camp_give_its_published_gaps() -> None:
    for name in ("camp_bert", "camp_oracle"):
        share = float(gap_closed(MUSHRA[name].value, MUSHRA["baseline"].value, MUSHRA["recording"].value))
        assert round(share) == GAP_CLOSED[name].value


def test_on_camps_design_the_interval_is_as_wide_as_it_is_published() -> None:
    """25 listeners, 96 sentences, and the variances that the table of power takes for typical."""
    spread = {"by_listener": (TYPICAL.listeners / 2) ** 0.5, "by_item": (TYPICAL.items / 2) ** 0.5}
    generator = np.random.default_rng(0)
    halves = []
    for _ in range(20):
        ratings = study(generator, 25, 96, rest=(TYPICAL.rest / 2) ** 0.5, **spread)
        low, high = Means.of(ratings).gap("camp_bert", "baseline", "recording", 0.95).interval.ends
        assert low is not None and high is not None
        halves.append((high - low) / 2)
    half = GAP_CLOSED["camp_bert"].half
    assert half is not None and abs(np.mean(halves) - half) < 1.5


def test_clusters_are_those_of_statsmodels_where_it_has_them() -> None:
    import statsmodels.api as sm
    from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

    ratings = study(np.random.default_rng(1), 9, 7, share=0.7)
    apart = ratings.scores[:, 1] - ratings.scores[:, 0]
    fitted = sm.OLS(apart, np.ones(len(apart))).fit()
    listeners, items = ratings.numbered()
    both = cov_cluster_2groups(fitted, listeners, group2=items, use_correction=False)[0]
    means = Means.of(ratings)
    # Each part carries its own correction for few clusters, which statsmodels' sum has not.
    parts = [
        cov_cluster_2groups(fitted, group, group2=group, use_correction=False)[1][0, 0]
        for group in (listeners, items, np.arange(len(apart)))
    ]
    counts = [len(ratings.listeners), len(ratings.items), len(apart)]
    corrected = [part * count / (count - 1) for part, count in zip(parts, counts, strict=True)]
    assert both[0, 0] == pytest.approx(parts[0] + parts[1] - parts[2])
    value, error = means.contrast([-1.0, 1.0, 0.0, 0.0])
    assert value == pytest.approx(apart.mean())
    assert error**2 == pytest.approx(max(corrected[0] + corrected[1] - corrected[2], corrected[2]))


def test_the_interval_of_a_gap_is_where_the_contrast_is_not_shown_to_differ_from_zero() -> None:
    means = Means.of(study(np.random.default_rng(2)))
    gap = means.gap("camp_bert", "baseline", "recording", 0.9)
    for end in gap.interval.ends:
        assert end is not None
        weights = means.weights(camp_bert=1.0, baseline=end / 100 - 1, recording=-end / 100)
        assert means.p(weights) == pytest.approx(0.1, abs=1e-6)


def test_the_bootstrap_of_listeners_and_items_agrees_where_listeners_differ_most() -> None:
    ratings = study(np.random.default_rng(5), by_listener=6, by_item=6, rest=4)
    sure = Means.of(ratings).gap("camp_bert", "baseline", "recording", 0.95).interval
    drawn = bootstrap_gap(resampled(ratings, 1000, 0), 1, 0, 3, 0.95)
    assert sure.low is not None and sure.high is not None and drawn.low is not None and drawn.high is not None
    assert drawn.high - drawn.low == pytest.approx(sure.high - sure.low, rel=0.25)
    assert np.array_equal(resampled(ratings, 5, 7), resampled(ratings, 5, 7))


def test_no_gap_has_no_share_and_a_gap_that_may_be_nothing_no_interval() -> None:
    generator = np.random.default_rng(0)
    assert (
        Means.of(study(generator, means=(60, 62, 64, 50))).gap("camp_bert", "baseline", "recording", 0.95).value is None
    )
    close = Means.of(study(generator, 3, 3, means=(60, 62, 64, 66), rest=30)).gap(
        "camp_bert", "baseline", "recording", 0.95
    )
    assert close.interval.ends == (None, None)


def test_pairs_are_tested_as_scipy_tests_them() -> None:
    ratings = study(np.random.default_rng(4), 6, 8)
    found = differences(ratings)
    by_pair = {(row.one, row.other): row for row in found}
    expected = {"wilcoxon": [], "t": []}
    for row in found:
        a, b = (ratings.scores[:, ratings.column(name)] for name in (row.one, row.other))
        expected["wilcoxon"].append(stats.wilcoxon(a, b).pvalue)
        expected["t"].append(stats.ttest_rel(a, b).pvalue)
    for test, values in expected.items():
        assert [row.p[test] for row in found] == pytest.approx(holm(values))
    assert len(by_pair) == 6 and by_pair["baseline", "recording"].mean < 0


def test_effect_sizes_by_hand() -> None:
    # Ranks of 1, 2, -3, 4 are 1 to 4: 7 of 10 for the first, 3 for the second.
    assert rank_biserial(np.array([1.0, 2.0, -3.0, 4.0, 0.0])) == pytest.approx(0.4)
    assert rank_biserial(np.zeros(3)) is None


def test_scales_by_hand() -> None:
    scores = np.array([[20.0, 50.0, 50.0], [7.0, 7.0, 7.0], [10.0, np.nan, 90.0]])
    assert np.array_equal(ranks(scores), [[1, 2.5, 2.5], [2, 2, 2], [1, np.nan, 2]], equal_nan=True)
    lowest = stretched(scores)
    assert np.array_equal(lowest[[0, 2]], [[0, 100, 100], [0, np.nan, 100]], equal_nan=True)
    assert np.isnan(lowest[1]).all()


def screened(rows: dict[str, list[tuple[float, float]]]) -> list[str]:
    """Who is left out of listeners' (hidden reference, mid anchor) scores on items 0, 1, ..."""
    scores = [
        Score(name, str(item), system, value)
        for name, pairs in rows.items()
        for item, pair in enumerate(pairs)
        for system, value in zip(("reference", "anchor70"), pair, strict=True)
    ]
    return [one.listener for one in screen(Ratings.of(scores), "reference", "anchor70")]


def test_listeners_are_screened_by_the_standards_rules_and_its_exception() -> None:
    good = [(100.0, 40.0)] * 20
    # 3 of 20 items are 15 %, which is allowed; 4 are not.
    assert screened({"a": good, "b": [(89.0, 40.0)] * 3 + good[3:], "c": [(89.9, 0.0)] * 4 + good[4:]}) == ["c"]
    assert screened({"a": good, "b": good, "c": good, "d": [(100.0, 91.0)] * 4 + good[4:]}) == ["d"]
    # On items that more than a quarter of the listeners praise the anchor of, nobody is blamed for it.
    praising = [(100.0, 91.0)] * 4 + good[4:]
    assert screened({"a": praising, "b": praising, "c": good, "d": good}) == []
    assert screened({"a": [(90.0, 90.0)] * 20}) == []


def test_attention_is_checked_and_checks_are_no_data() -> None:
    ratings = study(np.random.default_rng(0), 4, 6)
    scores = heard_of(ratings).scores
    scores += [Score(f"l{n}", "check", "recording", 95.0 if n else 20.0) for n in range(4)]
    question = Question(checks=(Check("check", "recording", 90, 100),))
    found = analyse(Heard(scores), question)
    assert [one.listener for one in found.excluded] == ["l0"] and "20" in found.excluded[0].reason
    assert found.ratings is not None and "check" not in found.ratings.items and "l0" not in found.ratings.listeners
    kept = analyse(Heard(scores), Question(checks=question.checks, keep_all=True))
    assert not kept.excluded and kept.listeners == 4


def test_preferences_are_tested_by_their_signs() -> None:
    choices = [Choice("a", str(n), "s2s", "baseline", ("s2s", "baseline", UNDECIDED)[n % 3]) for n in range(30)]
    choices += [Choice("b", str(n), "baseline", "s2s", "baseline") for n in range(10)]
    (found,) = preferences(choices)
    assert found.shares == pytest.approx((10 / 40, 10 / 40, 20 / 40)) and found.n == 40
    assert found.p == pytest.approx(stats.binomtest(10, 30).pvalue)
    assert sign_test(0, 0) is None
    with pytest.raises(UserError, match="chose 'camp'"):
        preferences([Choice("a", "1", "s2s", "baseline", "camp")])
    with pytest.raises(UserError, match="twice"):
        preferences([choices[0], choices[0]])


def test_variances_are_found_again_and_power_is_what_simulation_says() -> None:
    generator = np.random.default_rng(1)
    found = [components(study(generator, 30, 40, share=0.6), "baseline", "recording") for _ in range(40)]
    # A difference of two systems varies twice as much as either.
    assert np.mean([one.listeners for one in found]) == pytest.approx(18, rel=0.15)
    assert np.mean([one.items for one in found]) == pytest.approx(18, rel=0.15)
    assert np.mean([one.rest for one in found]) == pytest.approx(288, rel=0.05)
    means = (60.0, 61.5, 70.0, 75.0)
    shown = 0
    for _ in range(400):
        p = Means.of(study(generator, 20, 30, means)).p([-1.0, 1.0, 0.0, 0.0])
        shown += p is not None and p < 0.05
    spread = type(found[0])(18.0, 18.0, 288.0)
    assert shown / 400 == pytest.approx(power(1.5, spread, 20, 30, 30), abs=0.07)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 200), st.floats(0.5, 20))
def test_the_fewest_listeners_are_enough_and_one_less_is_not(items: int, difference: float) -> None:
    (need,) = listeners_needed(difference, TYPICAL, [items])
    if need.listeners is None:
        assert power(difference, TYPICAL, 1000, items, items) < 0.8
    else:
        assert power(difference, TYPICAL, need.listeners, items, items) >= 0.8
        assert need.listeners == 2 or power(difference, TYPICAL, need.listeners - 1, items, items) < 0.8


def test_listeners_that_differ_by_nothing_and_by_all() -> None:
    flat = Ratings.of([Score(a, b, s, 50.0) for a in "ab" for b in "12" for s in ("baseline", "camp")])
    assert differences(flat)[0].p == {"wilcoxon": None, "t": None, "clustered": None}
    alone = Ratings.of([Score("a", str(n), s, n) for n in range(8) for s in ("baseline", "camp")])
    assert Means.of(alone).interval([1.0, 0.0], 0.95).ends == (None, None)


MUSHRA_CSV = """session_test_id,age,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment
t,30,u1,p1,reference,100,900,
t,30,u1,p1,camp,70,900,
t,30,u1,p1,anchor35,10,900,"a, b"
t,30,u2,p1,reference,95,800,
t,30,u2,p1,camp,60,800,
t,30,u2,p1,anchor35,20,800,
"""
LMS_CSV = """session_test_id,name,trial_id,stimuli_rating,stimuli,rating_time
t,ann,p1,4,camp,1
t,ann,p1,3,baseline,1
"""
PAIRED_CSV = """session_test_id,name,trial_id,choice_reference,choice_non_reference,choice_answer,choice_time
t,ann,p1,s2s,baseline,baseline,5
t,bob,p1,s2s,baseline,undecided,5
"""


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    heard = read_files([written("mushra.csv", MUSHRA_CSV)])
    assert len(heard.scores) == 6 and heard.scores[2] == Score("u1", "p1", "anchor35", 10.0)
    named = Columns(listener="name")
    assert read_files([written("lms.csv", LMS_CSV)], named).scores[0] == Score("ann", "p1", "camp", 4.0)
    chosen = read_files([written("paired.csv", PAIRED_CSV)], named).choices
    assert [choice.chosen for choice in chosen] == ["baseline", UNDECIDED]
    long = "worker;sentence;condition;rating\nw;s;camp;3.5\n"
    columns = Columns("worker", "sentence", "condition", "rating")
    assert read_files([written("long.csv", long)], columns).scores == [Score("w", "s", "camp", 3.5)]
    wide = "\ufefflistener\titem\tcamp\tbaseline\tremark\na\t1\t70\t\tfine\n"
    assert read_files([written("wide.tsv", wide)]).scores == [Score("a", "1", "camp", 70.0)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("listener,item,system,score\na,1,camp,good\n", "line 2 has the rating 'good'"),
        ("listener,item,system,score\na,1,camp\n", "line 2 has 3 cells, not 4"),
        ("listener,item,system,score\na,1,camp,nan\n", "'nan', which is no number"),
        ("worker,item,system,score\na,1,camp,3\n", "has no column 'listener'"),
        ("listener,item,remark\na,1,fine\n", "no column of systems' names"),
        ("listener,listener\na,b\n", "two columns of one name"),
        (LMS_CSV, "names no session"),
        (PAIRED_CSV, "names no session"),
        (PAIRED_CSV.replace("name", "listener").replace("undecided", "camp"), "line 3 chooses 'camp'"),
    ],
)
def test_a_file_that_is_no_ratings_is_refused_in_a_sentence(text: str, told: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    assert run(["listen", "analyse", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_whatever_a_file_holds_is_read_or_refused(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            read_files([path])
        except UserError as error:
            assert str(path) in str(error)


def test_ratings_given_twice_and_systems_nobody_rated_are_told() -> None:
    with pytest.raises(UserError, match="rated camp of 1 twice"):
        Ratings.of([Score("a", "1", "camp", 1.0), Score("a", "1", "camp", 2.0)])
    with pytest.raises(UserError, match="did you mean 'camp'"):
        Ratings.of([Score("a", "1", "camp", 1.0)]).column("cam")
    with pytest.raises(UserError, match="no ratings"):
        analyse(Heard(), Question())


def test_an_analysis_is_written_in_every_form_and_says_what_it_is_of(tmp_path: Path, capsys) -> None:
    ratings = study(np.random.default_rng(0), 8, 10)
    rows = ["listener,item,system,score"]
    rows += [f"{score.listener},{score.item},{score.system},{score.score:.1f}" for score in heard_of(ratings).scores]
    rows += [f"l{n},x,<b>&_evil,{n}" for n in range(8)]
    (tmp_path / "r.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    assert run(["listen", "analyse", str(tmp_path / "r.csv"), "--out", str(out)]) == 0
    assert "camp_bert" in capsys.readouterr().out
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<b>&_evil" not in page and "&lt;b&gt;" in page and 'src="http' not in page
    table = json.loads((out / "analysis.json").read_text(encoding="utf-8"))
    (scores,) = (grid for grid in table["tables"] if grid["title"] == "Scores")
    assert scores["lines"][1][0] == "camp_bert" and scores["lines"][1][-1] == "26 ± 7"
    assert "8 of 8 listeners" in (out / "table.md").read_text(encoding="utf-8")
    assert {path.suffix for path in out.iterdir()} == {".md", ".tex", ".csv", ".json", ".png", ".html"}
    source = (out / "table.tex").read_text(encoding="utf-8")
    assert r"\toprule" in source and r"$<$b>\&\_evil" in source
    assert source.count(r"\begin{tabular}") == source.count(r"\end{tabular}") == len(table["tables"])


def test_latex_escapes_what_latex_reads() -> None:
    assert tex("50 % a_b {x} \\y") == r"50 \% a\_b \{x\} \textbackslash{}y"
    analysis = analyse(heard_of(study(np.random.default_rng(0), 6, 6)), Question())
    for grid in grids(analysis):
        for line in latex([grid]).splitlines():
            assert line.count(" & ") in {0, len(grid.heads) - 1}
    assert "Listeners needed" in markdown(grids(analysis))


def test_how_many_listeners_a_test_needs_is_told(tmp_path: Path, capsys) -> None:
    assert run(["listen", "need", "--share", "26"]) == 0
    typical = capsys.readouterr().out
    assert "CAMP" in typical
    ratings = study(np.random.default_rng(0), 8, 10)
    rows = ["listener,item,system,score"]
    rows += [f"{score.listener},{score.item},{score.system},{score.score:.1f}" for score in heard_of(ratings).scores]
    (tmp_path / "pilot.csv").write_text("\n".join(rows), encoding="utf-8")
    assert run(["listen", "need", "--pilot", str(tmp_path / "pilot.csv")]) == 0
    # A long path may be broken over lines.
    assert "pilot.csv" in "".join(capsys.readouterr().out.split())
    assert run(["listen", "need", "--pilot", str(tmp_path / "pilot.csv"), "--lower", "kathaka"]) == 2
    assert run(["listen", "analyse", str(tmp_path / "pilot.csv"), "--column", "listner=x"]) == 2
    assert run(["listen", "analyse", str(tmp_path / "pilot.csv"), "--check", "x"]) == 2
