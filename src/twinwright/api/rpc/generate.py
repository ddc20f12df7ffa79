"""Make the Python code of `v1.proto`: `make proto` does. A test fails where it is not what this would write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
PROTO: Final = "twinwright/api/rpc/v1.proto"


def generate(out: Path) -> None:
    """`v1_pb2.py`, its types and `v1_pb2_grpc.py` below a folder. Needs grpcio-tools, of the extra `dev`. Raises SystemExit."""
    import google.api
    import grpc_tools
    from grpc_tools import protoc

    imports = [Path(next(iter(google.api.__path__))).parents[1], Path(next(iter(grpc_tools.__path__))) / "_proto"]
    folders = [f"-I{folder}" for folder in (ROOT, *imports)]
    command = ["protoc", *folders, f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}", PROTO]
    if protoc.main(command):
        raise SystemExit("protoc refused the .proto; it says why above")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
