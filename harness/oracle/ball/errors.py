"""Why something has no certificate: for good, at this precision, or at this series length. Nothing else lives here."""

from __future__ import annotations


class NotCertifiedError(Exception):
    """The ball oracle has no answer; the message is the reason, and a finding may show it."""


class UndecidedError(Exception):
    """Two balls overlap where the function must know which is larger; more precision may decide."""


class LostTermError(Exception):
    """A series lost the term that was asked for (0/0, the root of a square); a longer one may keep it."""
