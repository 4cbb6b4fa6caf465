"""What a signal does to work that may take long."""

import subprocess
import sys

# The system may give a signal to any thread of a process; here it gives it to that of the
# work, once the main thread sleeps.
CHILD = """
import os, signal, threading, time
from pipelines.supervise import supervise

def sleeps():
    with open(f"/proc/self/task/{os.getpid()}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"

def work(stop):
    looks = 0
    while looks < 200:
        looks = looks + 1 if sleeps() else 0
        time.sleep(0.0005)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    return 0 if stop.wait(20) else 7

raise SystemExit(supervise(work, lambda event, line: print(line)))
"""


def test_a_signal_that_another_thread_gets_is_not_lost():
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "SIGTERM: finishing what is under way" in done.stdout
