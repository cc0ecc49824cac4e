"""What kind of mistake a wrong gradient looks like; no diagnosis rather than a wrong one.

`diagnose` fits one input's wrong numbers against patterns and speaks only when every entry follows one within its bars
and there is more than chance behind it. `settle` looks at all findings of a case: it drops what several points
contradict, and says what only failed in low precision, at some sizes, at special points or under some probes.
"""

from __future__ import annotations

from harness.verify.diagnosis.diagnose import diagnose
from harness.verify.diagnosis.evidence import Evidence, Part
from harness.verify.diagnosis.settle import settle

__all__ = ["Evidence", "Part", "diagnose", "settle"]
