"""Questions in SQL, asked one after another: what the drivers of peers that answer SQL have in common.

`ask_all(ask, STATEMENTS, TIMES)` takes statements from a JSON file, asks each TIMES times and prints, as JSON and for each statement, the
seconds of each time, the processor seconds of all, and the rows; or the error, and then nothing else. A decimal and a timestamp are
written as `/v1/sql` writes them.
"""

import datetime
import decimal
import json
import time


def plain(value):
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def ask_all(ask, statements, times):
    """`ask` runs a statement to its end and returns a function that gives its rows."""
    answers = []
    for statement in json.load(open(statements)):
        seconds, rows, processor = [], None, time.process_time()
        try:
            for _ in range(int(times)):
                began = time.perf_counter()
                rows = ask(statement)
                seconds.append(time.perf_counter() - began)
            processor = time.process_time() - processor
            rows = [[plain(value) for value in row] for row in rows()]
            answers.append({"seconds": seconds, "processor": processor, "rows": rows})
        except Exception as error:  # Whatever it is: it is printed for the question, and the next one is asked.
            answers.append({"error": f"{type(error).__name__}: {error}"})
    print(json.dumps(answers))
