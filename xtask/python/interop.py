"""Opens the tables of a lake with other engines and compares their answers with Headwater's.

Takes the lake's directory, the directory of the same tables' exports (TABLE.parquet), and the expected answers as JSON: {"sensor.reading": [rows, sum, offsets, positions], ...}.
Exits with 1 if an engine disagrees. Reads the tables only.
"""

import json
import math
import pathlib
import sys

import duckdb
import polars
import pyarrow.parquet
from deltalake import DeltaTable

# For each table: what is summed, and what makes a position.
COLUMNS = {
    "sensor.reading": ("value", "_partition", "_offset"),
    "rejects": ("index", "partition", "offset"),
}


def by_deltalake(table, number, partition, offset):
    rows = table.to_pyarrow_table(columns=[number, partition, offset]).to_pydict()
    positions = set(zip(rows[partition], rows[offset]))
    return len(rows[offset]), sum(value for value in rows[number] if value is not None), sum(rows[offset]), len(positions)


def by_duckdb(table, number, partition, offset):
    rows = duckdb.sql(
        f"""SELECT count(*), sum("{number}"), sum("{offset}"), count(DISTINCT ("{partition}", "{offset}"))
            FROM read_parquet({table.file_uris()!r})"""
    ).fetchall()
    return rows[0]


def by_polars(table, number, partition, offset):
    frame = polars.read_delta(table.table_uri, columns=[number, partition, offset])
    return (
        frame.height,
        frame[number].sum(),
        frame[offset].sum(),
        frame.select(partition, offset).unique().height,
    )


def export_by_pyarrow(path, number, partition, offset):
    rows = pyarrow.parquet.read_table(path, columns=[number, partition, offset]).to_pydict()
    positions = set(zip(rows[partition], rows[offset]))
    return len(rows[offset]), sum(value for value in rows[number] if value is not None), sum(rows[offset]), len(positions)


def export_by_duckdb(path, number, partition, offset):
    return duckdb.sql(
        f"""SELECT count(*), sum("{number}"), sum("{offset}"), count(DISTINCT ("{partition}", "{offset}"))
            FROM read_parquet({str(path)!r})"""
    ).fetchall()[0]


def compare(engine, name, of, found, answers):
    found = tuple(float(answer) for answer in found)
    wanted = tuple(float(answer) for answer in answers)
    # The order of an addition is each engine's own; everything else is exact.
    same = all(
        math.isclose(a, b, rel_tol=1e-9) if index == 1 else a == b
        for index, (a, b) in enumerate(zip(found, wanted, strict=True))
    )
    print(f"{'ok ' if same else 'NOT'} {name:<16} {engine.__name__:<18} {of} {found}")
    if not same:
        print(f"    headwater sql says {wanted}")
    return same


def main(lake, exports, expected):
    disagreements = 0
    for name, answers in json.loads(expected).items():
        path = pathlib.Path(lake) / name
        table = DeltaTable(str(path))
        for engine in (by_deltalake, by_duckdb, by_polars):
            found = engine(table, *COLUMNS[name])
            disagreements += not compare(engine, name, f"version {table.version()}", found, answers)
        export = pathlib.Path(exports) / f"{name}.parquet"
        for engine in (export_by_pyarrow, export_by_duckdb):
            disagreements += not compare(engine, name, "export", engine(export, *COLUMNS[name]), answers)
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
