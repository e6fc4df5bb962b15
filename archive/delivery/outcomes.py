"""How a sending can fail. The reasons are shown at the desk: no address, no text of a message."""


class TemporaryFailureError(Exception):
    """Worth another try later."""


class PermanentFailureError(Exception):
    """No later try will do better."""
