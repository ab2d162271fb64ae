"""Two processes that answer with their number: `python process_kit.py PORT`."""

import os
import socket
import sys

from serve.http import processes


def answer(listener: socket.socket) -> None:
    """Serve until SIGTERM; a client that says `die` ends the process."""
    while True:
        client, _ = listener.accept()
        client.sendall(str(os.getpid()).encode())
        if client.recv(3) == b"die":
            os._exit(3)
        client.close()


if __name__ == "__main__":
    processes.STEADY_S = float(sys.argv[2])
    processes.run_processes(2, answer, host="127.0.0.1", port=int(sys.argv[1]), drain_s=1)
