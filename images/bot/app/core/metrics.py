"""Prometheus metrics of all roles. No metric carries a chat, a user or a secret."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from app.core.logs import log

POLLS = Counter("aisha_polls", "getUpdates calls", ["result"])
CONFLICTS = Counter("aisha_poll_conflicts", "getUpdates calls that ended in 409 Conflict")
LAST_POLL = Gauge("aisha_last_successful_poll_timestamp_seconds", "Unix time of the last success")
UPDATES = Counter("aisha_updates", "Updates handled", ["kind"])
UPDATES_OPEN = Gauge("aisha_updates_open", "Updates that are stored and not handled yet")
UPDATES_OLDEST = Gauge("aisha_updates_oldest_seconds", "Age of the oldest of them")
UPDATES_FAILED = Gauge("aisha_updates_failed", "Updates whose handler failed for good")
JOBS = Counter("aisha_jobs", "Jobs ended", ["kind", "result"])
JOB_SECONDS = Histogram(
    "aisha_job_seconds", "Time of one job", ["kind"], buckets=(0.1, 0.3, 1, 3, 10, 30, 120)
)
ANSWERS = Counter("aisha_answers", "Answers to users", ["result"])
REQUEUED = Counter("aisha_jobs_requeued", "Rows that the sweeper queued again", ["kind"])
OPEN_ROWS = Gauge("aisha_open_rows", "Rows whose work is not done", ["kind"])
OLDEST_ROW = Gauge("aisha_oldest_open_row_seconds", "Age of the oldest of them", ["kind"])
CALLBACKS = Counter("aisha_callbacks", "Webhook calls", ["result"])


def serve_metrics(port: int) -> None:
    if port == 0:
        return
    try:
        start_http_server(port)
    except OSError as error:
        log.warning("metrics are off: METRICS_PORT can't be opened", port=port, error=str(error))
