"""MOTS txt, tracking-only and TrackR-CNN lines."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tests.conftest import box_mask, random_scene, write_tracks
from utils import masks
from utils.files import FormatError
from utils.formats import lines as formats_lines
from utils.formats.lines import Columns
from utils.formats.merging import merge_sequences
from utils.formats.reading import read_detections, read_sequences
from utils.formats.sources import find_sources
from utils.formats.track_rcnn import TRACK_RCNN, VECTOR
from utils.formats.tracking_only import TRACKING_ONLY, line_of

RLE = box_mask(3, 4, 5, 6).decode()


MOTS = f"0 1001 1 40 60 {RLE}"


TRACKING = f"0 3 4 5 6 0.9 2 40 60 {RLE}"


RCNN = f"0 3 4 8 10 0.9 2 40 60 {RLE} " + " ".join(["0.5"] * 128)


def write(folder, *lines, name="0001.txt", end="\n"):
    path = folder / name
    path.write_bytes(end.join(lines).encode("latin-1") + end.encode())
    return path


def test_three_formats_are_told_apart(tmp_path):
    mots = read_detections(write(tmp_path, MOTS))
    tracking = read_detections(write(tmp_path, TRACKING))
    rcnn = read_detections(write(tmp_path, RCNN))
    for found in (mots, tracking, rcnn):
        assert found.boxes_xywh.tolist() == [[3, 4, 5, 6]]
        assert (found.height, found.width, found.sequence) == (40, 60, "0001")
    assert (mots.ids[0], mots.classes[0], mots.scores[0], mots.scored) == (1001, 1, 1, False)
    assert (tracking.ids[0], tracking.classes[0], tracking.scored) == (0, 2, True)
    assert tracking.scores[0] == np.float32(0.9)
    assert rcnn.vectors.shape == (1, 128) and mots.vectors is None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_blank_lines_and_frame_order(tmp_path, end):
    lines = [MOTS.replace("0 1001", f"{frame} 1001", 1) for frame in (5, 2, 9)]
    found = read_detections(write(tmp_path, *lines, "", "  ", end=end))
    assert found.frames.tolist() == [5, 2, 9]
    assert [frame for frame, _ in found.rows_by_frame()] == [2, 5, 9]


def test_empty_file_is_a_sequence_without_detections(tmp_path):
    path = tmp_path / "0007.txt"
    path.write_bytes(b"")
    found = read_detections(path)
    assert len(found) == 0 and found.sequence == "0007" and found.rows_by_frame() == []
    write_tracks(tmp_path / "out.txt", found, np.zeros(0, int))
    assert (tmp_path / "out.txt").read_bytes() == b""


def field(line, position, value):
    fields = line.split()
    fields[position] = value
    return " ".join(fields)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (MOTS + " 7", "expected 6, 10 or 138 fields, as in the lines before, got 7"),
        (TRACKING, "expected 6 fields, as in the lines before, got 10"),
        (field(MOTS, 0, "1.5"), "frame must be a non-negative integer, got '1.5'"),
        (field(MOTS, 0, "-1"), "frame must be a non-negative integer, got '-1'"),
        (field(MOTS, 0, "1_0"), "frame must be a non-negative integer, got '1_0'"),
        (field(MOTS, 0, "1000001"), "frame must be at most 1000000, got 1000001"),
        (field(MOTS, 2, "x"), "class must be a non-negative integer, got 'x'"),
        (field(MOTS, 2, "0"), "class must be in 1..32767, got 0"),
        (field(MOTS, 2, "32768"), "class must be in 1..32767, got 32768"),
        (field(MOTS, 3, "0"), "height and width must be in 1..16384, got 0 60"),
        (field(MOTS, 4, "16385"), "height and width must be in 1..16384, got 40 16385"),
        (field(MOTS, 3, "41"), "frame size must be 40 60 as in line 1, got 41 60"),
        (field(MOTS, 4, "61"), "frame size must be 40 60 as in line 1, got 40 61"),
        (
            field(MOTS, 5, "ab cd".split()[0] + "\x7f"),
            "RLE character outside '0'..'o', got '\\x7f'",
        ),
        (field(MOTS, 5, "P"), "RLE ends inside a number, got 'P'"),
        (field(MOTS, 5, "00"), "RLE must add up to height * width = 2400, got 0"),
        (field(MOTS, 5, "PPPPPP4"), "RLE number longer than 6 characters, got more"),
        (MOTS, "an id must occur once in a frame (also in line 1), got id 1001 twice in frame 0"),
    ],
)
def test_refusals_of_mots_txt_name_file_line_rule_and_value(tmp_path, bad, message):
    path = write(tmp_path, MOTS, bad)
    with pytest.raises(FormatError) as caught:
        read_detections(path)
    assert str(caught.value) == f"{path}:2: {message}"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (field(TRACKING, 5, "101"), "score must be at most 100 in size, got '101'"),
        (field(TRACKING, 5, "nan"), "score must be a finite number, got 'nan'"),
        (field(TRACKING, 1, "inf"), "box must be a finite number, got 'inf'"),
        (field(TRACKING, 1, "1e400"), "box must be at most 1e+06 in size, got '1e400'"),
        (field(TRACKING, 3, "-5"), "box width and height must not be negative, got -5 6"),
        (field(TRACKING, 2, "1_0"), "box must be a finite number, got '1_0'"),
    ],
)
def test_refusals_of_scored_detections(tmp_path, bad, message):
    path = write(tmp_path, TRACKING, bad)
    with pytest.raises(FormatError) as caught:
        read_detections(path)
    assert str(caught.value) == f"{path}:2: {message}"


@pytest.mark.parametrize("wrong", ["1.01", "-0.1", "90"])
def test_a_score_out_of_range_among_others_is_refused(tmp_path, wrong):
    lines = [field(TRACKING, 0, str(frame)) for frame in range(6)]
    lines[3] = field(lines[3], 5, wrong)
    path = write(tmp_path, *lines)
    rule = "score must be in [0, 1], or all of them percent or logits"
    with pytest.raises(FormatError) as caught:
        read_detections(path)
    assert str(caught.value) == f"{path}:4: {rule}, got {wrong}"


@pytest.mark.parametrize(
    ("scores", "expected", "scale"),
    [
        ([90, 35.5, 0.5], [0.9, 0.355, 0.005], "scores are from 0.5 to 90: taken as percent"),
        ([0, 4, -2], [0.5, 0.98201, 0.1192], "scores are from -2 to 4: taken as logits"),
        ([0, 1, 0.25], [0, 1, 0.25], None),
    ],
)
def test_scores_in_percent_and_logits_are_read_and_said(tmp_path, scores, expected, scale):
    lines = [field(field(TRACKING, 0, str(i)), 5, str(s)) for i, s in enumerate(scores)]
    found = read_detections(write(tmp_path, *lines))
    assert found.scores == pytest.approx(expected, abs=1e-4)
    assert found.notes == (() if scale is None else (f"0001: {scale}",))
    again = merge_sequences(found, replace(found, frames=found.frames + 10))
    assert again.notes == found.notes


def test_first_line_with_a_wrong_field_count(tmp_path):
    path = write(tmp_path, "1 2 3 4 5 6 7")
    with pytest.raises(FormatError, match="expected 6, 10 or 138 fields, got 7"):
        read_detections(path)


def test_a_short_line_cannot_allocate_gigabytes(tmp_path):
    # 16384 x 16384 is allowed; a mask that claims to fill it must not be decoded to find out.
    path = write(tmp_path, field(field(field(MOTS, 3, "16384"), 4, "16384"), 5, "0PPPPP8"))
    found = read_detections(path)
    assert found.boxes_xywh.tolist() == [[0, 0, 16384, 16384]]


def test_missing_input_is_one_line(tmp_path):
    for path, rule in (
        (tmp_path / "none", "must be a file or a folder of files"),
        (tmp_path, "must hold SEQ.txt files"),
    ):
        with pytest.raises(FormatError, match=rule):
            read_sequences(path)
    write(tmp_path, MOTS)
    with pytest.raises(FormatError, match="must hold sequence 0009, got 0001"):
        read_sequences(tmp_path, ["0009"])


def fuzz_lines():
    """Real-looking lines of every format, from small scenes, for the mutations below."""
    rng = np.random.default_rng(5)
    scene = random_scene(rng, objects=8)
    lines = []
    for i in range(len(scene)):
        head = f"{scene.frames[i]} {1000 + scene.ids[i]} {scene.classes[i]}"
        lines.append(f"{head} {scene.height} {scene.width} {scene.rles[i].decode()}")
        box = " ".join(f"{v:.3f}" for v in scene.boxes_xywh[i])
        tail = f"{scene.classes[i]} {scene.height} {scene.width} {scene.rles[i].decode()}"
        lines.append(f"{scene.frames[i]} {box} {scene.scores[i]:.4f} {tail}")
    return [*lines, RCNN]


@pytest.fixture(scope="module")
def lines_to_mutate():
    """Lines of real files where USC_MOTS_DATA has them, beside generated ones."""
    lines = fuzz_lines()
    folder = os.environ.get("USC_MOTS_DATA")
    for name in ("kitti_mots/instances_txt/0012.txt", "kitti_mots/detections_rrc/0012.txt"):
        if folder and os.path.isfile(f"{folder}/{name}"):
            with open(f"{folder}/{name}") as file:
                lines += file.read().splitlines()[:40]
    return [line.encode() for line in lines]


def mutate(line, draws):
    """Apply (kind, position, byte) mutations to a line."""
    line = bytearray(line)
    for kind, position, byte in draws:
        at = position % max(1, len(line))
        if kind == 0 and line:
            line[at] = byte
        elif kind == 1:
            line.insert(at, byte)
        elif kind == 2:
            del line[at : at + 1 + byte % 9]
        elif kind == 3:
            line[at:at] = line[at : at + byte]
        else:
            fields = line.split(b" ")
            values = (b"", b"0", b"-1", b"99999999999", b"nan", b"1e999", b"\xff", b"16384", b"o")
            fields[position % len(fields)] = bytearray(values[byte % len(values)])
            line = bytearray(b" ".join(fields))
    return bytes(line)


LINES_PER_EXAMPLE = 25


MUTATION = st.tuples(st.integers(0, 4), st.integers(0, 10**6), st.integers(0, 255))


@settings(
    max_examples=420,  # x 25 lines: 10,500 mutated lines
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.lists(MUTATION, min_size=1, max_size=3)),
        min_size=LINES_PER_EXAMPLE,
        max_size=LINES_PER_EXAMPLE,
    )
)
def test_mutated_lines_are_read_or_refused_in_one_line(tmp_path_factory, lines_to_mutate, picks):
    folder = tmp_path_factory.getbasetemp()
    path, out = folder / "fuzz.txt", folder / "fuzz_out.txt"
    for pick, draws in picks:
        path.write_bytes(mutate(lines_to_mutate[pick % len(lines_to_mutate)], draws))
        try:
            found = read_detections(path)
        except FormatError as error:
            assert "\n" not in str(error) and str(error).startswith(str(path))
            assert re.search(r": .+, got .+", str(error)), error
            continue
        # What is accepted must survive everything that comes after reading.
        if len(found) and found.height * found.width <= 10**6:
            coco_mask.decode(found.coco())
            solid = found.select(
                masks.areas(*masks.decode_runs(found.rles, found.height * found.width)) > 0
            )
            masks.crop_patches(solid, 28)
        write_tracks(out, found, np.arange(1, len(found) + 1))
        read_detections(out)


def test_one_wrong_number_among_many_whole_ones_is_found_at_once(tmp_path):
    lines = [f"{i} 3 4 5 6 1 2 40 60 {RLE}" for i in range(60)]
    lines[40] = lines[40].replace(" 5 ", " nan ", 1)
    with pytest.raises(FormatError, match=r"0001.txt:41: box must be a finite number, got 'nan'"):
        read_detections(write(tmp_path, *lines))


def test_of_two_faults_the_first_is_named(tmp_path):
    path = write(tmp_path, MOTS, field(MOTS, 2, "0"), MOTS + " 7")
    with pytest.raises(FormatError, match=r"0001.txt:2: class must be in 1"):
        read_detections(path)


@pytest.mark.parametrize("fields", [6, 10, 138])
def test_lines_at_once_are_those_one_by_one(tmp_path, lines_to_mutate, monkeypatch, fields):
    generated = [line for line in lines_to_mutate if b" 60 80 " in line or b" 40 60 " in line]
    same = [line for line in generated if len(line.split()) == fields]
    rng = np.random.default_rng(fields)
    monkeypatch.setattr(formats_lines, "BLOCK", 7)
    at_once, refused = Columns._bulk, 0

    def outcome():
        try:
            found = read_detections(path)
        except FormatError as error:
            return str(error)
        columns = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids", "vectors")
        return [np.array(getattr(found, name)).tolist() for name in columns], found.size

    for _ in range(150):
        lines = [same[i] for i in rng.permutation(len(same))]
        for i in rng.integers(0, len(lines), rng.integers(0, 3)):
            lines[i] = mutate(lines[i], rng.integers(0, (5, 10**6, 256), (1, 3)).tolist())
        path = tmp_path / "0001.txt"
        path.write_bytes(b"\n".join(lines))
        found = outcome()
        refused += isinstance(found, str)
        monkeypatch.setattr(Columns, "_bulk", lambda self, block: None)
        assert outcome() == found
        monkeypatch.setattr(Columns, "_bulk", at_once)
    assert 20 < refused < 140


def test_real_files_round_trip(real_data, tmp_path):
    for file in sorted((real_data / "kitti_mots" / "instances_txt").glob("00*.txt"))[:3]:
        found = read_detections(file)
        assert write_tracks(tmp_path / file.name, found, found.ids) == []
        back = read_detections(tmp_path / file.name)
        assert sorted(back.rles) == sorted(found.rles)


def test_a_line_of_a_detection_is_read_to_the_same_row(tmp_path):
    plain = read_detections(write(tmp_path, TRACKING))
    assert line_of(plain, 0) == (TRACKING + "\n").encode()
    assert find_sources(tmp_path / "0001.txt")[0].format.columns is TRACKING_ONLY
    vectors = read_detections(write(tmp_path, RCNN))
    assert line_of(vectors, 0).split() == RCNN.encode().split()
    assert find_sources(tmp_path / "0001.txt")[0].format.columns is TRACK_RCNN
    short = replace(vectors, vectors=vectors.vectors[:, :3])
    assert line_of(short, 0).split()[10:] == [b"0.5"] * 3 + [b"0"] * (VECTOR - 3)
    long = replace(vectors, vectors=np.ones((1, VECTOR + 1), np.float32))
    with pytest.raises(ValueError, match="vectors in a file must have at most 128 values, got 129"):
        line_of(long, 0)
