"""Random structs for `capnp compile -ocapnp`, which prints each field's place behind it."""

import random
import subprocess

TYPES = ["Void", "Bool", "Bool", "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float32",
         "Float64", "Text", "Data", "List(Int8)"]
rng = random.Random(7)


class Struct:
    def __init__(self, fields):
        self.numbers = list(range(fields))
        self.names = 0

    def name(self):
        self.names += 1
        return f"f{self.names}"

    def member(self, level, left):
        """One member with at least one field: (text, or nothing where numbers are used up)."""
        kind = rng.random()
        if level < 3 and kind < 0.25 and len(left) > 3:
            count = rng.randint(2, 4)
            members = [self.member(level + 1, left) for _ in range(count)]
            members = [member for member in members if member]
            if len(members) < 2:
                return "".join(members)
            return f"{self.name()} :union {{ {' '.join(members)} }}"
        if level < 3 and kind < 0.4 and len(left) > 2:
            members = [self.member(level + 1, left) for _ in range(rng.randint(1, 3))]
            return f"{self.name()} :group {{ {' '.join(member for member in members if member)} }}"
        if not left:
            return ""
        return f"{self.name()} @{left.pop()} :{rng.choice(TYPES)};"

    def text(self, name):
        # Numbers in a random order, so that members of one union are placed between those of others.
        left = self.numbers[:]
        rng.shuffle(left)
        members = []
        while left:
            members.append(self.member(0, left))
        return f"struct {name} {{ {' '.join(members)} }}"



print("# Made by layouts.py: what `capnp compile -ocapnp` prints, with the place of each field behind it.")
made = 0
while made < 100:
    text = Struct(rng.randint(1, 24)).text(f"S{made}")
    with open("/tmp/layout.capnp", "w") as file:
        file.write(f"@0xc3a5d1e7b9f20641; {text}")
    done = subprocess.run(["capnp", "compile", "-ocapnp", "/tmp/layout.capnp"], capture_output=True, text=True)
    # The reference compiler refuses some: https://github.com/sandstorm-io/capnproto/issues/344.
    if done.returncode == 0:
        made += 1
        print("".join(line + "\n" for line in done.stdout.splitlines() if not line.startswith(("#", "@"))), end="")
