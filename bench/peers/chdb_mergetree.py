"""ClickHouse in one process (chDB): the events of a file into a MergeTree, with two threads.

`write FILE DIRECTORY` is what is measured, the whole process; `check DIRECTORY` prints rows and the sum of prices.
Declares types and an order; no ranges, no hash, no rejects, no sync.
"""

import sys

from chdb import session

TABLE = """CREATE TABLE IF NOT EXISTS bid (auction Int64, bidder Int64, price Int64, channel LowCardinality(String), url String,
           date_time DateTime64(3), temp Float64, extra String) ENGINE = MergeTree ORDER BY date_time"""


def write(source, directory):
    chdb = session.Session(directory)
    chdb.query(TABLE)
    chdb.query(
        f"""INSERT INTO bid SELECT * FROM file('{source}', JSONEachRow)
            SETTINGS max_threads = 2, max_insert_threads = 2, max_parsing_threads = 2,
                     date_time_input_format = 'best_effort'"""
    )
    chdb.close()


def check(directory):
    chdb = session.Session(directory)
    print(chdb.query("SELECT count(), sum(price) FROM bid", "TSV").data().replace("\t", " ").strip())
    chdb.close()


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
