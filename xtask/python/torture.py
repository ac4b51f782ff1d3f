"""Cuts the power of a file system, and opens Delta tables as another engine does. For `cargo xtask torture`.

Reads requests from standard input, one a line, and answers each with one line, `ok …` or `error …`:

    cut FLAG MOUNT   EXT4_IOC_SHUTDOWN; flag 1: metadata is flushed and data is not, flag 2: nothing is
    open LAKE        every table below LAKE; answers how many there were
"""

import fcntl
import os
import pathlib
import struct
import sys

EXT4_IOC_SHUTDOWN = 0x8004587D


def cut(argument):
    flag, mount = argument.split(" ", 1)
    directory = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", int(flag)))
    finally:
        os.close(directory)
    return "cut"


def open_lake(argument):
    from deltalake import DeltaTable

    tables = 0
    for log in sorted(pathlib.Path(argument).glob("*/_delta_log")):
        # A table that was being made when the power went has no first version, and is none.
        if not any(log.glob("*.json")):
            continue
        name = log.parent.name
        try:
            table = DeltaTable(str(log.parent))
            # The footer of every file is read: a file that the log names and the disk lost shows here.
            table.to_pyarrow_dataset().count_rows()
        except Exception as fault:
            raise RuntimeError(f"{name}: {type(fault).__name__}: {fault}") from fault
        tables += 1
    return str(tables)


def main():
    requests = {"cut": cut, "open": open_lake}
    for line in sys.stdin:
        name, _, argument = line.rstrip("\n").partition(" ")
        try:
            answer = "ok " + requests[name](argument)
        except Exception as fault:
            answer = "error " + str(fault).replace("\n", " ")
        print(answer, flush=True)


if __name__ == "__main__":
    main()
