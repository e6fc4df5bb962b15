"""Who may see what: tokens, shares, sessions, scope."""
