"""The task: a POST with requests, by one session that keeps its connections."""

import requests
from celery import Celery, signals
from requests.adapters import HTTPAdapter

import telemetry

app = Celery("tasks")
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    # Threads acknowledge at the same time.
    broker_transport_options={"max_connections": 100},
)
http = requests.Session()
http.mount("http://", HTTPAdapter(pool_maxsize=64))
# Otherwise each request looks for proxies in the environment.
http.trust_env = False


@app.task
def deliver(url: str, body: str) -> None:
    http.post(url, data=body).raise_for_status()


def instrument() -> None:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    CeleryInstrumentor().instrument()
    RequestsInstrumentor().instrument()


@signals.worker_init.connect
def start_telemetry(**_) -> None:
    stop = telemetry.start(instrument)
    signals.worker_shutdown.connect(lambda **_: stop(), weak=False)
