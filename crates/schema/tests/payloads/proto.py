"""Events as JSON, and the same as Protobuf, by the reference tool `protoc` (Debian package protobuf-compiler)."""

import base64
import json
import pathlib
import random
import struct
import subprocess
import tempfile

rng = random.Random(17)
TEXTS = ["", "a", "Ünïcode ✓ 𝄞", 'quote " backslash \\ slash /', "tab\tline\nend", "x" * 300, "null", "\u007f\u0001"]


class Name(str):
    """A value of an enum: a text in JSON, a bare name here."""


class Wrapped:
    """A message whose JSON is another one: text format and JSON."""

    def __init__(self, text, twin):
        self.text, self.twin = text, twin


class Map(dict):
    pass


def literal(value):
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Wrapped):
        return value.text
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return '"' + "".join(f"\\{byte:03o}" for byte in value) + '"'
    return "{ " + fields(value) + " }"


def fields(event):
    parts = []
    for name, value in event.items():
        if isinstance(value, Map):
            parts += [f"{name} {{ key: {literal(key)} value: {literal(item)} }}" for key, item in value.items()]
        elif isinstance(value, list):
            parts += [f"{name}: {literal(item)}" for item in value]
        else:
            parts.append(f"{name}: {literal(value)}")
    return " ".join(parts)


def key_text(key):
    return str(key).lower() if isinstance(key, bool) else str(key)


def twin(value):
    if isinstance(value, Wrapped):
        return value.twin
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [twin(item) for item in value]
    if isinstance(value, dict):
        return {key_text(key): twin(item) for key, item in value.items()}
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


def mapping(key, make):
    """In the order of the keys, as `--deterministic_output` writes it."""
    return Map(sorted({key(): make() for _ in range(rng.randint(0, 3))}.items()))


def maybe(into, name, make, chance=0.7):
    if rng.random() < chance:
        into[name] = make()


def filled(event, defaults):
    """What has no presence is there in any case."""
    whole = {}
    for name, default in defaults.items():
        if name in event:
            whole[name] = event[name]
        elif default is not None:
            whole[name] = default
    return whole


# Of each message: its fields in order, with what they are when they are not sent.
ADDRESS = {"street": None, "zip": 0}
LOGIN = {"at": 0, "place": None}
CONTENT = {"userId": None, "email": None, "pin": 0, "status": "new", "age": 0, "score": 0.0, "active": False,
           "avatar": None, "tags": [], "counts": [], "logins": [], "contact": None}
ORIGIN = {"published": 0, "domain": None, "entity": None, "name": None}
IDENTITY = {"event": "", "sequence": 0, "metadata": None, "content": None}
POINT = {"x": 0.0, "y": 0.0, "label": None}
TREE = {"value": 0, "children": []}
EVERY = {"bool": False, "i32": 0, "i64": 0, "u32": 0, "u64": 0, "s32": 0, "s64": 0, "f32": 0, "f64": 0, "sf32": 0,
         "sf64": 0, "float": 0.0, "double": 0.0, "text": "", "data": b"", "kind": "NONE", "maybe_bool": None,
         "maybe_i64": None, "maybe_text": None, "maybe_kind": None, "bools": [], "shorts": [], "doubles": [],
         "longs": [], "texts": [], "blobs": [], "kinds": [], "points": [], "point": None, "counts": Map(),
         "places": Map(), "words": Map(), "whole": None, "said": None, "spot": None, "wrapped": None, "at": None,
         "took": None, "number": None, "flag": None, "blob": None, "object": None, "any": None, "list": None,
         "tree": None, "far": ""}


def with_defaults(value, defaults, inner):
    """The twin of a message; `inner` names the messages within it."""
    whole = filled(value, defaults)
    for name, (deeper, further) in inner.items():
        if name not in whole:
            continue
        item = whole[name]
        if isinstance(item, Map):
            whole[name] = Map({key: with_defaults(each, deeper, further) for key, each in item.items()})
        elif isinstance(item, list):
            whole[name] = [with_defaults(each, deeper, further) for each in item]
        else:
            whole[name] = with_defaults(item, deeper, further)
    return whole


PLACE = {"place": (ADDRESS, {})}
IDENTITY_INNER = {
    "metadata": (ORIGIN, {}),
    "content": (CONTENT, {"logins": (LOGIN, PLACE), "contact": ({"phone": None, "post": None, "code": None},
                                                                  {"post": (ADDRESS, {})})}),
}
TREE_INNER = {}
TREE_INNER["children"] = (TREE, TREE_INNER)
EVERY_INNER = {"points": (POINT, {}), "point": (POINT, {}), "places": (POINT, {}), "spot": (POINT, {}),
               "tree": (TREE, TREE_INNER)}


def address():
    made = {}
    maybe(made, "street", text)
    maybe(made, "zip", lambda: whole(32))
    return made


def login():
    made = {"at": rng.randint(0, 2_000_000_000_000)}
    maybe(made, "place", address)
    return made


def identity(number):
    content = {"userId": f"user-{rng.randint(0, 40)}"}
    maybe(content, "email", lambda: f"person{rng.randint(0, 30)}@example.com")
    content["pin"] = whole(32)
    maybe(content, "status", lambda: Name(rng.choice(["new", "known", "gone"])))
    maybe(content, "age", lambda: whole(32))
    maybe(content, "score", double)
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
    made = {}
    maybe(made, "x", single)
    maybe(made, "y", single)
    maybe(made, "label", text)
    return made


def tree(depth=3):
    made = {}
    maybe(made, "value", lambda: whole(32))
    if depth:
        maybe(made, "children", lambda: some(lambda: tree(depth - 1), 2))
    return made


def kind():
    return Name(rng.choice(["NONE", "FIRST", "SECOND"]))


def moment():
    seconds = rng.choice([0, -62_135_596_800, 253_402_300_799, rng.randint(-10**9, 10**10)])
    nanos = rng.choice([0, 1, 500_000_000, 999_999_999, 123_456_000])
    days, rest = divmod(seconds, 86_400)
    # From 0000-03-01 on, in the calendar that all days have.
    days += 719_468
    era, day = divmod(days, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day = day - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = era * 400 + year + (month <= 2)
    written = f"{year:04}-{month:02}-{day:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}.{nanos:09}Z"
    return Wrapped(f"{{ seconds: {seconds} nanos: {nanos} }}", written)


def span():
    seconds, nanos = rng.choice([0, 1, 315_576_000_000]), rng.choice([0, 1, 500_000_000, 1000])
    nanos = 0 if seconds > 1 else nanos
    sign = rng.choice([1, -1])
    digits = "" if not nanos else f".{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    minus = "-" if sign < 0 and (seconds or nanos) else ""
    return Wrapped(f"{{ seconds: {sign * seconds} nanos: {sign * nanos} }}", f"{minus}{seconds}{digits}s")


def wrapped(make):
    value = make()
    # A wrapped default is sent without it.
    inside = f"value: {literal(value)}" if value or rng.random() < 0.5 else ""
    return Wrapped(f"{{ {inside} }}", twin(value))


def json_value(depth=2):
    choice = rng.randrange(6 if depth else 4)
    if choice == 0:
        return Wrapped("{ null_value: NULL_VALUE }", None)
    if choice == 1:
        number = rng.choice([0.0, 1.5, -2.0, 123456.75])
        return Wrapped(f"{{ number_value: {number!r} }}", number)
    if choice == 2:
        said = text()
        return Wrapped(f"{{ string_value: {literal(said)} }}", said)
    if choice == 3:
        return Wrapped("{ bool_value: true }", True)
    if choice == 4:
        inner = json_object(depth - 1)
        return Wrapped(f"{{ struct_value: {inner.text} }}", inner.twin)
    inner = json_list(depth - 1)
    return Wrapped(f"{{ list_value: {inner.text} }}", inner.twin)


def json_object(depth=2):
    members = mapping(lambda: rng.choice("abcde"), lambda: json_value(depth))
    return Wrapped("{ " + fields({"fields": members}) + " }", twin(dict(members)))


def json_list(depth=2):
    values = some(lambda: json_value(depth), 3)
    return Wrapped("{ " + fields({"values": values}) + " }", twin(values))


def every():
    event = {}
    maybe(event, "bool", lambda: rng.random() < 0.5)
    for name, bits, signed in [("i32", 32, True), ("i64", 64, True), ("u32", 32, False), ("u64", 63, False),
                               ("s32", 32, True), ("s64", 64, True), ("f32", 32, False), ("f64", 63, False),
                               ("sf32", 32, True), ("sf64", 64, True)]:
        maybe(event, name, lambda: whole(bits, signed))
    maybe(event, "float", single)
    maybe(event, "double", double)
    maybe(event, "text", text)
    maybe(event, "data", blob)
    maybe(event, "kind", kind)
    maybe(event, "maybe_bool", lambda: rng.random() < 0.5)
    maybe(event, "maybe_i64", lambda: whole(64))
    maybe(event, "maybe_text", text)
    maybe(event, "maybe_kind", kind)
    maybe(event, "bools", lambda: some(lambda: rng.random() < 0.5, 20))
    maybe(event, "shorts", lambda: some(lambda: whole(32)))
    maybe(event, "doubles", lambda: some(double))
    maybe(event, "longs", lambda: some(lambda: whole(63, False)))
    maybe(event, "texts", lambda: some(text))
    maybe(event, "blobs", lambda: some(blob))
    maybe(event, "kinds", lambda: some(kind))
    maybe(event, "points", lambda: some(point))
    maybe(event, "point", point)
    maybe(event, "counts", lambda: mapping(text, lambda: whole(64)))
    maybe(event, "places", lambda: mapping(lambda: whole(32), point))
    maybe(event, "words", lambda: mapping(lambda: rng.random() < 0.5, text))
    member = rng.choice(["whole", "said", "spot", "wrapped", None])
    if member:
        event[member] = {"whole": lambda: whole(64), "said": text, "spot": point,
                         "wrapped": lambda: wrapped(text)}[member]()
    maybe(event, "at", moment)
    maybe(event, "took", span)
    maybe(event, "number", lambda: wrapped(lambda: whole(64)))
    maybe(event, "flag", lambda: wrapped(lambda: rng.random() < 0.5))
    maybe(event, "blob", lambda: wrapped(blob))
    maybe(event, "object", json_object)
    maybe(event, "any", json_value)
    maybe(event, "list", json_list)
    maybe(event, "tree", tree)
    maybe(event, "far", text)
    return event


def varint(number):
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes(written) + bytes([number])


def encode(directory, file, message, event):
    command = ["protoc", f"-I{directory}", "-I.", "--deterministic_output", f"--encode={message}", file]
    return subprocess.run(command, input=fields(event).encode(), capture_output=True, check=True).stdout


def write(directory, file, message, name, events):
    with open(f"{name}.proto.bin", "wb") as out:
        for event, _ in events:
            encoded = encode(directory, file, message, event)
            out.write(varint(len(encoded)) + encoded)
    with open(f"{name}.proto.ndjson", "w") as out:
        for _, line in events:
            out.write(json.dumps(twin(line), ensure_ascii=False) + "\n")


def main():
    with tempfile.TemporaryDirectory() as directory:
        annotations = pathlib.Path("../../src/notation/protobuf/annotations.proto").read_text()
        home = pathlib.Path(directory) / "headwater"
        home.mkdir()
        (home / "annotations.proto").write_text(annotations)
        events = [identity(number) for number in range(220)]
        write(directory, "user.identity.created.proto", "user.identity.UserIdentityCreated",
              "user.identity.created", [(each, with_defaults(each, IDENTITY, IDENTITY_INNER)) for each in events])
        events = [every() for _ in range(240)] + [{}]
        write(directory, "every.proto", "every.kind.Every",
              "every", [(each, with_defaults(each, EVERY, EVERY_INNER)) for each in events])
        older = [older_event() for _ in range(220)]
        write(directory, "older.proto", "Older", "older", older)


def older_event():
    event = {"number": whole(64)}
    maybe(event, "seven", lambda: whole(32), 0.5)
    maybe(event, "greeting", text, 0.5)
    maybe(event, "raw", blob, 0.5)
    maybe(event, "ratio", double, 0.5)
    maybe(event, "on", lambda: rng.random() < 0.5, 0.5)
    maybe(event, "kind", lambda: Name(rng.choice(["FIRST", "SECOND"])), 0.5)
    maybe(event, "other", lambda: Name(rng.choice(["FIRST", "SECOND"])), 0.5)
    maybe(event, "plain", lambda: whole(32), 0.5)
    maybe(event, "packed", lambda: some(lambda: whole(32)))
    maybe(event, "loose", lambda: some(lambda: whole(32)))
    line = {"seven": 7, "greeting": 'a "default"', "raw": b"\xff\x01", "ratio": -1.5e300, "on": True,
            "kind": "SECOND", "packed": [], "loose": []}
    line.update(event)
    if rng.random() < 0.5:
        inner = [{"b": whole(32)} for _ in range(rng.randint(0, 2))]
        part = {"a": text()} if rng.random() < 0.5 else {}
        event["Part"] = {**part, "Inner": inner}
        line["part"] = {**part, "inner": inner}
    return event, line


if __name__ == "__main__":
    main()
