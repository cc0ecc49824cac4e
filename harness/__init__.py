"""Checks gradients of differentiable PyTorch code, runs convergence cases, times them, and reports."""
