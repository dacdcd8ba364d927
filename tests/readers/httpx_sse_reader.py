"""Prints the events of a stream as httpx-sse reads them, a JSON line each. Takes a URL and a last event id."""

import json
import sys

import httpx
from httpx_sse import connect_sse

url, last_event_id = sys.argv[1:]
headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
with httpx.Client(timeout=60, trust_env=False) as client:
    with connect_sse(client, "GET", url, headers=headers) as source:
        for event in source.iter_sse():
            print(json.dumps([event.event, event.data, event.id]), flush=True)
