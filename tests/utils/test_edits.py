"""Corrections of identities: each by hand, and the page's code beside Python's."""

import json

import numpy as np
import pytest

from tests.browser import look
from utils.edits import KIND, NEEDS, Editing, apply_all, read_edits
from utils.files import FormatError
from utils.page.writing import HERE

# frame, id, class: 1 is in frames 0 to 3, 2 in 2 to 5, 1001 in 6 and 7.
ROWS = [(0, 1, 1), (1, 1, 1), (2, 1, 1), (2, 2, 1), (3, 1, 1), (3, 2, 1), (4, 2, 1), (5, 2, 1),
        (6, 1001, 2), (7, 1001, 2)]  # fmt: skip


def editing(rows=ROWS):
    return Editing(*np.array(rows).T)


def ids(edit, **numbers):
    each = editing()
    each.apply({"op": edit, **numbers})
    return each.ids.tolist()


def test_merge_gives_all_detections_and_the_class():
    each = editing()
    each.apply({"op": "merge", "track": 1001, "into": 2})
    assert each.ids.tolist() == [1, 1, 1, 2, 1, 2, 2, 2, 2, 2]
    assert each.classes.tolist() == [1] * 10


def test_split_makes_a_new_track_from_the_frame_on():
    assert ids("split", track=1, frame=2) == [1, 1, 3, 2, 3, 2, 2, 2, 1001, 1001]


def test_swap_exchanges_from_the_frame_on():
    assert ids("swap", track=1, other=2, frame=3) == [1, 1, 1, 2, 2, 1, 1, 1, 1001, 1001]
    each = editing()
    each.apply({"op": "swap", "track": 2, "other": 1001, "frame": 5})
    assert each.ids.tolist()[-3:] == [1001, 2, 2] and each.classes.tolist()[-3:] == [2, 1, 1]


def test_move_gives_one_detection_to_another_track_or_a_new_one():
    assert ids("move", track=2, frame=5, into=1) == [1, 1, 1, 2, 1, 2, 2, 1, 1001, 1001]
    assert ids("move", track=2, frame=5, into=0) == [1, 1, 1, 2, 1, 2, 2, 3, 1001, 1001]


def test_a_class_is_changed_under_a_new_identity_of_that_class():
    each = editing()
    each.apply({"op": "class", "track": 1, "class": 2})
    assert each.ids.tolist() == [1002, 1002, 1002, 2, 1002, 2, 2, 2, 1001, 1001]
    assert each.classes.tolist() == [2, 2, 2, 1, 2, 1, 1, 1, 2, 2]
    each.apply({"op": "class", "track": 1001, "class": 3})
    assert each.ids.tolist()[-1] == 3001


def test_delete_takes_a_span():
    assert ids("delete", track=2, first=3, last=4) == [1, 1, 1, 2, 1, 0, 0, 2, 1001, 1001]


def test_a_new_identity_was_never_used():
    each = editing()
    each.apply({"op": "split", "track": 1, "frame": 3})  # 3
    each.apply({"op": "delete", "track": 3, "first": 0, "last": 9})
    each.apply({"op": "split", "track": 2, "frame": 4})
    assert each.ids.tolist() == [1, 1, 1, 2, 0, 2, 4, 4, 1001, 1001]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"op": "merge", "track": 1, "into": 2}, "one detection in a frame, got two in frame 2"),
        ({"op": "merge", "track": 9, "into": 2}, "track must exist in the sequence, got 9"),
        ({"op": "merge", "track": 1, "into": 0}, "track must exist in the sequence, got 0"),
        ({"op": "merge", "track": 1, "into": 1}, "needs two tracks"),
        ({"op": "split", "track": 1, "frame": 0}, "before frame 0 and from 0 on"),
        ({"op": "split", "track": 1, "frame": 4}, "before frame 4"),
        ({"op": "swap", "track": 1, "other": 2, "frame": 6}, "from frame 6 on"),
        ({"op": "move", "track": 1, "frame": 3, "into": 2}, "got two in frame 3"),
        ({"op": "move", "track": 1, "frame": 5, "into": 2}, "a detection in frame 5"),
        ({"op": "class", "track": 1, "class": 1}, "differ from the track's"),
        ({"op": "delete", "track": 1, "first": 4, "last": 9}, "in frames 4 to 9"),
        ({"op": "split", "track": 1}, "frame must be a whole number from 0, got None"),
        ({"op": "join", "track": 1}, "op must be one of merge, split"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(edit, message):
    each = editing()
    with pytest.raises(ValueError, match=message):
        each.apply(edit)
    assert each.ids.tolist() == [row[1] for row in ROWS]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("[", "a file that is not JSON"),
        ({"kind": "x"}, "JSON of another kind"),
        ({"kind": KIND, "runs": {"a": "1"}, "edits": [{"op": "split", "sequence": "b"}]},
         "edit 1: must name a sequence .a."),
    ],
)  # fmt: skip
def test_files_that_hold_no_edits_are_refused(tmp_path, held, message):
    path = tmp_path / "edits.json"
    path.write_text(held if isinstance(held, str) else json.dumps(held))
    with pytest.raises(FormatError, match=message):
        read_edits(path)


def test_the_edit_that_fails_is_named(tmp_path):
    edits = [{"sequence": "a", "op": "split", "track": 1, "frame": 2}] * 3
    with pytest.raises(FormatError, match="edit 2: split needs detections"):
        apply_all(tmp_path / "edits.json", edits, {"a": editing()})


def random_edit(rng, each):
    there = sorted(set(each.ids.tolist()) - {0})
    numbers = {"track": rng.choice(there), "into": rng.choice([0, *there]),
               "other": rng.choice(there), "class": rng.integers(1, 4), "frame": rng.integers(60),
               "first": rng.integers(0, 60), "last": rng.integers(0, 60)}  # fmt: skip
    op = str(rng.choice(list(NEEDS), p=[0.2, 0.25, 0.2, 0.2, 0.1, 0.05]))
    return {"op": op, **{name: int(numbers[name]) for name in NEEDS[op]}}


def test_the_page_does_what_python_does(tmp_path):
    rng = np.random.default_rng(7)
    rows = [
        (f, i, 1 + i % 2) for i in range(1, 31) for f in range(*np.sort(rng.integers(0, 60, 2)))
    ]
    each, edits, refused = editing(sorted(rows)), [], 0
    while len(edits) < 1000:
        edit = random_edit(rng, each)
        try:
            each.apply(edit)
            edits.append((edit, True))
        except ValueError:
            refused += 1
            edits.append((edit, False))
    assert 200 < refused < 800
    page = tmp_path / "page.html"
    columns = json.dumps(np.array(sorted(rows)).T.tolist())
    page.write_text(
        f"<html><head></head><body><script>{(HERE / 'edits.js').read_text()}</script></body></html>"
    )
    found = look(page, f"""
      const each = new Editing(...{columns}), patches = [];
      found.start = [[...each.ids], [...each.classes]];
      found.done = {json.dumps([e for e, _ in edits])}.map(edit => {{
        try {{ patches.push(each.apply(edit)); return true; }} catch {{ return false; }} }});
      found.end = [[...each.ids], [...each.classes]];
      for (const patch of patches.reverse()) each.undo(patch);
      found.undone = [[...each.ids], [...each.classes]];
    """)  # fmt: skip
    assert found["errors"] == []
    assert found["done"] == [done for _, done in edits]
    assert found["end"] == [each.ids.tolist(), each.classes.tolist()]
    assert found["undone"] == found["start"]
