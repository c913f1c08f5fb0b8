"""Videos out: H.264 in parts, which are joined without encoding them again."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from utils.files import atomic_path
from utils.video import Image

# H.264 encoders of the FFmpeg that PyAV comes with, and what plays where there is none.
ENCODERS = (
    # A quarter of the time of "veryfast" at its quality of 20, in files 1.4 times as large.
    ("libx264", {"preset": "ultrafast", "crf": "24"}),
    ("libopenh264", {"b": "4M"}),
    ("mpeg4", {"q": "3"}),
)
GOP = 50  # frames from one key frame to the next, so that players can seek
QUICK_GOP = 8  # likewise, where a page seeks frame by frame
THREADS = 4  # of the encoder
WAITING = 3  # frames that may wait for the encoder


class VideoWriter:
    """Writes frames as an mp4 that browsers play.

    Args:
        path: of the file. size: (height, width) of frames in px. rate: frames per second.
        in_order: whether frames are coded as they come, so that `join` can set their times.
        seekable: whether each frame is found at once; the file is larger.

    Odd sides get one more row or column, as H.264 has none.

    Raises:
        ValueError: FFmpeg here cannot encode video.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction,
        in_order: bool = False,
        seekable: bool = False,
    ) -> None:
        import av

        self.path = path
        self._opened: Any = av.open(str(path), "w", format="mp4")
        self._rate, self._count = rate, 0
        self._pad = size[0] % 2, size[1] % 2
        name, options = next((e for e in ENCODERS if _has(e[0])), (None, None))
        if name is None or options is None:
            raise ValueError(f"{path}: FFmpeg must be able to encode video, got no encoder")
        opened: Any = self._opened
        options = {**options, **({"bf": "0"} if in_order or seekable else {})}
        if seekable and "crf" in options:
            options["crf"] = "27"  # key frames come often
        stream = opened.add_stream(name, rate=rate, options=options)
        stream.height, stream.width = size[0] + self._pad[0], size[1] + self._pad[1]
        stream.pix_fmt, stream.gop_size = "yuv420p", QUICK_GOP if seekable else GOP
        stream.codec_context.thread_count = THREADS  # fixed: the same bytes on any machine
        self._stream = stream
        self._worker, self._pending = ThreadPoolExecutor(1), deque[Future[None]]()

    def write(self, image: Image) -> None:
        """Add a (height, width, 3) uint8 RGB frame, which must not be changed any more.

        It is encoded while the caller goes on; an error is raised by a later call.
        """
        if len(self._pending) > WAITING:
            self._pending.popleft().result()
        self._pending.append(self._worker.submit(self._encode, image))

    def _encode(self, image: Image) -> None:
        import av

        if any(self._pad):
            image = np.pad(image, ((0, self._pad[0]), (0, self._pad[1]), (0, 0)), mode="edge")
        # FFmpeg's own conversion takes six times as long.
        planes = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        for packet in self._stream.encode(frame):
            self._opened.mux(packet)

    def close(self) -> None:
        """End the file."""
        try:
            while self._pending:
                self._pending.popleft().result()
            if self._count:
                for packet in self._stream.encode():
                    self._opened.mux(packet)
        finally:
            self._worker.shutdown()
            self._opened.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _has(encoder: str) -> bool:
    """Return whether FFmpeg has an encoder."""
    import av

    with contextlib.suppress(av.codec.codec.UnknownCodecError):
        av.Codec(encoder, "w")
        return True
    return False


def join(parts: list[Path], path: Path, times: list[float] | None = None) -> None:
    """Write videos of one kind one after another, without encoding them again.

    Args:
        parts: files, their frames coded in order where there are times. path: to write.
        times: seconds of all frames; None keeps the constant rate.
    """
    import av

    with atomic_path(path) as temporary:
        options = {"movflags": "faststart"}
        with av.open(str(temporary), "w", format="mp4", options=options) as joined:
            out, start, count = None, 0, 0
            for part in parts:
                with av.open(str(part)) as opened:
                    stream = opened.streams.video[0]
                    if out is None:
                        out = joined.add_stream_from_template(stream)
                    end = start
                    for packet in opened.demux(stream):
                        if packet.dts is None:
                            continue
                        length = packet.duration or 0
                        packet.pts = start + (packet.pts or 0)
                        packet.dts = start + packet.dts
                        if times is not None and count < len(times):
                            at = Fraction(times[count] - times[0]) / out.time_base
                            packet.pts = packet.dts = round(at)
                        count += 1
                        end = max(end, packet.pts + length)
                        packet.stream = out
                        joined.mux(packet)
                    start = end
