"""Sends events to Spillway with requests only: each is stored once, however often a request is repeated.

Usage: INGEST_URL=http://127.0.0.1:8080 SPILLWAY_KEY=... python3 send.py
"""

import os
import random
import time
import uuid

import requests

URL = os.environ["INGEST_URL"]
KEY = os.environ["SPILLWAY_KEY"]


def send(stream, events, tries=10):
    """Sends up to 1,000 events. Returns the items that Spillway rejected; raises if the key or the request is wrong, or after the last try."""
    # The ids are fixed before the first try: that is what makes a repetition harmless.
    events = [{"id": str(uuid.uuid4()), **event} for event in events]
    for attempt in range(tries):
        try:
            answer = requests.post(
                f"{URL}/v1/{stream}", json=events, headers={"Authorization": f"Bearer {KEY}"}, timeout=50
            )
        except (requests.ConnectionError, requests.Timeout):
            wait = 0  # no answer: the events may be there or not
        else:
            if answer.status_code in (201, 202):
                return answer.json().get("rejected", [])
            if answer.status_code == 422:
                return answer.json()["errors"]
            if answer.status_code not in (408, 429) and answer.status_code < 500:
                answer.raise_for_status()
            wait = float(answer.headers.get("Retry-After", 0))
        time.sleep(max(wait, random.uniform(0, min(60, 2**attempt))))
    raise TimeoutError(f"Spillway took none of {len(events)} events in {tries} tries")


if __name__ == "__main__":
    rejected = send("events", [{"type": "example.python", "payload": {"n": n}} for n in range(3)])
    print(f"{len(rejected)} rejected")
