"""Discord commands: each translates a person's act into one service call and one reply."""
