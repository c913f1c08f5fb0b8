"""The data sets: facts of the papers, and what they share."""

import pytest

from utils.data_sets import CUSTOM, DATA_SETS, data_set
from utils.data_sets.generated import MNIST, SPRITES
from utils.data_sets.mots import ANY, KITTI, MOTS
from utils.detections import CAR, PEDESTRIAN


def test_each_is_there_by_its_name():
    assert list(DATA_SETS) == ["mnist", "sprites", "kitti", "mots", CUSTOM]
    assert data_set("kitti") is KITTI and data_set("mots") is MOTS and data_set(CUSTOM) is ANY
    with pytest.raises(ValueError, match=r"dataset must be one of mnist, .*, custom, got 'coco'"):
        data_set("coco")


def test_settings_of_the_papers_section_4():
    for entry, tau, length in ((KITTI, 1, 3), (MOTS, 2, 5)):
        for name in ("paper", "authors"):
            preset = entry.presets[name]
            assert preset.tracker == {"tau": tau, "min_track_length": {0: length}}
            least = 0.7 if name == "paper" else 0.6  # section 4.2; the authors' code
            assert preset.rules.min_score == {CAR: least, PEDESTRIAN: 0.7}
            assert preset.rules.min_area == {CAR: 150, PEDESTRIAN: 100}
        assert entry.network["patch_size"] == 128 and entry.network["latent_dim"] == 128
    for entry, filters, limit in ((MNIST, (16, 24, 48), 2.5), (SPRITES, (16, 32, 32), 1.0)):
        assert entry.network["filters"] == filters and entry.network["latent_dim"] == 64
        assert entry.presets["paper"].tracker["max_distance"] == limit
        assert entry.presets["paper"].tracker["gate"] == "embedding"


def test_best_has_one_preset_and_the_benchmarks_least_areas():
    assert {e.presets["best"].rules.max_overlap for e in (KITTI, MOTS, ANY)} == {0.5}
    assert KITTI.presets["best"].rules.min_area == {CAR: 150, PEDESTRIAN: 100}
    assert not any(e.presets["best"].rules.min_score for e in (KITTI, MOTS, ANY))
    assert ANY.any_class and not ANY.presets["best"].rules.min_area


def test_classes_by_name_and_number():
    assert KITTI.numbers == {"car": 1, "pedestrian": 2, "ignore": 10} and KITTI.ignore == 10
    assert KITTI.name_of(2) == "pedestrian" and KITTI.name_of(7) == "class 7"
    assert MOTS.tracked == (2,) and KITTI.first_frame == 0 and MOTS.first_frame == 1
    assert KITTI.network_config(3)["channels"] == 3
