"""Python deltalake (delta-rs): the events of a file into a Delta table, in one commit; JSON is read by pyarrow.

`write FILE TABLE` is what is measured, the whole process; `check TABLE` prints rows and the sum of prices of any Delta table,
ours too, as its log has it. No ranges, no hash, no rejects, no sync.
"""

import sys

import pyarrow as pa
import pyarrow.json as json
from deltalake import DeltaTable, WriterProperties, write_deltalake

SCHEMA = pa.schema(
    [
        ("auction", pa.int64()),
        ("bidder", pa.int64()),
        ("price", pa.int64()),
        ("channel", pa.string()),
        ("url", pa.string()),
        ("date_time", pa.timestamp("us", "UTC")),
        ("temp", pa.float64()),
        ("extra", pa.string()),
    ]
)


def write(source, table):
    batches = json.open_json(
        source,
        read_options=json.ReadOptions(block_size=8 << 20),
        parse_options=json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error"),
    )
    write_deltalake(table, batches, writer_properties=WriterProperties(compression="ZSTD"))


def check(table):
    found = DeltaTable(table).to_pyarrow_dataset().to_table(columns=["price"])
    print(found.num_rows, sum(chunk.to_numpy().sum() for chunk in found.column("price").chunks))


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
