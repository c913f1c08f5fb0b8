"""What is shown of a video while it is tracked: on the screen, or a line an object for a pipe."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from pipeline.frame_masks import Stop
from pipeline.request import Video
from utils.detections import Detections
from utils.drawing import Painter
from utils.masks import areas_of, tight_boxes_xywh
from utils.video import Image

COLUMNS = ("frame", "seconds", "id", "class", "x", "y", "width", "height", "score", "area")
STDOUT = "-"


class Screen:
    """Shows frames with the identities that are known now; q or Escape ends the run.

    Args:
        stop: asked to end the run. name_of: class number -> name.
    """

    def __init__(self, stop: Stop, name_of: Callable[[int], str]) -> None:
        self._stop, self._painter = stop, Painter(name_of)

    def take(self, number: int, seconds: float, image: Image, detections: Detections) -> None:
        """Show a frame: its number, its time, its picture, its detections with ids."""
        drawn = self._painter.draw(image, detections, np.flatnonzero(detections.ids), number)
        cv2.imshow("tracks", np.ascontiguousarray(drawn[:, :, ::-1]))
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            self._stop.asked = True

    def close(self) -> None:
        """End; the window goes with the program."""


class LiveCsv:
    """Writes a line for each object of a frame that has an identity now: COLUMNS, boxes in px.

    Args:
        place: of the file, or "-" for the standard output. name_of: class number -> name.
        stop: asked to end the run when nobody reads any more.
    """

    def __init__(self, place: str, name_of: Callable[[int], str], stop: Stop) -> None:
        self._name_of, self._stop = name_of, stop
        self._file: TextIO = sys.__stdout__ if place == STDOUT else Path(place).open("w")  # type: ignore[assignment]
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._write([COLUMNS])

    def _write(self, rows: list[Any]) -> None:
        try:
            self._writer.writerows(rows)
            self._file.flush()
        except BrokenPipeError:
            self._stop.asked = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())

    def take(self, number: int, seconds: float, image: Image, detections: Detections) -> None:
        """Write a frame, see `Screen.take`."""
        there = detections.select(detections.ids > 0)
        boxes = tight_boxes_xywh(there.rles, *there.size).astype(int).tolist()
        areas = areas_of(there.rles, there.height * there.width).tolist()
        columns = (there.ids, there.classes, there.scores)
        self._write(
            [
                (number, f"{seconds:.3f}", i, self._name_of(c), *box, f"{score:.4g}", area)
                for i, c, score, box, area in zip(
                    *(column.tolist() for column in columns), boxes, areas, strict=True
                )
            ]
        )

    def close(self) -> None:
        """Close the file."""
        if self._file is not sys.__stdout__:
            self._file.close()


class Watchers:
    """All that shows a video while it is tracked.

    Args:
        video: Video, which says what. name_of: class number -> name. stop: asked to end the run.
        rate: frames per second; None where frames come live, and the clock says their time.
    """

    def __init__(
        self, video: Video, name_of: Callable[[int], str], stop: Stop, rate: float | None
    ) -> None:
        self._all: list[Screen | LiveCsv] = [Screen(stop, name_of)] if video.show else []
        if video.live_csv is not None:
            self._all.append(LiveCsv(video.live_csv, name_of, stop))
        self._rate, self._start, self._count = rate, time.monotonic(), 0

    def take(self, number: int, image: Image, detections: Detections) -> None:
        """Show a frame: its number, its picture, its detections with the ids known now."""
        seconds = time.monotonic() - self._start
        if self._rate is not None:
            seconds = self._count / self._rate
        self._count += 1
        for watcher in self._all:
            watcher.take(number, seconds, image, detections)

    def close(self) -> None:
        """End what was begun."""
        for watcher in self._all:
            watcher.close()
