"""python-binance itself, pointed at the simulator.

Its one law: every attribute that names an address is replaced before anything is constructed; one that is forgotten speaks to the
real exchange.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of names it takes from websockets
    from binance import AsyncClient, BinanceSocketManager


def library(rest_url: str, ws_url: str) -> tuple[type[AsyncClient], type[BinanceSocketManager]]:
    """Its client and its socket manager, redirected."""

    class Redirected(AsyncClient):  # type: ignore[misc]
        FUTURES_URL = f"{rest_url}/fapi"
        FUTURES_DATA_URL = f"{rest_url}/futures/data"
        API_URL = f"{rest_url}/api"
        MARGIN_API_URL = f"{rest_url}/sapi"
        WS_FUTURES_URL = f"{ws_url}/ws-fapi/v1"

    class RedirectedSockets(BinanceSocketManager):  # type: ignore[misc]
        FSTREAM_URL = f"{ws_url}/"

    return Redirected, RedirectedSockets
