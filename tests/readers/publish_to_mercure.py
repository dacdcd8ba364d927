"""Publishes updates with mercure-publisher, a public client of Mercure. Takes the hub's URL and a JSON
list of updates, each the arguments of one publish; prints the id that the hub gives to each."""

import json
import sys

import httpx
from mercure_publisher import MercureConfig, MercurePublisher

hub_url, updates = sys.argv[1:]
config = MercureConfig(
    hub_url=hub_url,
    publisher_jwt_key="only-for-this-test-0123456789abcdef",
    publish_topics=["*"],
)
with MercurePublisher(config, httpx.Client(timeout=10, trust_env=False)) as publisher:
    for update in json.loads(updates):
        print(publisher.publish(**update), flush=True)
