"""What kind of mistake a wrong gradient looks like; no diagnosis rather than a wrong one.

Fits the wrong numbers against a few patterns and speaks only when every entry follows the pattern within the bars and
there is more than chance behind it.
"""

from __future__ import annotations

from torch import Tensor

_NAMES = {2.0: "a factor 2 too many?", 0.5: "a missing factor 2?", -1.0: "a wrong sign?", 0.0: "a path that is cut?"}


def diagnose(actual: Tensor, expected: Tensor, bar: Tensor, shape: tuple[int, ...]) -> str | None:
    """Describe the pattern of a wrong gradient in a sentence, or return None.

    Args:
        actual: C × n wrong numbers.
        expected: C × n true ones.
        bar: C × n bars.
        shape: the input's shape, of n entries.
    """
    count = expected.numel()
    if bool(actual.isnan().any()):
        where = int(actual.isnan().sum())
        return f"It is NaN at {where} of {count} entries."
    if not bool(actual.isfinite().all() & expected.isfinite().all() & bar.isfinite().all()):
        return None
    if not bool(((actual - expected).abs() > 16 * bar).any()):
        return None
    informative = expected.abs() > 100 * bar
    if not bool(informative.any()):
        return None
    if bool((actual.abs() <= bar).all()):
        return "It is zero everywhere: is a path cut, or a gradient not returned?"
    factor = float((actual * expected).sum() / (expected * expected).sum())
    if bool(((actual - factor * expected).abs() <= (1 + abs(factor)) * bar).all()):
        named = next((text for value, text in _NAMES.items() if abs(factor - value) < 1e-6 * max(1.0, abs(value))), "")
        places = f"{int(informative.sum())}/{count} entries" if count > 1 else "the one entry"
        shown = f"(1 {factor - 1:+.3g})" if 0 < abs(factor - 1) < 1e-3 else f"{factor:.7g}"
        return f"It is {shown} × the true gradient at {places}{': ' + named if named else '.'}"
    if len(shape) == 2 and shape[0] == shape[1] and shape[0] > 1:
        turned = expected.reshape(-1, *shape).transpose(-1, -2).reshape(expected.shape)
        if bool(((actual - turned).abs() <= bar + bar.max()).all()):
            return "It is the transpose of the true gradient."
    wrong = ~((actual - expected).abs() <= bar)
    if count > 8 and int(wrong.sum()) == 1:
        return "Every other entry is right."
    return None
