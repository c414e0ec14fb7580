"""Users, tokens, sessions and logins."""
