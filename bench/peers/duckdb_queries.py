"""DuckDB: statements over a Parquet file, with two threads.

`ask PARQUET STATEMENTS TIMES` takes statements from a JSON file, asks each TIMES times and prints, as JSON and for each statement,
the seconds of each time, the processor seconds of all, and the rows as texts.
"""

import json
import sys
import time

import duckdb


def ask(parquet, statements, times):
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute(f"CREATE VIEW bid AS SELECT * FROM '{parquet}'")
    answers = []
    for statement in json.load(open(statements)):
        seconds, processor = [], time.process_time()
        for _ in range(int(times)):
            began = time.perf_counter()
            rows = connection.execute(statement).fetchall()
            seconds.append(time.perf_counter() - began)
        processor = time.process_time() - processor
        answers.append({"seconds": seconds, "processor": processor, "rows": [[str(v) for v in row] for row in rows]})
    print(json.dumps(answers))


if __name__ == "__main__":
    {"ask": ask}[sys.argv[1]](*sys.argv[2:])
