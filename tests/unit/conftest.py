"""What all unit tests share."""

from __future__ import annotations

from hypothesis import settings

# In CI, Hypothesis by itself takes the same examples in every run. Here they are others; a
# failure prints how to repeat it. No deadline: that a machine is busy is no fault.
settings.register_profile(
    "every_run", derandomize=False, deadline=None, database=None, print_blob=True
)
settings.load_profile("every_run")
