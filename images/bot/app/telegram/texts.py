"""What the user reads."""

HELP = (
    "Send me a voice message or an audio file (up to {limit:.0f} MB): "
    "I convert it, store it, and answer with its length and size."
)
START = "Hello! " + HELP
GIVE_UP = "I am sorry, I could not process your recording. Please send it again."


def duration_text(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d} min"


def size_text(size: int) -> str:
    if size < 1024:
        return f"{size} bytes"
    if size < 1024 * 1024:
        return f"{size / 1024:.1f} KB"
    return f"{size / 1024 / 1024:.1f} MB"


def stored_text(duration_ms: int, size: int) -> str:
    return f"Stored: {duration_text(duration_ms)}, {size_text(size)} (Ogg/Opus)."
