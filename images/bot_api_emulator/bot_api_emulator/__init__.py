"""A local Telegram Bot API that follows the open-source server's rules on who may poll."""

__version__ = "1.0.0"
