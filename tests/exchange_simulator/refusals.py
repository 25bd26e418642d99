"""What the exchange says no with: its codes, their words and the HTTP status each comes under.

Its one law: a text stands here once, worded as the exchange words it. Whoever refuses raises `Refused`; nobody builds the answer but
the door.
"""

from __future__ import annotations

from typing import Any

UNAUTHORIZED = frozenset({-2014, -2015})

WORDS: dict[int, str] = {
    -1000: "An unknown error occurred while processing the request.",
    -1003: "Too many requests; current limit of IP is {limit} requests per minute.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1015: "Too many new orders; current limit is {limit} orders per {interval}.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1100: "Illegal characters found in parameter '{name}'; legal range is '{legal}'.",
    -1102: "Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    -1106: "Parameter '{name}' sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1125: "This listenKey does not exist.",
    -1127: "Lookup interval is too big.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '{name}' is not valid.",
    -1131: "recvWindow must be less than 60000.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2018: "Balance is insufficient.",
    -2019: "Margin is insufficient.",
    -2020: "Unable to fill.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2025: "Reach max open order limit.",
    -2027: "Exceeded the maximum allowable position at current leverage.",
    -2028: "Leverage is smaller than permitted: insufficient margin balance.",
    -4001: "Price less than 0.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than or equal to zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4006: "Stop price less than zero.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id is not valid.",
    -4016: "Limit price can't be higher than {limit}.",
    -4023: "Quantity not increased by step size.",
    -4024: "Limit price can't be lower than {limit}.",
    -4028: "Leverage {leverage} is not valid.",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4059: "No need to change position side.",
    -4061: "Order's position side does not match user's setting.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4082: "Invalid number of batch place orders.",
    -4116: "ClientOrderId is duplicated.",
    -4117: "ClientAlgoId is duplicated.",
    -4118: "ReduceOnly Order Failed. Please check your existing position and open orders.",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4130: "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    -4136: "Target strategy invalid for orderType '{type}',closePosition 'true'.",
    -4137: "Quantity must be zero with closePosition equals true.",
    -4140: "Invalid symbol status for opening position.",
    -4164: "Order's notional must be no smaller than {notional} (unless you choose reduce only).",
    -4171: "No need to change multi-assets mode.",
    -4509: "TIF GTE can only be used with open positions. Please ensure that positions are available.",
    -5000: "Path {path}, Method {method} is invalid.",
    -5021: "Due to the order could not be filled immediately, the FOK order has been rejected. "
    "The order will not be recorded in the order history.",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected. "
    "The order will not be recorded in the order history.",
    -5027: "No need to modify the order.",
    -5028: "Timestamp for this request is outside of the ME recvWindow.",
    -5037: "Invalid price match.",
    -5040: "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than 253402300799000.",
}


class Refused(Exception):
    """A request the exchange does not do: code, words, HTTP status."""

    def __init__(self, code: int, status: int = 0, msg: str = "", **details: Any) -> None:
        self.code = code
        self.msg = msg or WORDS.get(code, "An unknown error occurred while processing the request.").format(**details)
        self.status = status or (401 if code in UNAUTHORIZED else 400)
        super().__init__(f"{code} {self.msg}")

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"code": self.code, "msg": self.msg}
