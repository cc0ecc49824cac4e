"""All emulations, by slug."""

from __future__ import annotations

from emulations import cotangents, layouts, modes, paths, precision, regions, sizes, state, terms, zeros
from emulations.emulation import Emulation

FAMILIES = (cotangents, layouts, terms, paths, regions, zeros, sizes, precision, state, modes)
EMULATIONS: dict[str, Emulation] = {entry.slug: entry for family in FAMILIES for entry in family.EMULATIONS}
