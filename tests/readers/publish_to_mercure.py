"""Publishes updates with mercure-publisher, a public client of Mercure. Takes the hub's URL, the key and the
topics of its tokens, and a JSON list of updates, each the arguments of one publish. Prints for each the
id that the hub gave to it, or the status with which it was refused."""

import json
import sys

import httpx
from mercure_publisher import MercureConfig, MercurePublisher, MercurePublishError

hub_url, key, publish_topics, updates = sys.argv[1:]
config = MercureConfig(
    hub_url=hub_url,
    publisher_jwt_key=key,
    publish_topics=json.loads(publish_topics),
)
with MercurePublisher(config, httpx.Client(timeout=10, trust_env=False)) as publisher:
    for update in json.loads(updates):
        try:
            print(publisher.publish(**update), flush=True)
        except MercurePublishError as refusal:
            print(refusal.status_code, flush=True)
