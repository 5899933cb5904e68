"""Adapters to the services that render: submit, check, download."""
