"""Stand-ins on localhost for what costs money or needs an account."""
