"""gRPC: the resources under `/v1`, answered by the handlers of REST.

    channel -> Door (credential) -> calls (messages <-> requests) -> Bridge -> the ASGI app: guard, routes, limits, errors

An rpc names its REST resource in `v1.proto`; there is no second implementation that could differ. Nothing here is imported before a
workspace asks for it (`grpc_port` of `[api]`).
"""
