"""DataFusion as it comes, in its own process: statements over tables of Parquet files, in two partitions.

`ask DIRECTORY STATEMENTS TIMES`: each directory in DIRECTORY is a table, its `*.parquet` are the rows. What is printed: questions.py.
"""

import pathlib
import sys

from datafusion import SessionConfig, SessionContext

from questions import ask_all


def ask(directory, statements, times):
    context = SessionContext(SessionConfig().with_target_partitions(2))
    for table in sorted(pathlib.Path(directory).iterdir()):
        context.register_parquet(table.name, str(table))

    def one(statement):
        batches = context.sql(statement).collect()
        return lambda: [
            row for batch in batches for row in zip(*[column.to_pylist() for column in batch.columns])
        ]

    ask_all(one, statements, times)


if __name__ == "__main__":
    {"ask": ask}[sys.argv[1]](*sys.argv[2:])
