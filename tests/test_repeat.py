import json
import os
import statistics

import pytest
from forged import SIZE, forge_clips
from small import SMALL

from affnet_tf.config import ExperimentConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.evaluation.report import write_report
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.training.experiment import evaluate
from affnet_tf.training.repeat import repeat

CONFIG = ExperimentConfig(
    model=replace(SMALL, kernels=(3,), widths=(4,), taps=("after",)), train=TrainConfig(epochs=1, batch_size=4, seed=5)
)


def test_seeds_are_runs_of_their_own_and_are_summed_up(tmp_path):
    store = prepare(forge_clips(tmp_path / "casme2"), tmp_path / "store", CropConfig(SIZE, "none")).store.path
    seen = []
    result = repeat(store, tmp_path / "out", CONFIG, seeds=2, progress=lambda *state: seen.append(state))
    assert sorted(os.listdir(tmp_path / "out")) == ["seed-5", "seed-6", "seeds.json"]
    assert seen[0] == (0, 4, "seed 5, casme2-sub01")
    assert seen[-1] == (4, 4, "seed 6, casme2-sub02")
    evaluate(store, tmp_path / "alone", replace(CONFIG, train=replace(CONFIG.train, seed=6)))
    predictions = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("alone", "out/seed-6", "out/seed-5")]
    assert predictions[0] == predictions[1] != predictions[2]
    scores = [json.loads((tmp_path / "out" / f"seed-{k}" / "metrics.json").read_text())["rows"]["all"] for k in (5, 6)]
    document = json.loads((tmp_path / "out" / "seeds.json").read_text())
    for name in ("accuracy", "uf1", "uar", "weighted_f1"):
        values = [each[name] for each in scores]
        assert document["mean"]["all"][name] == result.mean["all"][name] == pytest.approx(sum(values) / 2)
        assert document["sd"]["all"][name] == pytest.approx(statistics.stdev(values))
        assert [document["runs"][f"seed-{k}"]["all"][name] for k in (5, 6)] == values
    with pytest.raises(InputError, match=r"by one of them: seed-5, seed-6\. Received: '.*out'"):
        write_report(tmp_path / "out")
    with pytest.raises(InputError, match="resumed with --resume"):
        repeat(store, tmp_path / "out", CONFIG, seeds=2)
    again = repeat(store, tmp_path / "out", CONFIG, seeds=2, resume=True)
    assert again.mean == result.mean
    with pytest.raises(InputError, match=r"seeds must be at least 1\. Received: 0"):
        repeat(store, tmp_path / "new", CONFIG, seeds=0)
