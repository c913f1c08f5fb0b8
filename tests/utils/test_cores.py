"""Work spread over cores."""

import threading

import pytest

from utils.cores import cores, on_cores


def test_the_share_of_a_process_is_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert cores() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 4, 5}, raising=False)
    assert cores() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert cores() == 3


@pytest.mark.parametrize(("share", "together"), [("1", False), ("2", True)])
def test_pieces_run_side_by_side_and_errors_come_through(monkeypatch, share, together):
    monkeypatch.setenv("OMP_NUM_THREADS", share)
    done, threads, both = [], set(), threading.Barrier(2, timeout=5 if together else 0.01)

    def call(piece):
        threads.add(threading.get_ident())
        if together and piece < 2:
            both.wait()  # passes only where two run at once
        done.append(piece)

    on_cores(call, range(4))
    assert sorted(done) == [0, 1, 2, 3]
    assert (threads == {threading.get_ident()}) != together
    with pytest.raises(ZeroDivisionError):
        on_cores(lambda piece: 1 // piece, [1, 0])
