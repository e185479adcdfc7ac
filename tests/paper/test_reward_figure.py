"""The figure of `adagen diagnose reward`."""

import numpy as np
import pytest

from adagen.paper.figures import draw
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import write_record

RUNGS = {"handmade": (1.0, 3.0, 0.4), "guidance +1": (2.0, 1.0, 0.3), "tuned": (0.5, 2.0, 0.5)}


def report(folder, name, free=True, **changed):
    ranking = {"fid": {"spearman": 1.0, "kendall": 1.0}}
    ranking |= {"fid_label_free": {"spearman": None, "kendall": None}} if free else {}
    content = {
        "experiment": name,
        "rungs": [
            {
                "name": rung,
                "fid": fid,
                "fid_label_free": other if free else None,
                "policy": "hash" if rung == "tuned" else None,
            }
            for rung, (fid, other, _) in RUNGS.items()
        ],
        "looks": [
            {
                "steps": 500,
                "rungs": {rung: {"reward": reward} for rung, (_, _, reward) in RUNGS.items()},
                "ranking": ranking,
            }
        ],
    }
    path = folder / f"{name}.json"
    write_record(path, {**content, "settings": {}, **changed})
    return path


def test_a_row_a_report_and_a_labelled_point_a_rung(tmp_path):
    figure = draw("reward", [report(tmp_path, "one"), report(tmp_path, "two", free=False)])
    assert [axes.get_title("left") for axes in figure.axes] == ["one", "", "two"]
    primary, free, _ = figure.axes
    points = {tuple(np.concatenate(line.get_data())) for line in primary.lines}
    assert points == {(reward, fid) for fid, _, reward in RUNGS.values()}
    # Named beside the panel, from the lowest distance up.
    assert [text.get_text() for text in primary.texts] == ["tuned", "handmade", "guidance +1"]
    assert [text.get_text() for text in free.texts] == ["guidance +1", "tuned", "handmade"]
    heights = [text.xyann[1] for text in primary.texts]
    assert heights == sorted(heights) and primary.texts[0].xy == (0.5, 0.5)
    assert "500 steps\n(Spearman +1.00, Kendall +1.00)" in primary.get_xlabel()
    assert "(all equal)" in free.get_xlabel()
    assert (primary.get_ylabel(), free.get_ylabel()) == ("FD ↓", "label-free FD ↓")


@pytest.mark.parametrize("changed", [{"looks": []}, {"rungs": []}, {"experiment": None}])
def test_another_file_is_refused(tmp_path, changed):
    path = report(tmp_path, "one", **changed)
    with pytest.raises(AdagenError, match="no report of `adagen diagnose reward`") as error:
        draw("reward", [path])
    assert str(path) in str(error.value)
