"""``python -m passk.watch``: see :mod:`passk.watch`."""

import argparse
import sys
from pathlib import Path

from passk.watch.folder import open_runs
from passk.watch.html import write_html
from passk.watch.server import ADDRESS, Followed, serve_at
from rlvr.records import DataError

EXIT_CODE = 2
PORT = 6160


def command() -> None:
    parser = argparse.ArgumentParser(
        prog="passk.watch", description="A page that follows runs: their curves, and the samples that they learn from."
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, such as runs/NAME")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page into one file instead of serving it")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; the next free one if it is taken")
    arguments = parser.parse_args()
    try:
        runs = open_runs(arguments.runs)
        if arguments.html is not None:
            for line in write_html(runs, arguments.html):
                print(f"passk.watch: {line}", file=sys.stderr)
            print(arguments.html)
            return
        if not 0 < arguments.port < 2**16:
            raise DataError(f"--port {arguments.port} is no port", remedy="choose one from 1 to 65535")
        server = serve_at(Followed(runs), arguments.port)
    except DataError as error:
        print(f"passk.watch: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except OSError as error:
        sys.exit(f"passk.watch: {error}")
    with server:
        try:
            if server.port != arguments.port:
                print(f"port {arguments.port} is taken")
            print(
                f"http://{ADDRESS}:{server.port}  follows {', '.join(run.name for run in runs)}; Ctrl-C ends it",
                flush=True,
            )
            print(
                f"from another machine: ssh -L {server.port}:{ADDRESS}:{server.port} THIS_MACHINE, then the same address",
                flush=True,
            )
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    command()
