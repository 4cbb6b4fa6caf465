"""Measures a pass over many feeds that have not changed: python -m benchmarks.polls

A server of its own process answers 304 on many loopback addresses, each a host. The
first pass reads every feed whole; the second, which is measured, asks conditionally.
Politeness delays are switched off where the policy has them: what is measured is work.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WALL_TARGET, CPU_TARGET = 15.0, 10.0
FEED = (
    b"<rss version='2.0'><channel><title>Feed</title><item><title>Story</title>"
    b"<link>http://127.0.0.1:9/news</link><pubDate>Fri, 01 Mar 2024 09:00:00 GMT</pubDate>"
    b"</item></channel></rss>"
)


class Handler(BaseHTTPRequestHandler):
    """Answers every path with one feed, or with 304 where its ETag is sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        is_feed = self.path.startswith("/feed")
        unchanged = is_feed and self.headers["If-None-Match"] == '"1"'
        self.send_response(304 if unchanged else 200 if is_feed else 404)
        body = FEED if is_feed and not unchanged else b""
        self.send_header("ETag", '"1"')
        if not unchanged:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def serve(port: "multiprocessing.Queue[int]") -> None:
    """Serves on every loopback address until the process is ended."""
    server = Server(("0.0.0.0", 0), Handler)
    port.put(server.server_port)
    server.serve_forever()


def cpu_seconds() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(feeds: int, hosts: int, threads: int) -> tuple[float, float, int]:
    """Wall seconds, processor seconds and 304 answers of the second pass."""
    from pipelines.monitor import run_plan
    from pipelines.options import parse_run
    from pipelines.prepare import make_plan
    from pipelines.summary import read_counters

    queue: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(queue,), daemon=True)
    server.start()
    port = queue.get()
    with tempfile.TemporaryDirectory() as folder:
        config, lake = Path(folder) / "monitor.yaml", f"{folder}/lake"
        sources = [
            {"url": f"http://127.0.1.{n % hosts + 1}:{port}/feed{n}", "kind": "feed"}
            for n in range(feeds)
        ]
        fetch = {"threads": threads, "attempts": 1, "robots": False}
        config.write_text(json.dumps({"fetch": fetch, "sources": sources}))
        flags, options = parse_run(["--config", str(config), "--lake", lake])
        run_plan(make_plan(flags), options)
        wall, cpu = time.monotonic(), cpu_seconds()
        counters = read_counters(run_plan(make_plan(flags), options))
        wall, cpu = time.monotonic() - wall, cpu_seconds() - cpu
    server.terminate()
    return wall, cpu, counters.get("feeds_unchanged", 0)


def main() -> None:
    """Prints what a pass costs, beside the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=int, default=1000)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--threads", type=int, default=16)
    flags = parser.parse_args()
    wall, cpu, unchanged = measure(flags.feeds, flags.hosts, flags.threads)
    print(f"{flags.feeds:,} feeds on {flags.hosts} hosts, {unchanged:,} answered 304")
    print(f"wall  {wall:6.1f} s            target {WALL_TARGET:g} s")
    print(f"CPU   {1000 * cpu / flags.feeds:6.2f} ms a feed    target {CPU_TARGET:g} ms")


if __name__ == "__main__":
    main()
