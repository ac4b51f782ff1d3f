"""Python deltalake (delta-rs): appends of a few rows, each a commit, on one table object that stays open, as its users do it.

`write FILE TABLE ROWS WINDOW EARLY` prints as JSON what a commit cost behind the first EARLY commits and at the end, each over
WINDOW commits, what a question about the newest rows cost there, and what opening the table takes.
"""

import datetime
import json
import statistics
import sys
import time

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, WriterProperties, write_deltalake

from deltalake_table import SCHEMA
from pyarrow.json import ParseOptions, read_json


def question(table, commits):
    """The rows of the last 50 commits, by their event time: one millisecond a commit."""
    since = datetime.datetime(2026, 11, 21, 20, tzinfo=datetime.timezone.utc) + datetime.timedelta(milliseconds=commits - 50)
    newest = pc.field("date_time") >= pa.scalar(since, pa.timestamp("us", "UTC"))
    times = []
    for _ in range(15):
        began = time.perf_counter()
        rows = table.to_pyarrow_dataset().to_table(columns=["price"], filter=newest)
        times.append(time.perf_counter() - began)
        assert rows.num_rows == 500, rows.num_rows
    return statistics.median(times)


def write(source, path, rows, window, early):
    rows, window, early = int(rows), int(window), int(early)
    events = read_json(source, parse_options=ParseOptions(explicit_schema=SCHEMA))
    commits = events.num_rows // rows
    properties = WriterProperties(compression="ZSTD")
    table, costs = None, []
    for done in range(1, commits + 1):
        batch = events.slice((done - 1) * rows, rows)
        if table is None:
            write_deltalake(path, batch, writer_properties=properties)
            table = DeltaTable(path)
        else:
            write_deltalake(table, batch, mode="append", writer_properties=properties)
        if done in (early, commits - window):
            at = time.perf_counter(), time.process_time()
        if done in (early + window, commits):
            wall, processor = (time.perf_counter() - at[0]) / window, (time.process_time() - at[1]) / window
            costs.append(
                {"version": done, "wall": wall, "processor": processor, "question": question(table, done)}
            )
    times = []
    for _ in range(5):
        began = time.perf_counter()
        DeltaTable(path)
        times.append(time.perf_counter() - began)
    print(json.dumps({"costs": costs, "open": statistics.median(times)}))


if __name__ == "__main__":
    {"write": write}[sys.argv[1]](*sys.argv[2:])
