"""Requests that must not reach the SuperLink through the edge."""

FLEET = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "get-run",
    "get-fab",
    "pull-messages",
    "push-messages",
    "pull-object",
    "push-object",
    "confirm-message-received",
)
GOOD = "/v1/fleet/get-run"


def post(
    target: str, *, method: str = "POST", version: str = "HTTP/1.1", more: str = "", body: str = "x"
) -> bytes:
    """A request that ends its connection, so that every answer ends."""
    head = f"{method} {target} {version}\r\nHost: localhost\r\nConnection: close\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")


TARGETS = {
    # the Control and Runtime APIs, and what of the Fleet API a registered SuperNode never calls
    "start a run": "/v1/control/start-run",
    "list runs": "/v1/control/list-runs",
    "stop a run": "/v1/control/stop-run",
    "register a SuperNode": "/v1/control/register-node",
    "take a task": "/v1/runtime/claim-task",
    "pull a task": "/v1/runtime/pull-task-input",
    "fleet register-node": "/v1/fleet/register-node",
    "fleet unregister-node": "/v1/fleet/unregister-node",
    "health": "/health",
    "schema of the API": "/openapi.json",
    "root": "/",
    "the prefix alone": "/v1/fleet/",
    # paths that a decoder, a resolver or a merger of slashes reads otherwise than a comparison of text
    "dots out of the prefix": "/v1/fleet/../control/start-run",
    "dots out and back": "/v1/control/../fleet/get-run",
    "dots behind an allowed path": "/v1/fleet/get-run/../../control/start-run",
    "dots that stay": "/v1/fleet/./get-run",
    "encoded dots": "/v1/fleet/%2e%2e/control/start-run",
    "encoded dots out and back": "/v1/control/%2e%2e/fleet/get-run",
    "half-encoded dots": "/v1/fleet/.%2e/control/start-run",
    "doubly encoded dots": "/v1/fleet/%252e%252e/control/start-run",
    "overlong encoded dots": "/v1/fleet/%c0%ae%c0%ae/control/start-run",
    "encoded slash": "/v1/fleet%2fget-run",
    "encoded slash out": "/v1/fleet/get-run%2f..%2f..%2fcontrol%2fstart-run",
    "encoded backslash": "/v1/fleet/..%5c..%5ccontrol%5cstart-run",
    "backslash": "/v1/fleet/..\\..\\control\\start-run",
    "double slash in front": "//v1/fleet/get-run",
    "double slash inside": "/v1//fleet/get-run",
    "double slash before the name": "/v1/fleet//get-run",
    "slash at the end": "/v1/fleet/get-run/",
    "more behind": "/v1/fleet/get-run/start-run",
    "longer name": "/v1/fleet/get-runs",
    "encoded letter": "/v1/fleet/%67et-run",
    "zero byte, encoded": "/v1/fleet/get-run%00",
    "line feed, encoded": "/v1/fleet/get-run%0a",
    "space at the end, encoded": "/v1/fleet/get-run%20",
    "dot at the end": "/v1/fleet/get-run.",
    "semicolon": "/v1/fleet/get-run;x=1",
    "semicolon and dots": "/v1/fleet/..;/control/start-run",
    "query": "/v1/fleet/get-run?x=1",
    "empty query": "/v1/fleet/get-run?",
    "fragment": "/v1/fleet/get-run#/../../control/start-run",
    "upper case": "/V1/FLEET/GET-RUN",
    "one letter upper": "/v1/fleet/get-ruN",
    "absolute URI": "https://localhost/v1/fleet/get-run",
    "absolute URI of the Control API": "https://localhost/v1/control/start-run",
    "another host's URI": "http://127.0.0.1:18000/v1/control/start-run",
    "no slash in front": "v1/fleet/get-run",
    "asterisk": "*",
    "high bytes": "/v1/fleet/get-run\xff",
}
METHODS = (
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "post",
    "PosT",
    "XPOST",
)

_CLOSE = "Host: localhost\r\nConnection: close\r\n"
_INNER = f"POST /v1/control/start-run HTTP/1.1\r\n{_CLOSE}Content-Length: 0\r\n\r\n"
_CHUNKED = f"0\r\n\r\n{_INNER}"

# name: (bytes, how many of its requests are allowed ones and may arrive)
HOSTILE: dict[str, tuple[bytes, int]] = {
    **{name: (post(target), 0) for name, target in TARGETS.items()},
    **{f"method {method}": (post(GOOD, method=method), 0) for method in METHODS},
    "HTTP/1.0": (post(GOOD, version="HTTP/1.0"), 0),
    "HTTP/0.9": (b"POST /v1/fleet/get-run\r\n\r\n", 0),
    "HTTP/2 in words": (post(GOOD, version="HTTP/2.0"), 0),
    "HTTP/1.2": (post(GOOD, version="HTTP/1.2"), 0),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
    "two spaces": (post(f" {GOOD}"), 0),
    "space before the version": (post(f"{GOOD} "), 0),
    "tab for a space": (post(GOOD).replace(b" /v1", b"\t/v1", 1), 0),
    "carriage return in the target": (post("/v1/fleet/get-run\rX"), 0),
    "header line folded into the line": (post("/v1/control/start-run HTTP/1.1\r\nX: /v1/fleet/get-run"), 0),
    "upgrade to clear HTTP/2": (
        post("/v1/control/start-run", more="Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
        0,
    ),
    "rewriting headers": (
        post("/v1/control/start-run", more=f"X-Original-URL: {GOOD}\r\nX-Rewrite-URL: {GOOD}\r\n"),
        0,
    ),
    "length and chunks": (post(GOOD, more="Transfer-Encoding: chunked\r\n", body=_CHUNKED), 0),
    "chunks and length": (
        f"POST {GOOD} HTTP/1.1\r\n{_CLOSE}Content-Length: 4\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{_CHUNKED}".encode(),
        0,
    ),
    "two lengths": (post(GOOD, more="Content-Length: 0\r\n", body=_INNER), 0),
    "length with a sign": (f"POST {GOOD} HTTP/1.1\r\n{_CLOSE}Content-Length: +0\r\n\r\n{_INNER}".encode(), 0),
    "unknown coding": (
        f"POST {GOOD} HTTP/1.1\r\n{_CLOSE}Transfer-Encoding: xchunked\r\n\r\n{_CHUNKED}".encode(),
        0,
    ),
    "two codings": (
        f"POST {GOOD} HTTP/1.1\r\n{_CLOSE}Transfer-Encoding: chunked, identity\r\n\r\n{_CHUNKED}".encode(),
        0,
    ),
    "chunks in HTTP/1.0": (
        f"POST {GOOD} HTTP/1.0\r\n{_CLOSE}Transfer-Encoding: chunked\r\n\r\n{_CHUNKED}".encode(),
        0,
    ),
    "too long a body": (
        f"POST {GOOD} HTTP/1.1\r\n{_CLOSE}Content-Length: {(64 << 20) + 1}\r\n\r\n".encode(),
        0,
    ),
    # an allowed request in front must not open the way for the one behind it
    "pipelined behind an allowed one": (
        f"POST {GOOD} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx{_INNER}".encode(),
        1,
    ),
    "pipelined behind chunks": (
        f"POST {GOOD} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        f"{_INNER}".encode(),
        1,
    ),
    "in the trailer of chunks": (
        f"POST {GOOD} HTTP/1.1\r\n{_CLOSE}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n{_INNER}".encode(),
        1,
    ),
    "behind a refused one": (
        b"POST /v1/fleet/register-node HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        + _INNER.encode(),
        0,
    ),
    "in the body of an allowed one": (post(GOOD, body=_INNER), 1),
}
