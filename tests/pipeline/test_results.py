"""A run's folder: all or nothing, one run at a time, nothing stale."""

import json
import os

import pytest

from pipeline.results import LOCK, SUMMARY, OutputFolder


def write(folder, *names):
    for name in names:
        path = folder.staged / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def summary():
    return {"dataset": "x", "counts": {}, "notes": [], "rules": {}}


def names(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def test_what_is_staged_is_put_in_place_and_what_was_before_goes(tmp_path):
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        write(folder, "data/a.txt", "data/b.txt", "png/a/000.png", "pictures/a.mp4")
        folder.install(summary())
    assert names(out) == ["data/a.txt", "data/b.txt", "pictures/a.mp4", "png/a/000.png",
                          "summary.json"]  # fmt: skip
    (out / "data" / "mine.md").write_text("mine")
    said = summary()
    with OutputFolder(out) as folder:
        write(folder, "data/b.txt", "png/c/000.png")
        folder.install(said)
    assert names(out) == ["data/b.txt", "data/mine.md", "png/c/000.png", "summary.json"]
    assert "are replaced, 3 of its files removed" in said["notes"][0]
    assert json.loads((out / "summary.json").read_text())["files"] == ["data/b.txt", "png/c"]


def test_a_failure_leaves_the_earlier_results_as_they_were(tmp_path):
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        write(folder, "data/a.txt")
        folder.install(summary())
    before = {n: (out / n).read_bytes() for n in names(out)}
    with pytest.raises(OSError, match="No space left"), OutputFolder(out) as folder:
        write(folder, "data/a.txt", "data/b.txt")
        raise OSError(28, "No space left on device")
    assert {n: (out / n).read_bytes() for n in names(out)} == before


def test_a_folder_made_for_nothing_goes(tmp_path):
    with pytest.raises(ValueError, match="bad"), OutputFolder(tmp_path / "a" / "b") as folder:
        write(folder, "data/a.txt")
        raise ValueError("bad")
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_at_once_is_refused_and_a_lock_left_behind_is_not_one(tmp_path):
    with OutputFolder(tmp_path / "out"):
        with (
            pytest.raises(
                ValueError, match=rf"in use by another run, got one of process {os.getpid()}"
            ),
            OutputFolder(tmp_path / "out"),
        ):
            pass
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / LOCK).write_text("999999")  # of a run that was killed
    (tmp_path / "out" / ".new.abc").mkdir()
    with OutputFolder(tmp_path / "out") as folder:
        write(folder, "data/a.txt")
        folder.install(summary())
    assert names(tmp_path / "out") == ["data/a.txt", "summary.json"]


def test_a_summary_cannot_make_a_run_remove_what_is_not_its_own(tmp_path):
    out, precious = tmp_path / "out", tmp_path / "precious.txt"
    precious.write_text("x")
    (out / "data").mkdir(parents=True)
    (out / "keep.txt").write_text("x")
    lies = summary() | {
        "files": ["../precious.txt", "keep.txt", "data/../../precious.txt", "data/.."]
    }
    (out / "summary.json").write_text(json.dumps(lies))
    with OutputFolder(out) as folder:
        write(folder, "data/a.txt")
        folder.install(summary())
    assert precious.exists() and (out / "keep.txt").exists()


def test_inputs_in_any_folder_of_results_are_refused(tmp_path):
    (tmp_path / "out" / "coco").mkdir(parents=True)
    (tmp_path / "out" / "coco" / "a.json").write_text("[]")
    with pytest.raises(ValueError, match="must not be where the detections are"):
        OutputFolder(tmp_path / "out", [tmp_path / "out" / "coco" / "a.json"])


@pytest.mark.parametrize("given", ["davis/bear", "davis", "pictures/street.mp4", "data/a.txt"])
def test_what_is_read_is_never_written_over(tmp_path, given):
    source = tmp_path / "ds" / given
    source.parent.mkdir(parents=True)
    source.mkdir() if "." not in given else source.write_text("precious")
    with pytest.raises(ValueError, match="must not be where the detections are, or the video"):
        OutputFolder(tmp_path / "ds", [source])


def test_files_of_another_origin_are_not_replaced(tmp_path):
    out = tmp_path / "out"
    (out / "pictures").mkdir(parents=True)
    (out / "pictures" / "a.mp4").write_text("precious")
    with (
        pytest.raises(ValueError, match=r"must not hold files of another origin, got pictures/a"),
        OutputFolder(out) as folder,
    ):
        write(folder, "data/a.txt", "pictures/a.mp4")
        folder.install(summary())
    assert names(out) == ["pictures/a.mp4"]
    assert (out / "pictures" / "a.mp4").read_text() == "precious"


def test_segmenting_into_the_same_folder_replaces_what_was_found(tmp_path):
    for name in ("a", "b"):  # its summary has neither data set nor rules
        with OutputFolder(tmp_path / "out") as folder:
            write(folder, f"detections/{name}.txt")
            folder.install({"counts": {}, "notes": []})
    assert names(tmp_path / "out") == ["detections/b.txt", "summary.json"]


def test_a_kill_at_any_file_operation_leaves_the_old_results_or_the_new_ones(tmp_path, monkeypatch):
    """Each operation of `install` is the last one once; the next run then finds whole results."""
    old = {"data/a.txt": "old a", "data/b.txt": "old b", "png/a/0.png": "old"}
    new = {"data/a.txt": "new a", "png/a/0.png": "new", "pictures/a.mp4": "new", "report.html": "n"}

    def make(out, content):
        with OutputFolder(out) as folder:
            for name, text in content.items():
                (folder.staged / name).parent.mkdir(parents=True, exist_ok=True)
                (folder.staged / name).write_text(text)
            folder.install(summary())

    class Killed(BaseException):
        pass

    def content(out):
        skip = ("summary.json", ".running")
        return {n: (out / n).read_text() for n in names(out) if n not in skip}

    outcomes, count = set(), 0
    while True:
        out, left = tmp_path / f"out{count}", [count]
        make(out, old)
        assert content(out) == old
        for module, name in ((os, "replace"), (os, "unlink"), (os, "rmdir"), (os, "mkdir")):
            plain = getattr(module, name)

            def counted(*args, plain=plain, left=left, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return plain(*args, **kwargs)

            monkeypatch.setattr(module, name, counted)
        monkeypatch.setattr(OutputFolder, "__exit__", lambda *_: None)  # a kill tidies nothing up
        try:
            make(out, new)
            done = True
        except Killed:
            done = False
        monkeypatch.undo()
        (out / ".running").unlink(missing_ok=True)
        with OutputFolder(out):
            found = content(out)
        assert found in (old, new), (count, found)
        summary_there = json.loads((out / "summary.json").read_text())["files"]
        assert ("report.html" in summary_there) == (found == new)
        outcomes.add(found == new)
        if done:
            break
        count += 1
    assert outcomes == {True, False} and count > 10


def test_a_first_run_that_was_stopped_while_it_put_results_in_place_is_finished(
    tmp_path, monkeypatch
):
    moved = []

    def stopping(source, target):
        if str(target).endswith(SUMMARY):
            raise KeyboardInterrupt
        moved.append(target)
        return replace(source, target)

    replace = os.replace
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        with OutputFolder(tmp_path) as folder:
            write(folder, "data/0001.txt")
            patch.setattr(os, "replace", stopping)
            folder.install(summary())
    assert (tmp_path / "data" / "0001.txt").exists() and not (tmp_path / SUMMARY).exists()
    with OutputFolder(tmp_path):
        assert json.loads((tmp_path / SUMMARY).read_text())["files"] == ["data/0001.txt"]


def test_a_summary_of_another_program_is_not_written_over(tmp_path):
    (tmp_path / SUMMARY).write_text('{"mine": 1}')
    with pytest.raises(ValueError, match="must be a new folder"):
        OutputFolder(tmp_path)
    assert (tmp_path / SUMMARY).read_text() == '{"mine": 1}'
