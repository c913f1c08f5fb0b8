"""Videos: frames in, with masks or a segmenter; stopped, killed, gone on with; what is refused."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

import track_video
from pipeline.drawn_video import DrawnVideoSink
from pipeline.frame_masks import Stop
from pipeline.live import Live
from pipeline.request import Request, Video
from pipeline.run import execute
from pipeline.settings import settings_for
from pipeline.spool import Spool
from tests import independent
from tests.browser import look
from tests.conftest import make_detections, write_scored
from utils.data_sets import data_set
from utils.formats.reading import read_detections
from utils.video import Frames
from utils.video_writing import VideoWriter

ROOT = Path(__file__).parents[1]
FRAMES, HEIGHT, WIDTH = 130, 96, 128
COLOURS = ((220, 40, 40), (40, 220, 40), (40, 40, 220))
SEGMENTER = """
import os, time
import numpy as np

calls = []

def blobs(image):
    calls.append(1)
    time.sleep(float(os.environ.get("SLOW", 0)))
    with open(os.environ["COUNT"], "a") as file:
        file.write("x")
    found = []
    for k in range(3):
        others = np.delete(image.astype(int), k, 2).max(2)
        mask = (image[:, :, k] > 150) & (others < 120)
        if mask.sum() > 20:
            found.append(mask)
    n = len(found)
    return (np.array(found), np.linspace(0.6, 0.9, n), np.ones(n, int)) if n else None

def broken(image):
    if len(calls) == 9:
        raise RuntimeError("out of\\nmemory")
    return blobs(image)

def odd(image):
    return "masks"
"""


def place(frame, k):
    return 4 + 30 * k + frame * (k + 1) // 4, 6 + 28 * k


def picture(frame):
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for k, colour in enumerate(COLOURS):
        x, y = place(frame, k)
        image[y : y + 20, x : x + 14] = colour
    return image


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Return a folder with a video, its masks as COCO results, and a segmenter."""
    folder = tmp_path_factory.mktemp("walk")
    with VideoWriter(folder / "walk.mp4", (HEIGHT, WIDTH), Fraction(25)) as video:
        for frame in range(FRAMES):
            video.write(picture(frame))
    objects = []
    for frame in range(FRAMES):
        for k in range(3):
            x, y = place(frame, k)
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[y : y + 20, x : x + 14] = 1
            if mask.sum() > 50:
                objects.append((frame, k + 1, 1, mask))
    independent.coco_results(independent.Scene(objects, (HEIGHT, WIDTH)), folder)
    (folder / "mine.py").write_text(SEGMENTER)
    return folder


def run(folder, output, *arguments, slow=0, wait=True):
    """Run the script in a folder; return the finished, or running, process."""
    environment = {**os.environ, "SLOW": str(slow), "COUNT": str(output.parent / "count")}
    command = [sys.executable, str(ROOT / "track_video.py"), *arguments, "--output", str(output)]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    if wait:
        process.out, process.err = process.communicate()
    return process


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture(scope="module")
def whole(walk, tmp_path_factory):
    """Return the files of a run that was never stopped."""
    output = tmp_path_factory.mktemp("whole") / "out"
    done = run(walk, output, "walk.mp4", "--segmenter", "mine:blobs", *FAST)
    assert done.returncode == 0, done.err
    return files(output)


FAST = ("--tracker", "best", "--set", "memory=20")


def test_a_video_with_its_masks(walk, tmp_path, capsys):
    arguments = [str(walk / "walk.mp4"), "--detections", str(walk / "seq.json"), *FAST,
                 "--output", str(tmp_path / "out"), "--write", "coco", "mot"]  # fmt: skip
    summary = execute(track_video.request_of(track_video.parse_args(arguments)))
    made = files(tmp_path / "out")
    assert set(made) == {"data/walk.txt", "pictures/walk.mp4", "coco/walk.json", "mot/walk.txt",
                         "pictures/walk_frames.mp4",
                         "report.html", "summary.json"}  # fmt: skip
    assert summary["files"] == sorted(set(made) - {"summary.json"})
    assert summary["counts"]["frames"] == FRAMES and summary["counts"]["tracks"] == 3
    result = read_detections(tmp_path / "out" / "data" / "walk.txt")
    assert set(result.ids.tolist()) == {1001, 1002, 1003}
    with av.open(str(tmp_path / "out" / "pictures" / "walk.mp4")) as opened:
        stream = opened.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == 25
        frames = [f.to_ndarray(format="rgb24") for f in opened.decode(stream)]
    assert len(frames) == FRAMES and frames[0].shape == (HEIGHT, WIDTH, 3)
    # Drawn where the objects are, by colours of their identities, and nowhere else.
    x, y = place(0, 1)
    assert np.abs(frames[0][y + 3, x + 3].astype(int) - COLOURS[1]).max() > 40
    assert np.abs(frames[0][90, 4].astype(int) - 90).max() < 12


PLAY = """
  const video = document.querySelector("video");
  const once = name => new Promise((yes, no) => {
    video.addEventListener(name, yes, {once: true}); setTimeout(() => no(name + " late"), 6000); });
  if (video.readyState < 2) await once("loadeddata");
  found.duration = video.duration; found.width = video.videoWidth; found.height = video.videoHeight;
  found.at = video.currentTime; found.error = video.error;
"""


def test_a_browser_plays_the_video(walk, tmp_path):
    arguments = [str(walk / "walk.mp4"), "--detections", str(walk / "seq.json"), "--tracker",
                 "mask_iou", "--no-report", "--output", str(tmp_path / "out")]  # fmt: skip
    execute(track_video.request_of(track_video.parse_args(arguments)))
    assert not (tmp_path / "out" / "report.html").exists()
    page = tmp_path / "out" / "pictures" / "page.html"
    page.write_text("<html><head></head><body><video src=walk.mp4#t=2.6></video></body></html>")
    found = look(page, PLAY)
    assert found["errors"] == [] and found["error"] is None
    assert found["duration"] == pytest.approx(FRAMES / 25, abs=0.01)
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    assert found["at"] == pytest.approx(2.6)  # a frame in the middle is decoded


def test_lines_for_a_pipe_come_alone(walk, tmp_path):
    arguments = ("walk.mp4", "--detections", "seq.json", *FAST, "--no-report", "--live-csv", "-")
    done = run(walk, tmp_path / "out", *arguments)
    lines = done.out.splitlines()
    assert lines[0].startswith("frame,seconds,id,class,") and "tracks" in done.err
    result = read_detections(tmp_path / "out" / "data" / "walk.txt")
    now = {(int(line.split(",")[0]), int(line.split(",")[2])) for line in lines[1:]}
    final = set(zip(result.frames.tolist(), result.ids.tolist(), strict=True))
    assert now <= final and len(now) > 0.9 * len(final)  # of a track's first frames none is sure


def test_killed_and_gone_on_with_the_files_are_the_same(walk, whole, tmp_path):
    arguments = ("walk.mp4", "--segmenter", "mine:blobs", *FAST)
    stopped = run(walk, tmp_path / "cut", *arguments, slow=0.05, wait=False)
    masks = tmp_path / "cut" / ".work" / "masks.txt"
    while not (masks.is_file() and masks.read_bytes().count(b"96 128") > 75):
        assert stopped.poll() is None
        time.sleep(0.05)
    stopped.send_signal(signal.SIGKILL)
    stopped.wait()
    before = (tmp_path / "count").stat().st_size
    assert not (tmp_path / "cut" / "data").exists() and 75 < before < FRAMES
    masks.write_bytes(masks.read_bytes() + b"99999 3 96 128 1\n1 0 0.5")  # cut in the middle
    again = run(walk, tmp_path / "cut", *arguments, "--resume")
    assert again.returncode == 0, again.err
    assert files(tmp_path / "cut") == whole
    segmented = (tmp_path / "count").stat().st_size - before
    assert FRAMES - before <= segmented <= FRAMES - before + 1  # what was found is not sought again


def test_ctrl_c_leaves_valid_files_up_to_that_frame(walk, whole, tmp_path):
    process = run(walk, tmp_path / "out", "walk.mp4", "--segmenter", "mine:blobs", *FAST,
                  slow=0.05, wait=False)  # fmt: skip
    masks = tmp_path / "out" / ".work" / "masks.txt"
    while not (masks.is_file() and masks.read_bytes().count(b"96 128") > 60):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and "Traceback" not in err
    assert "--resume goes on" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    count = summary["counts"]["frames"]
    assert summary["stopped"] and 60 < count < FRAMES
    with av.open(str(tmp_path / "out" / "pictures" / "walk.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == count
    assert read_detections(tmp_path / "out" / "data" / "walk.txt").frames.max() == count - 1
    other = run(walk, tmp_path / "out", "walk.mp4", "--segmenter", "mine:blobs", "--resume")
    assert other.returncode == 2 and other.err.count("\n") == 1
    assert "the run begins anew): settings changed, settings was" in other.err
    again = run(walk, tmp_path / "out", "walk.mp4", "--segmenter", "mine:blobs", *FAST, "--resume")
    assert again.returncode == 0, again.err
    assert not (tmp_path / "out" / ".work").exists()
    assert files(tmp_path / "out") == whole


def test_what_was_segmented_is_kept_frame_by_frame(tmp_path, capsys):
    def kept(spool):
        return [(f, d.classes.tolist(), d.scores.tolist()) for f, d in spool.stored()]

    first = Spool(tmp_path, {"a": 1}, resume=False)
    tenth = replace(make_detections([(0, 0, 2, 0.1, (1, 2, 3, 4))]), scored=True)
    as_read = first.store(0, tenth)
    assert as_read.scores[0] == tenth.scores[0] and as_read.boxes_xywh.tolist() == [[1, 2, 3, 4]]
    first.store(1, tenth.select([]))
    masks = first.folder / "masks.txt"
    masks.write_bytes(masks.read_bytes() + b"2 3 40 60 1\n1 0 0.5")  # stopped while writing
    second = Spool(tmp_path, {"a": 1}, resume=True)
    second.store(2, tenth)
    third = Spool(tmp_path, {"a": 1}, resume=True)
    score = float(np.float32(0.1))
    assert kept(third) == [(0, [2], [score]), (1, [], []), (2, [2], [score])]
    with pytest.raises(ValueError, match=r"--resume must .* a changed, a was 1, got 2"):
        Spool(tmp_path, {"a": 2}, resume=True)
    assert "note" not in capsys.readouterr().out
    Spool(tmp_path, {"a": 2}, resume=False)
    assert not masks.exists()
    assert "an earlier run was stopped there; it is begun anew" in capsys.readouterr().out
    shutil.rmtree(first.folder)
    Spool(tmp_path, {"a": 2}, resume=True)
    assert "nothing to resume: starting from the beginning" in capsys.readouterr().out


def test_a_failing_segmenter_is_named_and_what_was_found_stays(walk, tmp_path):
    done = run(walk, tmp_path / "out", "walk.mp4", "--segmenter", "mine:broken", *FAST)
    assert done.returncode == 2
    assert done.err == "--segmenter mine:broken: frame 9: RuntimeError: out of memory\n"
    assert set(files(tmp_path / "out")) == {".work/masks.txt", ".work/state.json"}
    done = run(walk, tmp_path / "odd", "walk.mp4", "--segmenter", "mine:odd", *FAST)
    assert done.returncode == 2 and "must be supervision.Detections" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.mp4", "--segmenter", "mine:blobs"], "none.mp4: must be a video, a folder of pict"),
        (["seq.json", "--segmenter", "mine:blobs"], "seq.json: must be a video that can be read"),
        (["walk.mp4", "--segmenter", "mine:nothing"], "must be a function, got nothing of that"),
        (
            ["walk.mp4", "--segmenter", "blobs"],
            "--segmenter must be motion, threshold, coco",
        ),
        (
            ["walk.mp4", "--segmenter", "no_such_module:f"],
            "no_such_module cannot be imported (ModuleNotFoundError",
        ),
        (["walk.mp4", "--detections", "mine.py"], "mine.py: must be of a known format"),
        (["walk.mp4", "--detections", "seq.json", "--classes", "cat"], "--classes must be classes"),
        (["walk.mp4", "--detections", "seq.json", "--fps", "0"], "must be frames per second"),
        (["walk.mp4", "--detections", "small.json"], "a mask must have its frame's size 96 128"),
        (["walk.mp4", "--detections", "seq.json", "--show"], "--show needs a screen"),
        (["walk.mp4"], "one of the arguments --detections --segmenter is required"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    walk, tmp_path, monkeypatch, capsys, arguments, message
):
    small = [{"image_id": 1, "category_id": 1, "score": 0.5,
              "segmentation": {"size": [4, 5], "counts": [3, 17]}}]  # fmt: skip
    (walk / "small.json").write_text(json.dumps(small))
    monkeypatch.chdir(walk)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(
        sys, "argv", ["track_video.py", *arguments, "--output", str(tmp_path / "o")]
    )
    from utils import cli

    with pytest.raises(SystemExit) as caught:
        cli.run(track_video.main)
    captured = capsys.readouterr()
    assert caught.value.code == 2 and message in captured.err
    assert captured.err.strip().count("\n") == 0
    assert not (tmp_path / "o").exists()


def test_a_folder_in_use_is_refused(walk, tmp_path):
    arguments = ("walk.mp4", "--segmenter", "mine:blobs", *FAST)
    first = run(walk, tmp_path / "out", *arguments, slow=0.05, wait=False)
    while not (tmp_path / "out" / ".running").is_file():
        assert first.poll() is None
        time.sleep(0.05)
    second = run(walk, tmp_path / "out", *arguments)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert second.returncode == 2
    assert f"must not be in use by another run, got one of process {first.pid}" in second.err


def test_a_folder_of_frames_keeps_its_numbers(walk, tmp_path):
    import cv2

    folder = tmp_path / "street"
    folder.mkdir()
    for frame in range(10, 22):
        cv2.imwrite(str(folder / f"{frame:04d}.png"), picture(frame)[:, :, ::-1])
    arguments = [str(folder), "--detections", str(walk / "seq.json"), "--tracker", "mask_iou",
                 "--output", str(tmp_path / "out"), "--fps", "12.5"]  # fmt: skip
    summary = execute(track_video.request_of(track_video.parse_args(arguments)))
    result = read_detections(tmp_path / "out" / "data" / "street.txt")
    assert sorted(set(result.frames.tolist())) == list(range(10, 22))
    assert summary["frames_per_second"] == "25/2"
    assert any("are of 118 frames that the video has not (0, 1, 2, ...)" in n
               for n in summary["notes"])  # fmt: skip
    assert Frames(str(tmp_path / "out" / "pictures" / "street.mp4")).rate == Fraction(25, 2)


def test_masks_numbered_from_one_are_found_out_and_said(walk, tmp_path):
    items = json.loads((walk / "seq.json").read_text())
    for item in items:
        item["image_id"] += 1
    (tmp_path / "one.json").write_text(json.dumps(items))
    arguments = [str(walk / "walk.mp4"), "--detections", str(tmp_path / "one.json"), "--tracker",
                 "mask_iou", "--output", str(tmp_path / "out")]  # fmt: skip
    summary = execute(track_video.request_of(track_video.parse_args(arguments)))
    assert any("its first frame is taken as number 1" in note for note in summary["notes"])
    assert summary["counts"]["read"] == len(items)


@pytest.mark.parametrize("size", [(97, 131), (240, 320)])
def test_video_writer_and_reader_agree(tmp_path, size):
    with VideoWriter(tmp_path / "v.mp4", size, Fraction(30000, 1001)) as video:
        for frame in range(7):
            video.write(np.full((*size, 3), 30 * frame, np.uint8))
    opened = Frames(str(tmp_path / "v.mp4"))
    seen = [(n, image.mean()) for n, image in opened]
    assert [n for n, _ in seen] == list(range(7)) and opened.rate == Fraction(30000, 1001)
    assert np.abs(np.array([m for _, m in seen]) - 30 * np.arange(7)).max() < 4
    assert opened.size == tuple(s + s % 2 for s in size)  # H.264 has even sides


def test_masks_whose_numbers_leave_a_doubt_are_said(walk, tmp_path):
    items = [i for i in json.loads((walk / "seq.json").read_text()) if i["image_id"] > 2]
    (tmp_path / "late.json").write_text(json.dumps(items))
    arguments = [str(walk / "walk.mp4"), "--detections", str(tmp_path / "late.json"), "--tracker",
                 "mask_iou", "--output", str(tmp_path / "out")]  # fmt: skip
    summary = execute(track_video.request_of(track_video.parse_args(arguments)))
    assert any("taken as number 0 (--first-frame 1 otherwise)" in n for n in summary["notes"])


def test_pictures_of_one_frame_are_refused_and_those_without_a_number_said(tmp_path):
    import cv2

    for name in ("left_01.png", "left_11.png", "left_21.png", "left_31.png", "cover.png"):
        cv2.imwrite(str(tmp_path / name), picture(0))
    frames = Frames(str(tmp_path))
    assert frames.numbers == [1, 11, 21, 31]
    assert frames.notes == ["1 pictures without a number are left out (cover.png)"]
    cv2.imwrite(str(tmp_path / "right_01.png"), picture(0))
    with pytest.raises(ValueError, match=r"right_01\.png: a frame must be there once"):
        Frames(str(tmp_path))


def test_a_video_that_is_damaged_at_its_end_is_tracked_until_there(walk, tmp_path):
    whole = (walk / "walk.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole)
    frames = Frames(str(tmp_path / "cut.mp4"))
    media = whole.index(b"mdat")
    size = len(whole) - media
    damaged = bytearray(whole)
    start = media + int(size * 0.2)
    damaged[start : start + int(size * 0.1)] = bytes(int(size * 0.1))
    (tmp_path / "cut.mp4").write_bytes(bytes(damaged))
    seen = [number for number, _ in frames]
    assert len(seen) > 5 and (len(seen) == FRAMES or "cannot be read after" in frames.notes[0])


def test_a_camera_is_read_until_it_ends(tmp_path, monkeypatch):
    import cv2

    class Camera:
        def __init__(self, number):
            assert number == 0
            self.frames = [np.full((48, 64, 3), (10, 20, 200), np.uint8) for _ in range(4)]

        def read(self):
            return (True, self.frames.pop()) if self.frames else (False, None)

        def get(self, what):
            return 29.97

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.chdir(tmp_path)
    frames = Frames("0")
    assert frames.size == (48, 64) and float(frames.rate) == pytest.approx(29.97, abs=1e-3)
    seen = list(frames)
    assert [n for n, _ in seen] == [0, 1, 2, 3] and seen[0][1][0, 0].tolist() == [200, 20, 10]


def asked(source, output, *arguments):
    """Return the request that a command line makes."""
    line = [str(source), "--output", str(output), *arguments]
    return track_video.request_of(track_video.parse_args(line))


def test_a_stop_before_the_first_frame_is_no_error(walk, tmp_path):
    masks = next(walk.glob("*.json"))
    stop = Stop()
    stop.asked = True
    request = asked(walk / "walk.mp4", tmp_path / "out", "--detections", str(masks))
    summary = execute(request, stop)
    assert summary["stopped"] and "stopped after 0 frames (--resume goes on)" in summary["notes"]
    assert (tmp_path / "out" / "data" / "walk.txt").read_bytes() == b""


def test_a_stopped_camera_leaves_its_tracks_and_nothing_to_resume(tmp_path, monkeypatch):
    import cv2

    class Camera:
        def __init__(self, number):
            self.count = 0

        def read(self):
            self.count += 1
            if self.count == 7:
                stop.asked = True
            return True, np.ascontiguousarray(picture(self.count)[:, :, ::-1])

        def get(self, what):
            return 25.0

    (tmp_path / "mine.py").write_text(SEGMENTER)
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    stop = Stop()
    summary = execute(asked("0", tmp_path / "out", "--segmenter", "mine:blobs"), stop)
    frames = summary["counts"]["frames"]
    assert summary["stopped"] and 4 <= frames <= 7
    assert not [note for note in summary["notes"] if "--resume" in note]
    assert not (tmp_path / "out" / ".work").exists()
    name = next((tmp_path / "out" / "data").glob("*.txt")).stem
    with av.open(str(tmp_path / "out" / "pictures" / f"{name}.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == frames


def test_parts_that_an_earlier_run_drew_further_are_not_joined(walk, tmp_path):
    masks = str(next(walk.glob("*.json")))
    arguments = [walk / "walk.mp4", tmp_path / "out", "--detections", masks]
    stop, draw, update = Stop(), DrawnVideoSink.take, Live.update

    def stop_late(self, number, result, image):
        draw(self, number, result, image)
        if number == 110:
            stop.asked = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawnVideoSink, "take", stop_late)
        assert execute(asked(*arguments), stop)["stopped"]
    stop.asked = False

    def stop_early(self, number, *rest):
        stop.asked = number == 20
        return update(self, number, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Live, "update", stop_early)
        assert execute(asked(*arguments, "--resume"), stop)["counts"]["frames"] == 21
    with av.open(str(tmp_path / "out" / "pictures" / "walk.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 21


def test_frames_of_an_uneven_rate_keep_their_times(tmp_path):
    # 30, then 8 frames a second.
    path, times = tmp_path / "v.mp4", [k / 30 for k in range(60)] + [2 + k / 8 for k in range(20)]
    with av.open(str(path), "w") as opened:
        stream = opened.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        for k, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame.pts, frame.time_base = round(at * 90_000), Fraction(1, 90_000)
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode())
    objects = [(f, 1, 1, 0.9, (*place(f, 0), 14, 20)) for f in range(len(times))]
    write_scored(tmp_path / "masks" / "v.txt", make_detections(objects, HEIGHT, WIDTH, "v"))
    settings = settings_for(data_set("custom"), "mask_iou")
    video = Video(str(path), [tmp_path / "masks"])
    execute(Request(settings, video, tmp_path / "out"))
    with av.open(str(tmp_path / "out" / "pictures" / "v.mp4")) as drawn:
        shown = [float(frame.time) for frame in drawn.decode(video=0)]
    assert shown == pytest.approx(times, abs=0.01)


def test_an_address_is_a_source_and_one_that_is_none_is_one_line(walk, tmp_path):
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(walk))
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://user:secret@127.0.0.1:{server.server_address[1]}/walk.mp4"
    try:
        frames = Frames(address)
        assert frames.live and "secret" not in frames.name and frames.name.endswith("walk.mp4")
        assert sum(1 for _ in frames) == FRAMES and frames.size == (HEIGHT, WIDTH)
    finally:
        server.shutdown()
        server.server_close()
    done = run(walk, tmp_path / "out", address, "--segmenter", "mine:blobs")
    assert done.returncode == 2 and len(done.err.splitlines()) == 1, done.err
    assert "must be a video that can be opened" in done.err and "secret" not in done.err
    done = run(walk, tmp_path / "out", "17", "--segmenter", "mine:blobs")
    assert done.returncode == 2 and done.err == "camera 17: must give frames, got none\n"
