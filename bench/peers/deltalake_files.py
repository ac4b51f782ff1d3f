"""Python deltalake (delta-rs): which files a Delta table has now, as its log says.

`files TABLE` prints their paths, sorted, one a line.
"""

import sys
import urllib.parse

from deltalake import DeltaTable


def files(table):
    for uri in sorted(DeltaTable(table).file_uris()):
        print(urllib.parse.unquote(urllib.parse.urlparse(uri).path))


if __name__ == "__main__":
    {"files": files}[sys.argv[1]](*sys.argv[2:])
