import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affnet_tf.errors import InputError
from affnet_tf.evaluation.predictions import Prediction, Predictions, read_predictions, write_predictions

LABELS = ("negative", "positive", "surprise")
HEADER = "clip_id,dataset,subject,fold,y_true,y_pred,p_negative,p_positive,p_surprise\n"
ROW = "sub01/a,casme2,sub01,casme2-sub01,negative,positive,0.25,0.5,0.25\n"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=8)


@st.composite
def rows(draw) -> Prediction:
    logits = np.array(draw(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3)), np.float32)
    softmax = np.exp(logits - logits.max())
    numbers = tuple(map(float, softmax / softmax.sum()))
    return Prediction(draw(TEXT), draw(TEXT), draw(TEXT), draw(TEXT), draw(st.integers(0, 2)), numbers)


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
