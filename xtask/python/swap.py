"""Readers of a Delta table beside a new generation: each sees the columns and values of before, or those of after.

Usage: swap.py HEADWATER DIRECTORY [ROWS]
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pyarrow.compute as compute
from deltalake import DeltaTable

binary, directory = sys.argv[1], sys.argv[2]
rows = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
project, data = os.path.join(directory, "project"), os.path.join(directory, "data")
table_path = os.path.join(data, "lake", "sale")

FIRST = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "price": {"type": "number"}, "mail": {"type": "string"}},
}
SECOND = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "price": {"type": "integer", "x-from": "CAST(round(price * 100) AS BIGINT)"},
        "address": {"type": "string", "x-renamed-from": "mail", "x-privacy": "hash"},
    },
}


def write(schema):
    os.makedirs(os.path.join(project, "schemas"), exist_ok=True)
    with open(os.path.join(project, "headwater.toml"), "w") as file:
        file.write('[lake]\ncommit_every = "50ms"\n')
    with open(os.path.join(project, "schemas", "sale.json"), "w") as file:
        json.dump(schema, file)


def start():
    command = [binary, "up", project, "--data", data, "--set", "http.listen=127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if line.startswith("ready"):
            with open(os.path.join(data, "endpoints.json")) as file:
                return server, json.load(file)["http"][0]
    sys.exit("the server did not start")


def stop(server):
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0


def send(url, events):
    body = "".join(json.dumps(event) + "\n" for event in events).encode()
    request = urllib.request.Request(
        url + "/v1/streams/sale/events", data=body, headers={"Content-Type": "application/x-ndjson"}
    )
    urllib.request.urlopen(request).read()


def generations(url):
    return json.load(urllib.request.urlopen(url + "/v1/status"))["generations"]


def look():
    """True where the table is the new one."""
    for left in reversed(range(20)):
        try:
            read = DeltaTable(table_path).to_pyarrow_table()
            break
        except Exception as error:
            # Old versions go at once, so a reader that began before may have to begin again. It never reads a mix.
            print(f"a version went while it was read: {type(error).__name__}")
            if left == 0:
                raise
    columns = {column for column in read.column_names if not column.startswith("_")}
    ids = compute.cast(read["id"], "float64")
    if columns == {"id", "price", "mail"}:
        assert read.num_rows == rows, f"{read.num_rows} rows of before, not {rows}"
        prices = compute.equal(read["price"], compute.divide(ids, 4.0))
        texts = compute.match_substring_regex(read["mail"], "^m[0-9]+@x$")
    else:
        assert columns == {"id", "price", "address"}, f"columns of both: {sorted(columns)}"
        assert read.num_rows >= rows, f"{read.num_rows} rows of after, not {rows}"
        prices = compute.equal(compute.cast(read["price"], "float64"), compute.multiply(ids, 25.0))
        texts = compute.match_substring_regex(read["address"], "^[0-9a-f]{64}$")
    for right in prices, texts:
        assert right.null_count == 0 and compute.all(right).as_py(), "a row is of no one generation"
    return "address" in columns


write(FIRST)
server, url = start()
for first in range(0, rows, 1000):
    ids = range(first, min(first + 1000, rows))
    send(url, [{"id": id, "price": id / 4, "mail": f"m{id % 100}@x"} for id in ids])
stop(server)
assert not look()

write(SECOND)
server, url = start()
looks, after = 0, False
while not after:
    after = look()
    looks += 1
    # Rows of the new generation: they come with the swap.
    more = rows + looks
    send(url, [{"id": more, "price": more * 25, "address": f"m{more % 100}@x"}])
while generations(url):
    assert look(), "the old table came back"
assert look()
stop(server)
print(f"{looks} looks beside the swap of {rows} rows: the columns of before, or those of after")
