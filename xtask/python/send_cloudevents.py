"""Sends CloudEvents as the official SDK writes them, and asks Headwater in SQL what came of them.

Takes the URL of a server that runs the project beside this file. Both interfaces of the SDK are used: that of 2.x, and
that of 1.x, which it still has. Exits with 1 if anything is not as it was sent.
"""

import datetime
import json
import sys
import urllib.error
import urllib.request

from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.conversion import to_binary as to_binary_1
from cloudevents.v1.conversion import to_structured as to_structured_1
from cloudevents.v1.http import CloudEvent as CloudEvent1

EVENTS_PER_KIND = 10
# An offset that is not UTC's: `_time` is the moment, whatever clock it was read from.
ZONE = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
BEGAN = datetime.datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=ZONE)
SUBJECT = 'café №7, 100 % "quoted"'

# No proxy of the environment: the server is on this machine.
CLIENT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url, path, headers, body):
    """Returns the status and the answer."""
    request = urllib.request.Request(url + path, data=body, headers=headers, method="POST")
    try:
        with CLIENT.open(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def sql(url, statement):
    body = json.dumps({"sql": statement}).encode()
    status, answer = post(url, "/v1/sql", {"Content-Type": "application/json"}, body)
    if status != 200:
        raise SystemExit(f"{statement}: {answer}")
    return answer["rows"]


def attributes(n, **more):
    return {"id": f"order-{n}", "type": "org.shop.order.placed", "source": "/shop/7", **more}


def at(n):
    return BEGAN + datetime.timedelta(seconds=n)


def structured(numbers):
    for n in numbers:
        event = CloudEvent(attributes(n, time=at(n), subject=SUBJECT), {"n": n, "note": "ü"})
        yield to_structured(event, JSONFormat())


def binary(numbers):
    for n in numbers:
        event = CloudEvent(attributes(n, time=at(n), subject=SUBJECT), {"n": n})
        yield to_binary(event, JSONFormat())


def bytes_as_base64(numbers):
    for n in numbers:
        event = CloudEvent(attributes(n, time=at(n), subject=SUBJECT), json.dumps({"n": n}).encode())
        yield to_structured(event, JSONFormat())


def batch(numbers):
    events = [CloudEvent(attributes(n, time=at(n), subject=SUBJECT), {"n": n}) for n in numbers]
    body = b"[" + b",".join(JSONFormat().write(event) for event in events) + b"]"
    yield {"content-type": "application/cloudevents-batch+json"}, body


def first_interface(convert):
    def of(numbers):
        for n in numbers:
            # This interface does not encode what a header cannot hold.
            event = CloudEvent1(attributes(n, time=at(n).isoformat(), subject="plain"), {"n": n})
            yield convert(event)

    return of


KINDS = [
    ("structured", structured, SUBJECT),
    ("binary", binary, SUBJECT),
    ("base64", bytes_as_base64, SUBJECT),
    ("batch", batch, SUBJECT),
    ("structured, 1.x", first_interface(to_structured_1), "plain"),
    ("binary, 1.x", first_interface(to_binary_1), "plain"),
]


def main(url):
    faults = 0

    def check(what, found, wanted):
        nonlocal faults
        same = found == wanted
        faults += not same
        print(f"{'ok ' if same else 'NOT'} {what:<16} {'' if same else f'{found!r}, expected {wanted!r}'}")

    for kind, (name, messages, subject) in enumerate(KINDS):
        numbers = range(kind * EVENTS_PER_KIND, (kind + 1) * EVENTS_PER_KIND)
        accepted = 0
        for message in messages(numbers):
            headers, body = message if isinstance(message, tuple) else (message.headers, message.body)
            status, receipt = post(url, "/v1/streams/order.placed/events", headers, body)
            if status != 200:
                print(f"    {status} {receipt}")
            accepted += receipt.get("accepted", 0)
        rows = sql(
            url,
            f"""SELECT n, _id, _time, _headers['ce-source'], _headers['ce-type'], _headers['ce-subject']
                FROM order_placed WHERE n >= {numbers[0]} AND n <= {numbers[-1]} ORDER BY n""",
        )
        utc = lambda n: at(n).astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        wanted = [[n, f"order-{n}", utc(n), "/shop/7", "org.shop.order.placed", subject] for n in numbers]
        check(name, (accepted, rows), (EVENTS_PER_KIND, wanted))

    # Bad data is refused as an event, whatever its envelope says.
    bad = to_structured(CloudEvent(attributes("bad"), {"n": -1}), JSONFormat())
    status, receipt = post(url, "/v1/streams/order.placed/events", bad.headers, bad.body)
    check("bad data", (status, receipt["errors"][0]["code"]), (422, "minimum"))
    total = len(KINDS) * EVENTS_PER_KIND
    check("the ledger", sql(url, "SELECT sum(received), sum(stored), sum(rejected) FROM ledger"), [[total + 1, total, 1]])
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
