from utils.tables import comparison, format_table


def test_comparison_by_hand():
    lines = [
        ("a | b", "x", [98.25], 97.0),
        ("a | b", "n", [12], 15),
        ("a | b", "extra", [50.0], None),
        ("c", "x", [3.49], 3.5),
        ("c", "extra", [None], 3.5),
        ("c", "n", [None], None),
    ]
    assert comparison(lines).splitlines() == [
        "| | x | n | extra |",
        "|---|---|---|---|",
        "| a \\| b | 98.2 (97.0, +1.2) | 12 (15, -3) | 50.0 |",
        "| c | 3.5 (3.5, +0.0) | not run | not run (3.5) |",
    ]


def test_a_figure_of_zero_is_a_figure():
    lines = [("a", "IDS", [0], 5), ("a", "x", [0.0], 5.0)]
    assert comparison(lines).splitlines()[2] == "| a | 0 (5, -5) | 0.0 (5.0, -5.0) |"


def test_several_figures_of_ours_stand_beside_the_papers():
    lines = [("a", "x", [98.25, 97.0], 96.0), ("a", "n", [12, None], 15), ("a", "e", [1, 2], None)]
    assert comparison(lines).splitlines()[2] == (
        "| a | 98.2 / 97.0 (96.0) | 12 / not run (15) | 1 / 2 |"
    )


def test_what_has_no_value_is_a_dash():
    text = format_table("a", ("x", "y"), {"row": {"x": None}})
    assert text.splitlines()[1].split() == ["row", "-", "-"]
