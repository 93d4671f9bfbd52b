"""What the primary's health is made of. Imports nothing: the first poll must not wait."""

POLLS = "getUpdates"
HANDLERS = "handlers"
HANDLER_SECONDS = 60.0
# Whatever hangs is said then.
STUCK_SECONDS = HANDLER_SECONDS + 30
