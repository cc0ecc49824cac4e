"""Differential equations solved by a fixed number of steps, written as loops."""

from __future__ import annotations

import torch
from torch import Tensor


def pendulum(angle: Tensor, speed: Tensor, length: Tensor) -> Tensor:
    """Angle after 8 steps of 0.1 s of the semi-implicit Euler rule; lengths in m, gravity 9.81 m/s²."""
    for _ in range(8):
        speed = speed - 0.1 * 9.81 / length * torch.sin(angle)
        angle = angle + 0.1 * speed
    return angle


def decay(rate: Tensor, start: Tensor) -> Tensor:
    """Ten Euler steps of x' = −rate·x over a unit of time: start·(1 − rate/10)¹⁰."""
    x = start
    for _ in range(10):
        x = x - 0.1 * rate * x
    return x
