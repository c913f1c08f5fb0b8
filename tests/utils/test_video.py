"""Streams that break: read on, never endlessly and never twice."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from utils import video
from utils.video import Frames


class Connections:
    """What an address gives each time that it is opened: values of frames, an error where None."""

    def __init__(self, *openings, frames=0):
        self.openings, self.frames, self.closed = list(openings), frames, 0

    def close(self):
        self.closed += 1

    def open(self, *_):
        values = self.openings.pop(0) if len(self.openings) > 1 else self.openings[0]
        stream = SimpleNamespace(
            frames=self.frames, duration=None, average_rate=Fraction(10), guessed_rate=None
        )
        return self, self._decode(values), stream

    @staticmethod
    def _decode(values):
        for value in values:
            if value is None:
                raise av.FFmpegError(5, "broken")
            image = np.full((4, 6, 3), value, np.uint8)
            yield SimpleNamespace(to_ndarray=lambda format, image=image: image, time=0.0)


@pytest.fixture
def read(monkeypatch):
    monkeypatch.setattr(video.time, "sleep", lambda _: None)

    def through(connections):
        monkeypatch.setattr(video._Stream, "_open", connections.open)
        frames = Frames("rtsp://camera/1")
        return [(number, int(image[0, 0, 0])) for number, image in frames], frames.notes

    return through


def test_a_camera_that_breaks_goes_on_with_what_it_shows_next(read):
    connections = Connections([1, 2, None], [7, 8])
    found, notes = read(connections)
    assert found == [(0, 1), (1, 2), (2, 7), (3, 8)]
    assert len(notes) == 1 and "interrupted after frame 1" in notes[0]
    assert connections.closed == 1


def test_a_file_that_breaks_goes_on_where_it_broke(read):
    found, _ = read(Connections([1, 2, None], [1, 2, 3, 4], frames=4))
    assert found == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_connection_that_opens_and_gives_nothing_is_given_up(read):
    found, notes = read(Connections([1, None], []))
    assert found == [(0, 1)] and len(notes) == 1
