"""`python -m app [migrate|health|replay]`. Imports nothing heavy before it knows what to do."""

import signal
import sys

USAGE = (
    "usage: python -m app            run the role named by BOT_ROLE\n"
    "       python -m app migrate    bring the database schema up to date, then exit\n"
    "       python -m app replay    show updates whose handler failed; `replay run` tries again\n"
    "       python -m app health     exit 0 when this container's own work is going on"
)


def _exit_now(*_: object) -> None:
    sys.exit(0)


def main(argv: list[str]) -> int:
    if argv == ["health"]:
        from app.core import healthcheck

        return healthcheck.main()
    if argv[:1] == ["replay"]:
        from app import replay

        return replay.main(argv[1:])
    if argv not in ([], ["migrate"]):
        print(USAGE, file=sys.stderr)
        return 0 if argv in (["-h"], ["--help"]) else 2
    # PID 1 has no default action for signals: without this a stop during the imports waits
    # for the whole grace period and ends in SIGKILL.
    signal.signal(signal.SIGTERM, _exit_now)
    signal.signal(signal.SIGINT, _exit_now)
    from app import run

    return run.main("migrate" if argv else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
