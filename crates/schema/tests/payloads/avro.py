"""The events of capnp.py, and more, as Avro files by fastavro (PyPI), here 1.13.1."""

import base64
import datetime
import decimal
import json
import struct
import uuid

import fastavro

import capnp
from capnp import blob, double, identity, maybe, rng, single, some, text, whole


def schema_of(name):
    with open(f"{name}.avsc") as file:
        return fastavro.parse_schema(json.load(file))


def write(file, schema, events, codec="null"):
    with open(file, "wb") as out:
        fastavro.writer(out, schema, events, codec=codec, sync_interval=2000, sync_marker=b"0123456789abcdef")


def lines(file, twins):
    with open(file, "w") as out:
        out.writelines(json.dumps(twin, ensure_ascii=False) + "\n" for twin in twins)


identities = [identity(number) for number in range(240)]
schema = schema_of("user.identity.created")
write("user.identity.created.avro.bin", schema, identities)
write("user.identity.created.deflate.bin", schema, identities, "deflate")

EPOCH = datetime.date(1970, 1, 1)


def base(data):
    return base64.b64encode(data).decode()


def tree(level=0):
    return {"value": whole(32), "children": some(lambda: tree(level + 1), 2) if level < 3 else []}


def point():
    made = {"x": double()}
    maybe(made, "label", text)
    return made


def every():
    """An event for Avro, and its JSON twin."""
    event = {
        "flag": rng.random() < 0.5, "int": whole(32), "long": whole(64), "float": single(), "double": double(),
        "text": text(), "millis": rng.randint(0, 4_000_000_000_000), "micros": rng.randint(0, 4_000_000_000_000_000),
        "id": str(uuid.UUID(int=rng.getrandbits(128))), "kind": rng.choice(["first", "second", "other"]),
        "numbers": some(lambda: rng.choice([None, whole(32)])),
        "by_name": {f"k{index}": point() for index in range(rng.randint(0, 3))},
        "renamed": text(), "filled": point(),
    }
    maybe(event, "maybe", lambda: whole(64))
    maybe(event, "tree", tree)
    twin = dict(event)
    data, day, four, more = blob(), rng.randint(-100_000, 100_000), rng.randbytes(4), blob()
    price = decimal.Decimal(rng.choice([0, -1, 1, 999_999_999_999, rng.randint(-10**11, 10**11)])).scaleb(-3)
    event.update(bytes=data, day=day, hash=four, price=price, filled_bytes=more, nothing=None)
    date = EPOCH + datetime.timedelta(days=day)
    twin.update(bytes=base(data), day=f"{date.year:04}-{date:%m-%d}", hash=base(four), price=f"{price:.3f}")
    twin.update(filled_bytes=base(more))
    event["choice"], twin["choice"] = rng.choice([
        (None, None), (5, {"int": 5}), ("five", {"string": "five"}), ({"x": 1.0}, {"Point": {"x": 1.0}}),
    ])
    event["filled_choice"], twin["filled_choice"] = rng.choice([(1, {"int": 1}), ("a", {"string": "a"})])
    return event, twin


pairs = [every() for _ in range(240)]
write("every.avro.bin", schema_of("every"), [event for event, _ in pairs])
lines("every.avro.ndjson", [twin for _, twin in pairs])

# As a producer wrote it that had an older schema: other names and orders, smaller numbers, fields that have gone.
with open("every.avsc") as file:
    older = json.load(file)
fields = {field["name"]: field for field in older["fields"]}
for gone in ["filled", "filled_bytes", "filled_choice", "maybe"]:
    del fields[gone]
fields["long"]["type"] = "int"
fields["double"]["type"] = "float"
fields["renamed"] = {"name": "old_name", "type": "string"}
fields["kind"]["type"]["symbols"] = ["second", "ancient", "first"]
del fields["kind"]["type"]["default"]
fields["dropped"] = {"name": "dropped", "type": {"type": "map", "values": {"type": "array", "items": ["null", "string"]}}}
# A named type is declared where it is first used.
order = ["dropped"] + [name for name in reversed(fields) if name not in ("dropped", "choice")] + ["choice"]
older["fields"] = [fields[name] for name in order]
events, twins = [], []
for event, twin in pairs:
    event, twin = dict(event), dict(twin)
    event["long"] = twin["long"] = whole(32)
    event["double"] = twin["double"] = single()
    event["old_name"] = twin["renamed"]
    event["dropped"] = {"a": [None, "b"], "c": []}
    kind = rng.choice(["second", "ancient", "first"])
    event["kind"], twin["kind"] = kind, "other" if kind == "ancient" else kind
    for gone in ["filled", "filled_bytes", "filled_choice", "maybe"]:
        event.pop(gone, None)
    twin.pop("maybe", None)
    twin.update(filled={"x": 1.5}, filled_bytes=base(b"\xff\x01"), filled_choice={"int": 7})
    events.append(event)
    twins.append(twin)
write("every.older.bin", fastavro.parse_schema(older), events, "deflate")
lines("every.older.ndjson", twins)
