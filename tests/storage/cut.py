"""A line to a PostgreSQL server that can be cut at its most awkward moments."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path


class Line:
    """Forwards what comes to a socket of its own. `cut` says where: `before` the server hears of a COMMIT, or `after` it has answered one
    but before the client hears of that. `down` refuses new connections."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._folder = tempfile.TemporaryDirectory(prefix="cut-", dir="/tmp")
        self.folder = Path(self._folder.name)
        self.cut = ""
        self.down = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def dsn(self) -> str:
        return f"postgresql://twinwright:hunter2@/postgres?host={self.folder}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.down:
                    client.close()
                else:
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        deaf = threading.Event()
        with contextlib.suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server / ".s.PGSQL.5432"))
            threading.Thread(target=self._answer, args=(server, client, deaf), daemon=True).start()
            while data := client.recv(1 << 16):
                if b"COMMIT" in data and self.cut:
                    how, self.cut = self.cut, ""
                    if how == "before":
                        break
                    deaf.set()  # from here on the client hears nothing
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if deaf.is_set():
                    break
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self._folder.cleanup()
