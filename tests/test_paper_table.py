import dataclasses
import json

import numpy as np
import pytest
from runs import forge_rows, forge_run
from scipy import stats
from sklearn.metrics import f1_score

from affnet_tf.errors import InputError
from affnet_tf.evaluation.paper_table import compare_runs, marks


def truth_and_answers(rows):
    ordered = sorted(rows, key=lambda row: row.key)
    return [row.truth for row in ordered], [row.label for row in ordered]


@pytest.fixture
def three(tmp_path):
    people = {"casme2": 12}
    weak, strong, same = (forge_rows(people, skill=skill, seed=seed) for skill, seed in ((0.3, 1), (3, 2), (0.3, 1)))
    runs = [
        forge_run(tmp_path / "weak", weak),
        forge_run(tmp_path / "strong", strong[::-1], synthetic=True),
        forge_run(tmp_path / "same", same),
    ]
    return runs, (weak, strong, same)


def test_scores_and_paired_differences_are_those_of_scikit_learn_and_scipy(three):
    runs, rows = three
    document, ((_, columns, cells),), _ = compare_runs(runs)
    found = document["parts"]["all"]
    scores = []
    for row, predictions in zip(found, rows, strict=True):
        truth, answers = truth_and_answers(predictions)
        scores.append(f1_score(truth, answers, average="macro"))
        assert row["uf1"] == pytest.approx(scores[-1])
        assert row["intervals"]["uf1"][0] <= row["uf1"] <= row["intervals"]["uf1"][1]
    truth, weak = truth_and_answers(rows[0])
    _, strong = truth_and_answers(rows[1])
    right = np.array([np.equal(strong, truth), np.equal(weak, truth)])
    alone = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    against = found[1]["against_first"]
    assert against["difference"] == pytest.approx(scores[1] - scores[0])
    assert (against["first_only"], against["second_only"]) == alone
    assert against["mcnemar"] == pytest.approx(stats.binomtest(alone[0], sum(alone)).pvalue)
    assert against["marks"] == marks(max(against["p"], against["mcnemar"])) != ""
    assert against["interval"][0] > 0
    assert found[0]["against_first"] is None
    assert (found[2]["against_first"]["difference"], found[2]["against_first"]["marks"]) == (0, "")
    assert [row[0] for row in cells] == ["weak", "strong", "same"]
    assert cells[1][columns.index("ΔUF1")] == f"{scores[1] - scores[0]:+.3f}"
    assert document["synthetic"]


def test_the_markdown_is_a_table_with_its_legend(three):
    runs, _ = three
    document, _, text = compare_runs(runs)
    json.dumps(document)
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + 3
    assert "Synthetic people" in lines[0]
    assert "not corrected" in text
    strong = table[3]
    assert strong.startswith("| strong | affectivenet | 72 |")
    assert "*" in strong


@pytest.mark.parametrize(("p", "stars"), [(0.0009, "***"), (0.001, "**"), (0.0099, "**"), (0.01, "*"), (0.05, "")])
def test_marks(p, stars):
    assert marks(p) == stars


def test_each_ordered_pair_is_a_table_of_its_own(tmp_path):
    pairs = {"casme2-to-samm": "samm", "smic-to-samm": "samm", "samm-to-casme2": "casme2"}

    def rows(seed):
        return [row for fold, target in pairs.items() for row in forge_rows({target: 5}, seed=seed, fold=fold)]

    runs = [forge_run(tmp_path / str(seed), rows(seed), "cross_dataset") for seed in (1, 2)]
    document, tables, _ = compare_runs(runs)
    assert sorted(document["parts"]) == sorted(pairs)
    assert len(tables) == 3
    assert any("casme2-to-samm" in title for title, _, _ in tables)
    truth, answers = truth_and_answers([row for row in rows(2) if row.fold == "smic-to-samm"])
    found = document["parts"]["smic-to-samm"][1]
    assert found["uf1"] == pytest.approx(f1_score(truth, answers, average="macro"))
    two = [row for row in rows(4) if row.fold != "smic-to-samm"]
    document, _, _ = compare_runs([forge_run(tmp_path / f"two{i}", two, "cross_dataset") for i in (1, 2)])
    assert sorted(document["parts"]) == ["casme2-to-samm", "samm-to-casme2"], "though every clip is tested once"
    fewer = [row for row in rows(3) if row.fold != "smic-to-samm"]
    with pytest.raises(InputError, match=r"same folds. Received: smic-to-samm in one of '1' and '3' alone"):
        compare_runs([runs[0], forge_run(tmp_path / "3", fewer, "cross_dataset")])
    with pytest.raises(InputError, match=r"one protocol. Received: cross_dataset in '1' and loso in '4'"):
        compare_runs([runs[0], forge_run(tmp_path / "4", forge_rows({"samm": 5}))])


def test_runs_that_differ_are_refused_and_the_difference_is_named(tmp_path, three):
    (run, other, _), (rows, _, _) = three

    def against(name, **changes):
        made = forge_run(tmp_path / name, **{"rows": rows, **changes})
        with pytest.raises(InputError) as error:
            compare_runs([run, made])
        assert "\n" not in str(error.value)
        return str(error.value)

    line = against("fewer", rows=rows[1:])
    assert "'fewer' against 'weak'" in line
    assert "casme2 'sub01/EP00'" in line
    assert "same labels" in against("labels", labels=("negative", "positive", "other"))
    turned = [dataclasses.replace(rows[0], truth=(rows[0].truth + 1) % 3), *rows[1:]]
    assert "the true label of casme2 'sub01/EP00' must be the same" in against("turned", rows=turned)
    with pytest.raises(InputError, match=r"at least 2 runs\. Received: 1"):
        compare_runs([run])
    with pytest.raises(InputError, match=r"different ones\. Received: .*weak' twice"):
        compare_runs([run, other, tmp_path / "strong" / ".." / "weak"])
    with pytest.raises(InputError, match=r"with predictions\.csv"):
        compare_runs([run, tmp_path])


def test_runs_of_one_name_are_told_apart(tmp_path):
    rows = forge_rows({"casme2": 4})
    runs = [forge_run(tmp_path / each / "loso", rows) for each in ("a", "b")]
    document, _, _ = compare_runs(runs)
    assert [row["run"] for row in document["parts"]["all"]] == ["a/loso", "b/loso"]
