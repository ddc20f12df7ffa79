"""What is compiled ahead is what takes telemetry in."""

from twinwright.platform.ahead import compile_ahead
from twinwright.telemetry import json_scan, line_kernels, line_reader, number_columns, seen_table, timestamps


def test_what_takes_telemetry_in_is_compiled() -> None:
    compile_ahead()
    for function in (
        line_kernels.split,
        number_columns._take,
        json_scan.read_lines,
        line_reader._read_lines,
        timestamps._read,
        seen_table._insert,
    ):
        assert function.dispatcher.signatures, function.__name__
