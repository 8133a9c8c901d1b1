# Uses a client that was generated from docs/openapi.json. It is started with the console's address.
import sys

import httpx

from postrider import Client
from postrider.api.dead_letters import list_dead_letters, replay_dead_letters
from postrider.api.jobs import enqueue_job, find_job
from postrider.api.queues import get_queue, pause_queue
from postrider.models import Enqueued, NewJob, PauseRequest, Problem, Selection

# Not the 5 s of httpx: the machine may be busy.
client = Client(base_url=sys.argv[1], timeout=httpx.Timeout(60))
job = NewJob(url="https://example.org/hook", label="order:4711", body={"order": 7})

# A repeated request with the same key enqueues nothing.
first = enqueue_job.sync("default", client=client, body=job, idempotency_key="order-7")
again = enqueue_job.sync("default", client=client, body=job, idempotency_key="order-7")
assert isinstance(first, Enqueued) and not first.known, first
assert isinstance(again, Enqueued) and again.known and again.job_id == first.job_id, again

found = find_job.sync(first.job_id, client=client)
assert [(one.job_id, one.label, one.state) for one in found.jobs] == [(first.job_id, "order:4711", "ready")], found

# All pages.
ids, cursor = [], None
while True:
    more = {"cursor": cursor} if cursor else {}
    page = list_dead_letters.sync(client=client, limit=2, **more)
    ids += [letter.job_id for letter in page.dead]
    cursor = page.next_
    if not cursor:
        break
assert ids == ["2-0", "1-0", "0-0"], ids

replayed = replay_dead_letters.sync(client=client, body=Selection(ids=["1-0"]))
assert [one.replay_of for one in replayed.replayed] == ["1-0"], replayed

paused = pause_queue.sync("default", client=client, body=PauseRequest(until="1h", why="a move"))
assert paused.paused.why == "a move" and not paused.was_paused, paused
assert get_queue.sync("default", client=client)[0].paused.why == "a move"

# Errors are objects, too, also those that a route does not list.
wrong = enqueue_job.sync("default", client=client, body=NewJob(url="not a url"))
assert isinstance(wrong, Problem) and (wrong.status, wrong.field) == (422, "url"), wrong
wrong = pause_queue.sync("a b", client=client, body=PauseRequest())
assert isinstance(wrong, Problem) and (wrong.status, wrong.field) == (400, "queue"), wrong
unknown = find_job.sync("nothing", client=client)
assert isinstance(unknown, Problem) and unknown.status == 404, unknown
