"""The reference bot of aisha.bot_stack: one code base, the role chosen by BOT_ROLE."""

__version__ = "1.0.0"
