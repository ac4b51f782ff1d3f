"""Events as JSON, and the same as Cap'n Proto, by the reference tool `capnp` (Debian package capnproto)."""

import base64
import json
import math
import random
import struct
import subprocess

rng = random.Random(11)
TEXTS = ["", "a", "Ünïcode ✓ 𝄞", 'quote " backslash \\ slash /', "tab\tline\nend", "x" * 300, "null", "\u007f\u0001"]
NAMES = {"first", "second", "third", "new", "known", "gone"}


class Name(str):
    """An enumerant: a text in JSON, a bare name here."""


def literal(value):
    if isinstance(value, Name):
        return str(value)
    if value is VOID:
        return "void"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f'0x"{value.hex()}"' if value else '""'
    if isinstance(value, str):
        return '"' + "".join(f"\\x{byte:02x}" for byte in value.encode()) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return "(" + ", ".join(f"{key} = {literal(item)}" for key, item in value.items()) + ")"


class Void:
    pass


VOID = Void()


def twin(value):
    if value is VOID:
        return True
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [twin(item) for item in value]
    if isinstance(value, dict):
        return {key: twin(item) for key, item in value.items()}
    return value


def text():
    return rng.choice(TEXTS) if rng.random() < 0.5 else f"t{rng.randint(0, 999)}"


def blob():
    return bytes(rng.randrange(256) for _ in range(rng.randint(0, 9)))


def whole(bits, signed=True):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return rng.choice([low, high, 0, 1, rng.randint(low, high)])


def double():
    return rng.choice([0.0, -0.0, 1.5, -2.25e-300, 1.7976931348623157e308, 5e-324, rng.uniform(-1e6, 1e6)])


def single():
    return struct.unpack("<f", struct.pack("<f", rng.choice([0.0, 0.1, -3.75, 3.4e38, rng.uniform(-9, 9)])))[0]


def some(make, longest=4):
    return [make() for _ in range(rng.randint(0, longest))]


def maybe(into, name, make, chance=0.7):
    if rng.random() < chance:
        into[name] = make()


def address():
    made = {}
    maybe(made, "street", text)
    made["zip"] = whole(32)
    return made


def login():
    made = {"at": rng.randint(0, 2_000_000_000_000)}
    maybe(made, "place", address)
    return made


def identity(number):
    content = {"userId": f"user-{rng.randint(0, 40)}"}
    maybe(content, "email", lambda: f"person{rng.randint(0, 30)}@example.com")
    content["pin"] = whole(32)
    content["status"] = Name(rng.choice(["new", "known", "gone"]))
    content["age"] = whole(32)
    content["score"] = double()
    content["active"] = rng.random() < 0.5
    maybe(content, "avatar", blob)
    maybe(content, "tags", lambda: some(text))
    maybe(content, "counts", lambda: some(lambda: whole(64)))
    maybe(content, "logins", lambda: some(login))
    content["contact"] = rng.choice([{"phone": text()}, {"post": address()}, {"code": whole(32)}])
    origin = {"published": rng.randint(0, 2_000_000_000_000_000)}
    for name, value in [("domain", "user"), ("entity", "identity"), ("name", "created")]:
        maybe(origin, name, lambda: value, 0.9)
    event = {"event": "user.identity.created", "sequence": number}
    maybe(event, "metadata", lambda: origin, 0.9)
    event["content"] = content
    return event


def point():
    made = {"x": single(), "y": single()}
    maybe(made, "label", text)
    return made


def tree(level=0):
    made = {"value": whole(32)}
    if level < 3:
        maybe(made, "children", lambda: some(lambda: tree(level + 1), 2))
    return made


def every(_):
    kind = lambda: Name(rng.choice(["first", "second", "third"]))
    event = {
        "bool": rng.random() < 0.5, "i8": whole(8), "i16": whole(16), "i32": whole(32), "i64": whole(64),
        "u8": whole(8, False), "u16": whole(16, False), "u32": whole(32, False), "u64": rng.choice([0, (1 << 63) - 1]),
        "f32": single(), "f64": double(), "text": text(), "data": blob(), "kind": kind(),
    }
    maybe(event, "bools", lambda: some(lambda: rng.random() < 0.5, 20))
    maybe(event, "shorts", lambda: some(lambda: whole(16)))
    maybe(event, "doubles", lambda: some(double))
    maybe(event, "texts", lambda: some(text))
    maybe(event, "blobs", lambda: some(blob))
    maybe(event, "kinds", lambda: some(kind))
    maybe(event, "matrix", lambda: some(lambda: some(lambda: whole(8, False))))
    maybe(event, "points", lambda: some(point))
    maybe(event, "point", point)
    event["group"] = {"a": rng.random() < 0.5, "b": whole(16, False), "inner": {}}
    maybe(event["group"]["inner"], "c", text)
    event["choice"] = rng.choice([
        {"none": VOID}, {"whole": whole(64)}, {"words": text()}, {"point": point()}, {"list": some(lambda: whole(32))},
    ])
    event.update(rng.choice([{"left": whole(8)}, {"right": {"x": double(), "y": text()}}]))
    maybe(event, "tree", tree)
    return event


def write(name, struct_name, make, count):
    events = [make(number) for number in range(count)]
    with open(f"{name}.ndjson", "w") as file:
        file.writelines(json.dumps(twin(event), ensure_ascii=False) + "\n" for event in events)
    literals = "\n".join(literal(event) for event in events)
    for ending, options in [("capnp.bin", []), ("packed.bin", ["--packed"]), ("segments.bin", ["--segment-size=4"])]:
        command = ["capnp", "encode", *options, f"{name}.capnp", struct_name]
        done = subprocess.run(command, input=literals.encode(), capture_output=True, check=True)
        with open(f"{name}.{ending}", "wb") as file:
            file.write(done.stdout)
    return events


if __name__ == "__main__":
    write("user.identity.created", "UserIdentityCreated", identity, 240)
    write("every", "Every", every, 240)
    # A message in which nothing was set.
    done = subprocess.run(["capnp", "encode", "every.capnp", "Every"], input=b"()", capture_output=True, check=True)
    with open("every.defaults.bin", "wb") as file:
        file.write(done.stdout)
