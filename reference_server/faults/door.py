"""Where orders come in: `/faults` on the API's port, there only where a key was given, and only for who has it.

A path and not a socket of its own: it needs no file (whose path may be longer than a socket's may be, and which a
killed server would leave behind), no port, and no descriptor that a forked replica would have to be handed; and a
port-forward reaches it. Whoever has no key gets the 404 of a path that does not exist.

    PUT /faults/NAME      {"lease_s": 3, "order": {"fault": "slow-steps", "factor": 4}}   begin, or renew the lease
    DELETE /faults/NAME   end it; 200 whether it was there or not
    GET /faults           what is in force
"""

import hmac
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporters.gpu import DeviceSource
from reference_server.api.errors import invalid
from reference_server.api.routes import Api
from reference_server.engine import Engine
from reference_server.faults.board import Board
from reference_server.faults.kinds import AnyOrder
from reference_server.faults.layers import Layers
from reference_server.faults.order import Inside

KEY_HEADER = "x-aftershock-key"
LONGEST_LEASE_S = 60.0
"""Whoever wants a fault for longer must be heard meanwhile."""


class Put(BaseModel):
    """An order, and for how long it stands without being renewed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    lease_s: Annotated[float, Field(gt=0, le=LONGEST_LEASE_S)]
    order: AnyOrder


class Door:
    """The routes of one replica's faults. `open` before the application runs, `close` when it ends."""

    def __init__(self, key: str, engine: Engine, api: Api, devices: Layers[DeviceSource]) -> None:
        self._key = key.encode()
        self._board = Board(Inside.of(engine, api, devices))
        api.is_observer = self._has_key

    def open(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/faults", self._get)
        app.router.add_put("/faults/{name}", self._put)
        app.router.add_delete("/faults/{name}", self._delete)

    def close(self) -> None:
        """End every fault."""
        self._board.close()

    async def _get(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response(self._board.in_force())

    async def _put(self, request: web.Request) -> web.Response:
        self._check(request)
        try:
            put = Put.model_validate_json(await request.read())
        except ValidationError as error:
            first = error.errors()[0]
            raise invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        self._board.put(request.match_info["name"], put.order, put.lease_s)
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response({"ended": self._board.end(request.match_info["name"])})

    def _check(self, request: web.Request) -> None:
        if not self._has_key(request):
            raise web.HTTPNotFound

    def _has_key(self, request: web.Request) -> bool:
        return hmac.compare_digest(request.headers.get(KEY_HEADER, "").encode(), self._key)
