"""Tables of access: tokens, shares, sessions."""
