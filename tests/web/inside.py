"""Somebody in a session, without a browser: for the tests of every dashboard's pages and actions."""

import re

import httpx

_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Inside(httpx.Client):
    """``with Inside(web) as inside``: entered by the link; ``get`` pages, ``act`` as their forms would."""

    def __init__(self, web, host="127.0.0.1"):
        self.web, self.origin, self.token = web, f"http://{host}:{web.port}", None
        super().__init__(base_url=self.origin)

    def __enter__(self):
        super().__enter__()
        assert self.get("/enter", params={"token": self.web.sessions.token}).status_code == 303
        self.token = _TOKEN.search(self.get("/").text)[1]
        return self

    def act(self, path, *, headers=(), **fields):
        """Headers and fields as a page of ours would send them, others added or, by None, left out."""
        sent = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **dict(headers)}
        body = {"csrf": self.token, **fields}
        kept = {name: value for name, value in sent.items() if value is not None}
        return self.post(path, headers=kept, data={k: v for k, v in body.items() if v is not None})


def code(answer):
    """The code of an error that a page shows."""
    return re.search(r"<code>([^<]+)</code>", answer.text)[1]
