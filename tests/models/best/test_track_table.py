import numpy as np
import pytest

from models.best.track_table import TrackTable


def table():
    made = TrackTable(ids=np.zeros(0, int), centres=np.zeros((0, 2)), rles=np.zeros(0, object))
    made.append(ids=[7, 8], centres=[[1, 2], [3, 4]], rles=[b"a", b"b"])
    return made


def test_columns_are_appended_kept_and_updated_together():
    made = table()
    made.append(ids=[9], centres=[[5, 6]], rles=[b"c"])
    made.keep(np.array([True, False, True]))
    assert len(made) == 2 and made["ids"].tolist() == [7, 9]
    assert made["centres"].tolist() == [[1, 2], [5, 6]] and made["rles"].tolist() == [b"a", b"c"]
    made.update(np.array([1]), ids=np.array([4]), rles=np.array([b"d"], object))
    assert made["ids"].tolist() == [7, 4] and made["rles"].tolist() == [b"a", b"d"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (dict(ids=[1], centres=[[1, 2]]), "append must name every column once, got .'rles'."),
        (dict(ids=[1], centres=[[1, 2]], rles=[b"a"], more=[1]), "got .'more'. wrong"),
        (dict(ids=[1], centres=[], rles=[b"a"]), "append must be 1 rows in every column"),
    ],
)
def test_a_forgotten_column_is_an_error_and_nothing_is_appended(columns, message):
    made = table()
    with pytest.raises(ValueError, match=message):
        made.append(**columns)
    assert len(made) == 2 and len(made["ids"]) == len(made["centres"]) == len(made["rles"]) == 2


def test_unknown_columns_are_not_updated():
    with pytest.raises(ValueError, match=r"columns of the table, got .'speed'."):
        table().update(np.array([0]), speed=3)
