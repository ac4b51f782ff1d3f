"""DuckDB: statements over tables of Parquet files, with two threads.

`ask DIRECTORY STATEMENTS TIMES`: each directory in DIRECTORY is a table, its `*.parquet` are the rows. What is printed: questions.py.
"""

import pathlib
import sys

import duckdb

from questions import ask_all


def ask(directory, statements, times):
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET TimeZone = 'UTC'")
    for table in sorted(pathlib.Path(directory).iterdir()):
        connection.execute(
            f"CREATE VIEW {table.name} AS SELECT * FROM read_parquet('{table}/*.parquet', hive_partitioning = false)"
        )

    def one(statement):
        rows = connection.sql(statement).to_arrow_table()
        return lambda: zip(*[column.to_pylist() for column in rows.columns])

    ask_all(one, statements, times)


if __name__ == "__main__":
    {"ask": ask}[sys.argv[1]](*sys.argv[2:])
