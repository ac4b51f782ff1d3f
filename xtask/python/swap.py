"""Readers of a Delta table beside a new generation: each sees the columns and values of before, or those of after.

Usage: swap.py HEADWATER DIRECTORY [ROWS]
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request

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


def is_digest(text):
    return len(text) == 64 and all(digit in "0123456789abcdef" for digit in text)


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
    values = read.to_pydict()
    if columns == {"id", "price", "mail"}:
        assert read.num_rows == rows, f"{read.num_rows} rows of before, not {rows}"
        for at, mail, price in zip(values["id"], values["mail"], values["price"]):
            assert mail == f"m{at % 100}@x" and price == at / 4, f"row {at} is of no one generation"
        return False
    assert columns == {"id", "price", "address"}, f"columns of both: {sorted(columns)}"
    assert read.num_rows >= rows, f"{read.num_rows} rows of after, not {rows}"
    for at, address, price in zip(values["id"], values["address"], values["price"]):
        assert is_digest(address) and price == at * 25, f"row {at} is of no one generation"
    return True


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
