"""A server of run folders, for the tests of its answers and of the page in a browser."""

import threading

import pytest

from passk.watch.folder import open_runs
from passk.watch.server import Followed, serve_at


@pytest.fixture
def serve():
    """``serve(*runs)``: a server of these folders in a thread."""
    servers = []

    def serve(*runs):
        server = serve_at(Followed(open_runs(runs)), port=0)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
