"""A Discord bot that turns prompts and pictures into video on paid gateways."""

__version__ = "0.1.0"
