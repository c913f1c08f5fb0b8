"""Label Studio exports."""

import json

import pytest

from tests import independent
from tests.utils.formats.scenes import check_reading, content, read, scene_of
from utils.files import FormatError
from utils.formats.label_studio import LabelStudio


def test_label_studio_takes_the_image_and_the_last_annotation(tmp_path):
    path = independent.label_studio(independent.Scene.of(scene_of()), tmp_path)
    tasks = json.loads(path.read_text())
    for task in tasks:
        task["data"] = {"caption": "take 3", **task["data"]}
        task["annotations"] = [task["annotations"][0], task["annotations"][0]]
    before = read(path)
    path.write_text(json.dumps(tasks))
    found = read(path)
    assert content(found) == content(before)
    assert any("tasks with several annotations" in note for note in found.notes)


def test_brushes_are_read_to_the_pixel(tmp_path):
    check_reading(tmp_path, "label-studio", (LabelStudio,))


def test_dates_before_names_are_no_marks_of_uploads(tmp_path):
    path = independent.label_studio(independent.Scene.of(scene_of(2)), tmp_path)
    tasks = json.loads(path.read_text())
    for day, task in enumerate(tasks, 1):
        task["data"] = {"image": f"/data/upload/2024010{day}-0001.png"}
    path.write_text(json.dumps(tasks))
    assert len(set(read(path).frames.tolist())) == len(tasks) > 1


def test_tasks_of_several_images_are_refused_and_names_are_decoded(tmp_path):
    path = independent.label_studio(independent.Scene.of(scene_of(2)), tmp_path)
    tasks = json.loads(path.read_text())
    for k, task in zip((2, 10), tasks, strict=False):
        task["data"] = {"image": f"/data/frame%20{k}.png"}
    path.write_text(json.dumps(tasks[:2]))
    assert sorted(set(read(path).frames.tolist())) == [2, 10]
    tasks[0]["annotations"][0]["result"][-1]["item_index"] = 1
    path.write_text(json.dumps(tasks[:2]))
    with pytest.raises(FormatError, match="a task must be of one image"):
        read(path)


def test_regions_of_two_images_of_a_task_are_refused(tmp_path):
    path = independent.label_studio(independent.Scene.of(scene_of(2)), tmp_path)
    tasks = json.loads(path.read_text())
    first, second = (dict(tasks[0]["annotations"][0]["result"][-1]) for _ in range(2))
    tasks[0]["annotations"][0]["result"] = [
        {**first, "to_name": "left"},
        {**second, "to_name": "right"},
    ]
    path.write_text(json.dumps(tasks))
    with pytest.raises(
        FormatError, match=r"a task must be of one image .to_name., got left, right"
    ):
        read(path)


def test_regions_without_a_score_have_that_of_their_prediction(tmp_path):
    path = independent.label_studio(independent.Scene.of(scene_of(2)), tmp_path)
    tasks = json.loads(path.read_text())
    for task in tasks:
        result = task["annotations"][0]["result"]
        result[0].pop("score", None)
        task["annotations"], task["predictions"] = [], [{"score": 0.4, "result": result[:1]}]
    path.write_text(json.dumps(tasks))
    found = read(path)
    assert found.scored and found.scores.tolist() == pytest.approx([0.4] * len(tasks))
