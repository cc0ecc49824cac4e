"""When each of many descents ends: arrived, diverged, stopped, or out of steps; the rules are those of `descent`.

A row ends at its arrival; what it would do afterwards is not looked at. This module only looks: it moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.converge.descent import GROWTH, HOPELESS, PATIENCE, STANDSTILL, STREAK, TINY_LOSS, Rules
from harness.converge.minimum import scales

HIT, DIVERGED, STALLED, BUDGET = "hit", "diverged", "stalled", "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEnd:
    """How one row ended: hit · diverged · stalled · budget."""

    status: str
    steps: int
    """Steps taken; of a hit, the first at which it had arrived."""
    loss: float | None
    """Loss at the last step, where it is finite; on mini-batches, that of a batch."""


class RowWatch:
    """Looks at B rows, step by step, and remembers how those that have ended did.

    `minima` (B, m, n), float64, are each row's acceptable minimisers; None where none is known.
    """

    def __init__(self, rules: Rules, minima: Tensor | None, rows: int, *, stochastic: bool) -> None:
        self.rules, self.stochastic = rules, stochastic
        self.ends: dict[int, RowEnd] = {}
        self.left = rows
        """Rows that have not ended."""
        self._minima = minima
        self._scales = None if minima is None or not rules.relative else scales(minima)
        self._names = list(range(rows))
        self._live = torch.ones(rows, dtype=torch.bool)
        self._above = self._unchanged = torch.zeros(rows, dtype=torch.long)
        self._first = self._previous = torch.full((rows,), math.nan, dtype=torch.float64)
        self._flat = torch.empty(0)
        self._losses = self._previous
        self._step = -1

    @property
    def held(self) -> int:
        """Rows still looked at, ended ones among them."""
        return len(self._names)

    def see(
        self, losses: Tensor, flat: Tensor, *, levels: Tensor | None, norms: Callable[[], Tensor] | None = None
    ) -> None:
        """Look at the next step of every row held.

        Args:
            losses: of this step, (B,).
            flat: parameters (B, n).
            levels: the losses (B,) that arrival is judged by, None where this step is not one to judge them at.
            norms: gives the gradients' 2-norms (B,); needed where the rules stop at one.
        """
        self._step += 1
        self._place(flat)
        self._previous, self._losses = self._losses, losses.detach().double().cpu()
        if self._step == 0:
            self._first = self._losses
        distance = self._distance(flat)
        self._end(self._arrived(distance, levels), HIT)
        self._end(self._diverged(distance), DIVERGED)
        for stopped in self._stopped(norms):
            self._end(stopped & (self._above >= STREAK), DIVERGED)
            self._end(stopped, STALLED)

    def close(self) -> dict[int, RowEnd]:
        """Return how every row ended, those still going by their budget, by row."""
        self._end(~torch.isfinite(self._flat).all(dim=1).cpu() | (self._above >= STREAK), DIVERGED)
        self._end(self._unchanged >= STANDSTILL, STALLED)
        self._end(torch.ones_like(self._live), BUDGET)
        return self.ends

    def compact(self) -> Tensor:
        """Forget the rows that have ended; return the positions (of those held) that stay, ascending."""
        rows = self._live.nonzero().squeeze(1)
        self._names = [self._names[row] for row in rows.tolist()]
        for name in ("_live", "_above", "_unchanged", "_first", "_previous", "_losses"):
            setattr(self, name, getattr(self, name)[rows])
        there = rows.to(self._flat.device)
        self._flat = self._flat[there]
        self._minima = None if self._minima is None else self._minima[there]
        self._scales = None if self._scales is None else self._scales[there]
        return there

    def _place(self, flat: Tensor) -> None:
        """Count the steps in a row that changed no parameter; on changing data they mean nothing."""
        if self._step > 0 and not self.stochastic:
            same = (flat == self._flat).all(dim=1).cpu()
            self._unchanged = torch.where(same, self._unchanged + 1, 0)
        self._flat = flat.clone()

    def _distance(self, flat: Tensor) -> Tensor | None:
        """Return the max-norm distances to the nearest minimum, (B,); relative where the rules say so."""
        if self._minima is None:
            return None
        apart = self._minima - flat.double()[:, None]
        return (apart if self._scales is None else apart / self._scales).abs().amax(dim=2).amin(dim=1).cpu()

    def _arrived(self, distance: Tensor | None, levels: Tensor | None) -> Tensor:
        """Return which rows meet every declared criterion; none where none is declared, or a number is NaN."""
        arrived = torch.full_like(self._live, fill_value=distance is not None or self.rules.loss_below is not None)
        if distance is not None:
            arrived &= distance <= self.rules.within
        if self.rules.loss_below is not None:
            low = torch.zeros_like(arrived) if levels is None else levels.double().cpu() <= self.rules.loss_below
            arrived &= low
        return arrived

    def _diverged(self, distance: Tensor | None) -> Tensor:
        """Return which rows have a loss or distance that is not finite, or a loss that has grown beyond hope."""
        lost = ~torch.isfinite(self._losses)
        if distance is not None:
            lost |= ~torch.isfinite(distance)
        growth = self._losses / self._first.abs().clamp(min=TINY_LOSS)
        self._above = torch.where(growth > GROWTH, self._above + 1, 0)
        return lost | ((self._above >= STREAK) & (growth > HOPELESS))

    def _stopped(self, norms: Callable[[], Tensor] | None) -> list[Tensor]:
        """Return which rows a stop rule ends, or that nothing moves any more, rule by rule."""
        stop, found = self.rules.stop, [self._unchanged >= PATIENCE]
        if stop.loss is not None:
            found.append(self._losses <= stop.loss)
        if stop.loss_change is not None:
            found.append((self._losses - self._previous).abs() <= stop.loss_change)
        if stop.gradient_norm is not None and norms is not None:
            found.append(norms().double().cpu() <= stop.gradient_norm)
        return found

    def _end(self, rows: Tensor, status: str) -> None:
        """Put on record that these of the rows still going end here."""
        ended = rows & self._live
        if not bool(ended.any()):
            return
        self._live &= ~ended
        for row in ended.nonzero().squeeze(1).tolist():
            loss = float(self._losses[row])
            kept = loss if math.isfinite(loss) else None
            self.ends[self._names[row]] = RowEnd(status=status, steps=self._step, loss=kept)
            self.left -= 1
