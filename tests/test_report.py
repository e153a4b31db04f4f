import base64
import csv
import dataclasses
import html.parser
import json
import re

import cv2
import numpy as np
import pytest
from runs import forge_rows, forge_run
from sklearn.metrics import confusion_matrix, f1_score

from affnet_tf.errors import InputError
from affnet_tf.evaluation.report import RESULT_COLUMNS, score_file, write_report


class Page(html.parser.HTMLParser):
    """The cells of every table, every address, the open tags, and the classes that occur."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tables, self.marks, self.text = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        self.marks.append((tag, attributes.get("class", "")))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.marks.append((tag, dict(attributes).get("class", "")))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def table(self, *columns):
        return next(table[1:] for table in self.tables if set(columns) <= set(table[0]))


def read_page(run):
    text = (run / "report.html").read_text(encoding="utf-8")
    found = Page(text)
    assert found.open == []
    assert all(address.startswith("data:") for address in found.addresses)
    assert not re.search(r"https?://(?!www\.w3\.org)|<script|@import|url\(", text), "one self-contained file"
    return found


def uf1(rows):
    return f1_score([row.truth for row in rows], [row.label for row in rows], average="macro")


def forge_gallery(run, rows, most=3):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (most, 32, 32, 3), dtype=np.uint8)
    maps = np.zeros((most, 6, 6), np.uint8)
    maps[:, 1, 1] = 255
    for fold in dict.fromkeys(row.fold for row in rows):
        shown = [row for row in rows if row.fold == fold][:most]
        np.savez_compressed(
            run / "folds" / f"{fold}.npz",
            dataset=np.array([row.dataset for row in shown]),
            clip_id=np.array([row.clip_id for row in shown]),
            images=images[: len(shown)],
            taps=np.array(["before"]),
            map_before=maps[: len(shown)],
        )
    return images


@pytest.fixture
def composite(tmp_path):
    rows = forge_rows({"casme2": 5, "samm": 4}, skill=1.5)
    return forge_run(tmp_path / "run", rows, "composite", synthetic=True, train_clips=48), rows


def test_every_figure_is_that_of_scikit_learn(composite):
    run, rows = composite
    document, ((_, columns, cells), *_) = write_report(run)
    parts = {"all": rows, **{name: [row for row in rows if row.dataset == name] for name in ("casme2", "samm")}}
    page = read_page(run)
    scores = page.table("UF1", "UAR", "people")
    assert (
        [row["name"] for row in document["rows"]] == [row[0] for row in cells] == [row[0] for row in scores] == [*parts]
    )
    for found, cell, shown, part in zip(document["rows"], cells, scores, parts.values(), strict=True):
        assert found["uf1"] == pytest.approx(uf1(part))
        truth, answers = [row.truth for row in part], [row.label for row in part]
        np.testing.assert_array_equal(found["confusion"], confusion_matrix(truth, answers, labels=range(3)))
        assert cell[columns.index("UF1")] == f"{uf1(part):.3f}"
        assert shown[3].startswith(f"{uf1(part):.3f} (")
    assert document["uf1"] == document["rows"][0]["uf1"]
    assert json.loads((run / "report.json").read_text()) == json.loads(json.dumps(document))
    right = sum(row.label == row.truth for row in rows)
    assert page.marks.count(("i", "")) == right + 1, "one square for each clip, and one in the key"
    assert page.marks.count(("i", "wrong")) == len(rows) - right + 1
    assert "Synthetic people" in page.text
    assert "7 clips of casme2 sadness: the label scheme leaves them out" in page.text


def test_worst_subjects_come_first_and_who_was_held_out_is_listed(composite):
    run, rows = composite
    document, _ = write_report(run)
    shares = [each["right"] / each["clips"] for each in document["subjects"]]
    assert shares == sorted(shares)
    assert sum(each["clips"] for each in document["subjects"]) == len(rows)
    held_out = read_page(run).table("tested subjects")
    assert held_out[0][:5] == ["casme2-sub01", "casme2 sub01", "6", "48", "nobody"]
    assert len(held_out) == 9


def test_a_row_for_each_ordered_pair_and_none_for_all(tmp_path):
    rows = [
        row
        for a, b in (("casme2", "samm"), ("samm", "casme2"))
        for row in forge_rows({b: 4}, seed=1, fold=f"{a}-to-{b}")
    ]
    fold = {"excluded": [["casme2", "x"], ["casme2", "y"]], "reason": "2 clips do not train"}
    run = forge_run(tmp_path / "run", rows, "cross_dataset", **fold)
    document, ((_, _, cells), *_) = write_report(run)
    assert [row["name"] for row in document["rows"]] == ["casme2-to-samm", "samm-to-casme2"]
    assert "uf1" not in document
    assert [row[0] for row in cells] == [row["name"] for row in document["rows"]]
    page = read_page(run)
    assert "2 clips do not train" in page.text
    assert "tile" not in [mark for _, mark in page.marks]
    with open(run / "results.csv", newline="") as file:
        assert [row["part"] for row in csv.DictReader(file)] == ["casme2-to-samm", "samm-to-casme2"]


def test_results_csv_has_one_row_and_the_markdown_a_table(composite):
    run, rows = composite
    write_report(run)
    write_report(run)
    with open(run / "results.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == RESULT_COLUMNS
    assert (row["run"], row["part"], row["protocol"], row["network"]) == ("run", "all", "composite", "affectivenet")
    assert float(row["uf1"]) == pytest.approx(uf1(rows), abs=5e-5)
    assert float(row["uf1_low"]) < float(row["uf1"]) < float(row["uf1_high"])
    assert (row["seed"], row["synthetic"], row["commit"], row["people"]) == ("3", "True", "abc", "9")
    text = (run / "report.md").read_text()
    assert text.startswith("Synthetic people")
    assert f"| all | 54 | 9 | {uf1(rows):.3f} (" in text


def sharpened(row, power):
    p = np.array(row.probabilities) ** power
    return dataclasses.replace(row, probabilities=tuple(map(float, p / p.sum())))


def ece(rows):
    bins = {}
    for row in rows:
        bins.setdefault(int(np.ceil(max(row.probabilities) * 10)), []).append(row)
    gaps = [abs(sum(max(row.probabilities) - (row.label == row.truth) for row in each)) for each in bins.values()]
    return sum(gaps) / len(rows)


def test_calibration_before_and_after_a_temperature_from_validation_subjects(tmp_path):
    rows = [sharpened(row, 4) for row in forge_rows({"casme2": 8}, clips=12, skill=1)]
    run = forge_run(tmp_path / "run", rows)
    document, _ = write_report(run)
    assert document["calibration"]["ece"] == pytest.approx(ece(rows), abs=1e-6)
    assert document["calibrated"] is None
    assert "No predictions of validation subjects were kept" in read_page(run).text
    for path in run.glob("folds/*.json"):
        held_out = [[*row.key, *row.probabilities] for row in rows if row.fold != path.stem]
        path.write_text(json.dumps({**json.loads(path.read_text()), "validation_predictions": held_out}))
    document, _ = write_report(run)
    temperatures = document["temperatures"]
    assert all(2 < each < 8 for each in temperatures.values()), "they were sharpened by a power of 4"
    scaled = [sharpened(row, 1 / temperatures[row.fold]) for row in rows]
    assert document["calibrated"]["ece"] == pytest.approx(ece(scaled), abs=1e-6)
    assert document["calibrated"]["nll"] < document["calibration"]["nll"]
    page = read_page(run)
    assert len(page.table("ECE")) == 2
    assert "at its temperature" in page.text
    assert "casme2 sub02, sub03" in page.table("validation subjects")[0][4]


def test_pictures_of_right_and_wrong_answers(composite):
    run, rows = composite
    images = forge_gallery(run, rows)
    write_report(run)
    page = read_page(run)
    kinds = [mark for tag, mark in page.marks if tag == "div" and mark.startswith("clip")]
    shown = [row for fold in dict.fromkeys(row.fold for row in rows) for row in [r for r in rows if r.fold == fold][:3]]
    right = sum(row.label == row.truth for row in shown)
    assert kinds == ["clip"] * min(6, right) + ["clip wrong"] * min(6, len(shown) - right)
    pictures = [
        cv2.imdecode(np.frombuffer(base64.b64decode(a.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        for a in page.addresses
    ]
    assert len(pictures) == 2 * len(kinds)
    for seen, overlaid in zip(pictures[::2], pictures[1::2], strict=True):
        assert any(np.array_equal(seen, image) for image in images)
        colourful = np.ptp(overlaid.astype(int), axis=-1)
        peak = np.unravel_index(cv2.GaussianBlur(colourful.astype(np.float32), (0, 0), 4).argmax(), colourful.shape)
        assert all(10 <= each <= 40 for each in peak), "the map's peak lies in the second cell of six"


def test_a_report_without_pictures_folds_or_with_damaged_ones(composite):
    run, rows = composite
    forge_gallery(run, rows)
    for path in run.glob("folds/*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    write_report(run)
    assert "No pictures were kept" in read_page(run).text
    for path in run.glob("folds/*"):
        path.unlink()
    write_report(run)
    assert read_page(run).table("training clips")[0][3] == "-"


def test_names_cannot_break_the_page(tmp_path):
    rows = [
        dataclasses.replace(row, subject=f"<b>{row.subject}&", clip_id=f'"><script>{row.clip_id}')
        for row in forge_rows({"a|b": 3})
    ]
    rows = [dataclasses.replace(row, fold="f") for row in rows]
    run = forge_run(tmp_path / "run", rows, labels=("<i>", "&amp;", "'x'"))
    write_report(run)
    assert "<b>sub01&" in read_page(run).text


def test_what_is_not_a_run(tmp_path, composite):
    run, _ = composite
    with pytest.raises(InputError, match=r"with predictions\.csv"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="a run must be a folder"):
        write_report(run / "config.json")
    (run / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"manifest.json' must hold an object. Received: \[\]"):
        write_report(run)


def test_anybodys_predictions_are_scored_by_dataset(composite):
    run, rows = composite
    document, tables = score_file(run / "predictions.csv")
    assert document["uf1"] == pytest.approx(uf1(rows))
    assert [row["name"] for row in document["rows"]] == ["all", "casme2", "samm"]
    assert len(tables) == 1 + 2 * 3


def test_two_datasets_that_test_each_other_are_scored_one_by_one(tmp_path):
    """Each clip is tested once, but by two networks of different training: pooled, they would be one number of nothing."""
    rows = forge_rows({"casme2": 3, "samm": 3})
    other = {"casme2": "samm", "samm": "casme2"}
    rows = [dataclasses.replace(row, fold=f"{other[row.dataset]}-to-{row.dataset}") for row in rows]
    document, _ = score_file(forge_run(tmp_path / "run", rows) / "predictions.csv")
    assert {row["name"] for row in document["rows"]} == {"samm-to-casme2", "casme2-to-samm"}
