"""Logs of a watcher: what anybody in its process says is JSON where JSON is asked for."""

import json
import subprocess
import sys

# What our code, libraries and the interpreter put on standard error, in ways of their own.
SPEAKS = """
import logging, sys, threading, warnings
from pipelines.logs import configure_logs, say
configure_logs(sys.argv[1])
say("tick", "1 new article \\x1b[31m\\u202e", lake="l", counts={"articles": 1}, error=None)
print("publishers cannot tell", "who is asking", file=sys.stderr)
warnings.warn("old")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("failed\\nbadly")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
"""


def spoken(log_format, environment):
    done = subprocess.run(
        [sys.executable, "-c", SPEAKS, log_format], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0
    return done.stderr.splitlines()


def test_all_that_is_said_is_an_object_a_line(child_environment):
    said = [json.loads(line) for line in spoken("json", child_environment)]
    tick, asked, warned, failed, *thread = said
    assert (tick["event"], tick["lake"], tick["counts"]) == ("tick", "l", {"articles": 1})
    assert "error" not in tick and tick["level"] == "INFO" and tick["time"].endswith("Z")
    assert asked["message"] == "publishers cannot tell who is asking"
    assert "UserWarning: old" in warned["message"]
    assert failed["logger"] == "library" and "ZeroDivisionError" in failed["exc_info"]
    assert "ZeroDivisionError" in "".join(line["message"] for line in thread)


def test_text_is_a_line_without_what_moves_a_terminal(child_environment):
    first, *_ = spoken("text", child_environment)
    assert first.endswith("Z 1 new article [31m")
