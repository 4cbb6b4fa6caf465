"""What a watcher shows on a terminal."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios

# Far beyond what anything here takes: a hang is to fail, not to wait for ever.
PATIENCE = 60
COMMAND = "import sys; from pipelines.cli import main; sys.exit(main())"


def watch_terminal(environment, width: int, *words) -> str:
    """What a terminal of so many columns shows of a watcher until its first tick has ended."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "watch", *map(str, words)],
        env={**environment, "COLUMNS": str(width)},
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"next poll in 4:" not in shown:
            assert select.select([ours], [], [], PATIENCE)[0], shown
            shown += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        # At its end a terminal of one process is closed: an error of reading.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 65_536):
                shown += piece
        assert process.wait(PATIENCE) == 0
    os.close(ours)
    return shown.decode()


def test_a_terminal_shows_what_is_going_on(child_environment, tmp_path, lake, write_story):
    (tmp_path / "a.txt").write_text(write_story(0))
    shown = watch_terminal(child_environment, 200, tmp_path / "a.txt", "--lake", lake)
    line = shown.rpartition("next poll in 4:")[2]
    assert "feeds: 0 healthy" in line and "hits today: 2" in line and "1 new" in line
    # The cursor is back.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_a_narrow_terminal_breaks_no_log_line(child_environment, tmp_path, lake, write_story):
    (tmp_path / "a.txt").write_text(write_story(0))
    shown = watch_terminal(child_environment, 50, tmp_path / "a.txt", "--lake", lake)
    assert re.search(r"Z 1 new article with \d passages, 2 of them on a topic; .* s\r?\n", shown)
    # The last line is as wide as the terminal at most.
    (line, *_) = shown.rpartition("next poll in 4:")[2].split("\r")
    assert len("next poll in 4:" + line.partition("\x1b")[0]) <= 50
