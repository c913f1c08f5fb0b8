"""The frames of a page as a video: each is found by its place, in its size."""

from fractions import Fraction

import numpy as np

from utils.page.video import WIDEST, PageVideo, read_frames


def frames(size, count=20):
    return [np.full((*size, 3), 12 * k, np.uint8) for k in range(count)]


def test_frames_come_back_in_their_size_and_order(tmp_path):
    for size in ((41, 63), (333, 501), (900, WIDEST * 2)):
        video = PageVideo(tmp_path / f"{size[0]}.mp4", Fraction(10))
        for image in frames(size):
            video.write(image)
        video.close()
        back = list(read_frames(video.path, size))
        assert len(back) == 20 and {image.shape for image in back} == {(*size, 3)}
        assert np.abs([b.mean() - 12 * k for k, b in enumerate(back)]).max() < 4


def test_without_a_frame_there_is_no_file_and_a_ready_one_is_copied(tmp_path):
    empty = PageVideo(tmp_path / "e.mp4", Fraction(10))
    empty.close()
    assert not empty.there and not empty.path.exists()
    first = PageVideo(tmp_path / "a.mp4", Fraction(10))
    for image in frames((40, 60)):
        first.write(image)
    first.close()
    again = PageVideo(tmp_path / "b.mp4", Fraction(10), first.path)
    again.write(frames((40, 60))[0])
    again.close()
    assert again.there and again.path.read_bytes() == first.path.read_bytes()
