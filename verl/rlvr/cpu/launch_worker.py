"""Stands in for the Python interpreter of a Ray worker: asks the fork server for the worker, and lives as long as it does.

    python -I -S launch_worker.py SOCKET default_worker.py ARGUMENTS…

Ray starts it (see :mod:`rlvr.cpu.forkserver`), so it imports the standard library alone.
"""

import array
import json
import os
import socket
import sys


def main(address: str, arguments: list[str]) -> None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
    except OSError:  # no server: be the interpreter
        os.execv(sys.executable, [sys.executable, *arguments])
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    body = json.dumps(request).encode()
    streams = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    connection.sendmsg([len(body).to_bytes(8, "big")], [streams])
    connection.sendall(body)
    connection.recv(1)  # returns when the worker has ended


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
