"""A receiver of webhooks on the loopback that checks what a receiver has to check, and remembers what came."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "a-secret-of-tests-that-is-long-enough"


class Receiver:
    """`answer(event)` is the status it gives (default 200), with headers where it is a pair."""

    def __init__(self, answer=lambda event: 200):
        self.answer, self.events, self.refused, self.wrong = answer, [], [], []
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.take(self, body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler, body):
        event = json.loads(body)
        signed = f"{handler.headers['webhook-id']}.{handler.headers['webhook-timestamp']}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256)).decode()
        status = self.answer(event)
        status, headers = status if isinstance(status, tuple) else (status, {})
        with self.changed:
            if expected not in handler.headers["webhook-signature"].split() or handler.headers["webhook-id"] != event["id"]:
                self.wrong.append(event)
            (self.events if status < 300 else self.refused).append(event)
            self.changed.notify_all()
        handler.send_response(status)
        for name, value in {"content-length": "0", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()

    def wait_for(self, condition, timeout=120.0):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), timeout), (len(self.events), len(self.refused))

    def close(self):
        self.server.shutdown()
        self.server.server_close()
