"""DuckDB: the events of a file to Parquet (zstd), with two threads and the columns named, so that it need not guess.

`write FILE OUT` is what is measured, the whole process; `check OUT` prints rows and the sum of prices.
Declares types only: no ranges, no hash, no rejects, no sync.
"""

import sys

import duckdb

COLUMNS = """{auction: 'BIGINT', bidder: 'BIGINT', price: 'BIGINT', channel: 'VARCHAR', url: 'VARCHAR',
              date_time: 'TIMESTAMP', temp: 'DOUBLE', extra: 'VARCHAR'}"""


def write(source, out):
    duckdb.execute("SET threads = 2")
    duckdb.execute("SET preserve_insertion_order = false")
    duckdb.execute(
        f"""COPY (SELECT * FROM read_json('{source}', format = 'newline_delimited', columns = {COLUMNS}))
            TO '{out}' (FORMAT parquet, COMPRESSION zstd)"""
    )


def check(out):
    rows, prices = duckdb.execute(f"SELECT count(*), sum(price) FROM '{out}'").fetchone()
    print(rows, prices)


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
