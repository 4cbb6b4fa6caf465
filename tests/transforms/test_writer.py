import json
import os
import socket
import time

import pytest

from tests.stores import CrateFileSystem
from transforms.writer import (
    LakeGone,
    LakeInUse,
    LocalLock,
    RemoteLock,
    check_lake_is_there,
    release_lake,
    take_lake,
)

LAKE = "crate://bucket/lake"
PLACE = f"{LAKE}/.unfinished/writer.lock"


@pytest.fixture
def crate(monkeypatch):
    """The objects of an empty store."""
    files: dict[str, bytes] = {}
    monkeypatch.setattr(CrateFileSystem, "files", files)
    return files


@pytest.fixture(params=["local", "remote"])
def lock(request, tmp_path, crate):
    """Makes locks of one lake, each as another process would."""
    if request.param == "local":
        return lambda command: LocalLock(str(tmp_path / "lake"), command)
    return lambda command: RemoteLock(LAKE, command)


def test_a_second_writer_is_refused_until_the_first_has_ended(lock):
    first, second = lock("watch"), lock("run")
    first.take()
    with pytest.raises(LakeInUse, match=rf"wirewatch watch \(process {os.getpid()} on .* since"):
        second.take()
    first.check()
    assert first.find_again() is False
    first.release()
    second.take()
    second.release()


def test_a_lake_that_is_moved_is_gone_until_it_is_back(tmp_path):
    lake, elsewhere = tmp_path / "lake", tmp_path / "elsewhere"
    lock = take_lake(str(lake), "watch")
    try:
        check_lake_is_there(str(lake))
        lake.rename(elsewhere)
        for check in (lock.check, lock.find_again, lambda: check_lake_is_there(str(lake))):
            with pytest.raises(LakeGone):
                check()
        elsewhere.rename(lake)
        assert lock.find_again() is False
        check_lake_is_there(str(lake))
    finally:
        release_lake(str(lake))
    lake.rename(elsewhere)
    check_lake_is_there(str(lake))


def beat(**changed):
    content = {"pid": 1, "host": "elsewhere", "command": "watch", "since": "now", "token": "x"}
    return json.dumps({**content, "beat": time.time(), **changed}).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(beat(beat=time.time() - 3600), id="old"),
        pytest.param(beat(beat=time.time() + 3600), id="of a clock that was wrong"),
        pytest.param(beat(host=socket.gethostname(), pid=2**22 + 1), id="its process is gone"),
        pytest.param(b"{", id="cut off"),
    ],
)
def test_a_store_s_lock_that_nobody_keeps_is_no_hindrance(crate, content):
    crate[PLACE] = content
    lock = RemoteLock(LAKE, "watch")
    lock.take()
    assert json.loads(crate[PLACE])["pid"] == os.getpid()
    lock.release()


def test_a_store_s_lock_that_another_has_taken_is_noticed(crate):
    lock = RemoteLock(LAKE, "watch")
    lock.take()
    crate[PLACE] = beat()
    with pytest.raises(LakeInUse, match="process 1 on elsewhere"):
        lock.check()
    lock.release()
    assert json.loads(crate[PLACE])["token"] == "x"
