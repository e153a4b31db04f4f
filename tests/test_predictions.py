import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affnet_tf.errors import InputError
from affnet_tf.evaluation.predictions import Prediction, Predictions, read_predictions, write_predictions

LABELS = ("negative", "positive", "surprise")
HEADER = "clip_id,dataset,subject,fold,y_true,y_pred,p_negative,p_positive,p_surprise\n"
ROW = "sub01/a,casme2,sub01,casme2-sub01,negative,positive,0.25,0.5,0.25\n"
OTHER = "sub02/a,casme2,sub02,casme2-sub02,negative,positive,0.25,0.5,0.25\n"
REDUCED = "clip_id,dataset,subject,y_true,y_pred\n"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=8)


@st.composite
def rows(draw) -> Prediction:
    logits = np.array(draw(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3)), np.float32)
    softmax = np.exp(logits - logits.max())
    numbers = tuple(map(float, softmax / softmax.sum()))
    return Prediction(draw(TEXT), draw(TEXT), draw(TEXT), draw(TEXT), draw(st.integers(0, 2)), numbers)


@settings(deadline=None, max_examples=30)
@given(st.lists(rows(), max_size=5, unique_by=lambda row: (row.dataset, row.clip_id)))
def test_round_trip_to_the_last_bit_of_float32(tmp_path_factory, predicted):
    path = tmp_path_factory.mktemp("run") / "predictions.csv"
    predictions = Predictions(LABELS, tuple(predicted))
    write_predictions(path, predictions)
    again = read_predictions(path)
    assert again.labels == LABELS
    for ours, theirs in zip(predictions.rows, again.rows, strict=True):
        assert ours.truth == theirs.truth
        assert ours.label == theirs.label
        assert (ours.dataset, ours.clip_id, ours.subject, ours.fold) == (
            theirs.dataset,
            theirs.clip_id,
            theirs.subject,
            theirs.fold,
        )
        np.testing.assert_array_equal(np.float32(ours.probabilities), np.float32(theirs.probabilities))


def test_the_file(tmp_path):
    predictions = Predictions(LABELS, (Prediction("casme2", "sub01/a", "sub01", "casme2-sub01", 0, (0.25, 0.5, 0.25)),))
    write_predictions(tmp_path / "predictions.csv", predictions)
    assert (tmp_path / "predictions.csv").read_bytes() == (HEADER + ROW).encode()
    assert predictions.truth == [0]
    assert predictions.predicted == [1]


def test_a_file_from_a_spreadsheet(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbf" + (HEADER + ROW).replace("\n", "\r\n").encode())
    assert read_predictions(tmp_path / "p.csv").rows[0].clip_id == "sub01/a"


def test_columns_may_stand_in_any_order(tmp_path):
    (tmp_path / "p.csv").write_text(
        "p_b,note,y_pred,y_true,fold,subject,dataset,clip_id,p_a\n0.75,x,b,a,f,s,d,c,0.25\n"
    )
    read = read_predictions(tmp_path / "p.csv")
    assert read.labels == ("b", "a")
    assert read.rows == (Prediction("d", "c", "s", "f", 1, (0.75, 0.25)),)


def test_a_clip_twice():
    row = Prediction("casme2", "a", "s", "f", 0, (0.5, 0.5))
    with pytest.raises(InputError, match=r"each clip once\. Received: casme2 'a' twice"):
        Predictions(("x", "y"), (row, row))
    other = Prediction("casme", "a", "s", "f", 0, (0.5, 0.5))
    assert len(Predictions(("x", "y"), (row, other)).rows) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have columns clip_id"),
        ("\n\n", "must have columns clip_id"),
        (HEADER.replace("y_true,", "") + "a\n", "must have columns clip_id"),
        ("clip_id,dataset,subject,fold,y_true,y_pred,p_negative\n", "two or more p_<label>"),
        (HEADER.replace("p_surprise", "p_positive") + ROW, "p_positive"),
        (HEADER + ROW + ROW, "each clip once"),
        (HEADER + ROW.replace("negative", "angry"), "line 2: y_true must be one of negative, positive, surprise"),
        (HEADER + ROW.replace(",positive", ",angry"), "line 2: y_pred must be"),
        (HEADER + ROW.replace(",positive", ",surprise"), "line 2: y_pred must be the most probable label, 'positive'"),
        (HEADER + ROW.replace("0.5", "0.6"), "line 2: probabilities must lie in [0, 1] and add up to 1"),
        (HEADER + ROW.replace("0.25,0.5,0.25", "-0.5,1.5,0"), "must lie in [0, 1]"),
        (HEADER + ROW.replace("0.5", "nan"), "add up to 1"),
        (HEADER + ROW.replace("0.5", "half"), "Received: ['0.25', 'half', '0.25']"),
        (HEADER + ROW.replace(",0.25\n", "\n"), "Received: ['0.25', '0.5', None]"),
        (HEADER + ROW.replace("\n", ",7\n"), "line 2"),
        (HEADER + ROW.replace("sub01/a", ""), "line 2: clip_id must have a name. Received: ''"),
        (HEADER + ROW.replace("casme2,sub01,", "casme2,,"), "line 2: subject must have a name"),
        (
            HEADER + ROW + ROW.replace("casme2-sub01", "casme2-sub02") + OTHER,
            "'sub01/a' twice, in folds 'casme2-sub01'",
        ),
        (REDUCED + "a,casme2,sub01,calm,\n", "two or more labels must occur"),
        (
            REDUCED + "a,casme2,sub01,calm,calm\n",
            "two or more labels must occur in a file without p_<label>. Received: calm",
        ),
        (REDUCED + "a,casme2,sub01,calm,upset\n,casme2,sub01,calm,calm\n", "line 3: clip_id must have a name"),
        (REDUCED + "a,casme2,sub01,calm,upset\nb,casme2,sub01,upset,\n", "line 3: y_pred must be one of calm, upset"),
        (REDUCED + 2 * "a,casme2,sub01,calm,upset\n", "each clip once. Received: casme2 'a' twice"),
        (HEADER + ROW + "sub01/b,casme2\n", "line 3: y_true must be"),
        (b"\xff\xfe\x00\x01", "must be a CSV file in UTF-8"),
        (HEADER.encode() + b'"' + b"x" * 200_000, "must be a CSV file in UTF-8"),
    ],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "p.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        read_predictions(tmp_path / "p.csv")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="must exist"):
        read_predictions(tmp_path / "p.csv")


def test_other_peoples_file_without_probabilities(tmp_path):
    (tmp_path / "p.csv").write_text(REDUCED + "a,casme2,sub01,upset,calm\nb,casme2,sub01,calm,calm\n")
    read = read_predictions(tmp_path / "p.csv")
    assert read.labels == ("calm", "upset")
    assert read.rows == (
        Prediction("casme2", "a", "sub01", "", 1, (), 0),
        Prediction("casme2", "b", "sub01", "", 0, (), 0),
    )
    assert not read.has_probabilities
    wider = read_predictions(tmp_path / "p.csv", labels=("upset", "calm", "sad"))
    assert wider.labels == ("upset", "calm", "sad")
    assert (wider.truth, wider.predicted) == ([0, 1], [1, 1])
    write_predictions(tmp_path / "again.csv", read)
    assert read_predictions(tmp_path / "again.csv") == read
    with pytest.raises(InputError, match=r"line 2: y_true must be one of calm, sad\. Received: 'upset'"):
        read_predictions(tmp_path / "p.csv", labels=("calm", "sad"))


def test_labels_that_are_numbers_stand_in_their_order(tmp_path):
    (tmp_path / "p.csv").write_text(REDUCED + "a,d,s,10,9\nb,d,s,2,2\n")
    assert read_predictions(tmp_path / "p.csv").labels == ("2", "9", "10")


def test_equal_probabilities_keep_what_was_decided(tmp_path):
    (tmp_path / "p.csv").write_text(HEADER + ROW.replace("0.25,0.5,0.25", "0.5,0.5,0"))
    assert read_predictions(tmp_path / "p.csv").predicted == [1]


def test_folds_of_a_cross_dataset_run(tmp_path):
    """Two networks are tested on the same two clips of SAMM, a third on one of CASME: three folds, and no pool."""
    cases = [
        ("x-to-samm", "samm", "a"),
        ("x-to-samm", "samm", "b"),
        ("y-to-samm", "samm", "b"),
        ("y-to-samm", "samm", "a"),
    ]
    rows = [Prediction(dataset, clip, "006", fold, 0, (0.75, 0.25)) for fold, dataset, clip in cases]
    rows.append(Prediction("casme", "a", "sub01", "samm-to-casme", 1, (0.75, 0.25)))
    predictions = Predictions(("x", "y"), tuple(rows))
    write_predictions(tmp_path / "p.csv", predictions)
    assert read_predictions(tmp_path / "p.csv") == predictions
    assert not predictions.pooled
    parts = predictions.by_fold()
    assert {name: [row.clip_id for row in part.rows] for name, part in parts.items()} == {
        "x-to-samm": ["a", "b"],
        "y-to-samm": ["b", "a"],
        "samm-to-casme": ["a"],
    }
    assert all(part.pooled for part in parts.values())
    assert [len(part.rows) for part in predictions.by_dataset().values()] == [4, 1]
    with pytest.raises(InputError, match=r"samm 'b' twice, in folds 'x-to-samm' and 'y-to-samm'"):
        Predictions(("x", "y"), tuple(rows[:3]))


def test_rows_must_be_of_one_kind():
    sure = Prediction("d", "a", "s", "f", 0, (0.5, 0.5))
    with pytest.raises(InputError, match=r"2 probabilities in every row.*d 'b' with 0 probabilities"):
        Predictions(("x", "y"), (sure, Prediction("d", "b", "s", "f", 0, (), 1)))
    with pytest.raises(InputError, match=r"d 'b' with 3 probabilities"):
        Predictions(("x", "y"), (sure, Prediction("d", "b", "s", "f", 0, (0.5, 0.25, 0.25))))
    with pytest.raises(InputError, match=r"a decision in every row"):
        Predictions(("x", "y"), (Prediction("d", "b", "s", "f", 0, ()),))


LOG = """casme2 sub02
EP01_11f 0 0
EP09_01 1 1

smic 20
s20_ne_01 0 1
samm 6
006_1_2 0 0
006_3_5 2 0
"""


def test_a_megc_log(tmp_path):
    (tmp_path / "log.txt").write_bytes(b"\xef\xbb\xbf" + LOG.replace("\n", "\r\n").encode())
    read = read_predictions(tmp_path / "log.txt")
    assert read.labels == ("negative", "positive", "surprise")
    assert [(row.dataset, row.clip_id, row.subject, row.fold, row.truth, row.label) for row in read.rows] == [
        ("casme2", "sub02/EP01_11f", "sub02", "casme2-sub02", 0, 0),
        ("casme2", "sub02/EP09_01", "sub02", "casme2-sub02", 1, 1),
        ("smic_hs", "s20/s20_ne_01", "s20", "smic_hs-s20", 0, 1),
        ("samm", "006/006_1_2", "006", "samm-006", 0, 0),
        ("samm", "006/006_3_5", "006", "samm-006", 2, 0),
    ]


def test_clips_of_a_log_that_name_their_subject(tmp_path):
    (tmp_path / "log").write_text("CASME2 1\na clip 0 2\nsub01/x 1 1\n")
    assert [row.clip_id for row in read_predictions(tmp_path / "log").rows] == ["sub01/a clip", "sub01/x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LOG + "006_9_9 0\n006_1_2 0 0\n", "line 10: must be a dataset (smic, casme2, samm)"),
        ("mine Ann\na 0 0\n", "line 1: must be a dataset"),
        (LOG + "samm 6\n006_1_2 0 0\n", "each clip once. Received: samm '006/006_1_2' twice"),
        (
            LOG + "0 1\n",
            "line 10: must be a dataset (smic, casme2, samm) and a subject, or a clip, truth and",
        ),
        (LOG + "006_1_3 0 3\n", "line 10: must be"),
        (LOG + "006_1_3 01 2\n", "line 10: must be"),
        (LOG + "006_1_3\n", "Received: '006_1_3'"),
    ],
)
def test_bad_logs(tmp_path, text, message):
    (tmp_path / "log").write_text(text)
    with pytest.raises(InputError) as error:
        read_predictions(tmp_path / "log")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
