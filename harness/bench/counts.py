"""Counts: what one call of a pass does, counted instead of timed: operators, FLOPs, bytes saved, bytes moved.

Each count is had in a call of its own, after calls that warmed the work up, and none of them is timed. They are
functions of the code and the sizes alone: equal code gives equal counts, so they may be compared exactly.

What cannot be seen: work outside torch's dispatcher (NumPy, a kernel that is launched without being registered as an
operator) and what a compiled function runs, whose kernels are not operators; of that only the saved tensors are
counted. FLOPs are those of `flops`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from harness.bench.flops import counted_flops
from harness.bench.passes import GRADIENT_PASSES, PASSES, Setting
from harness.bench.sampling import Work
from harness.records import Counts

WARM_CALLS = 2
"""Calls before anything is counted: the first fills caches and makes an optimizer's state."""

SAVING_PASSES = ("forward", *GRADIENT_PASSES)
"""The passes that hold what autograd saved."""

_LOOKUPS = frozenset({"embedding", "gather", "index", "index_select", "take"})
"""Operators that read no more of their first argument than they return."""

_OVERWRITING = frozenset({"copy_", "fill_", "zero_"})
"""Operators that write their first argument without reading it."""


def exact_counts(setting: Setting, what: str) -> Counts:
    """Count what one call of a pass does.

    Args:
        setting: a variant of a subject at one size on one device, as `passes.make_setting` and `variants.setting_of`
            give it.
        what: name of the pass, one of `passes.PASSES`.

    Returns:
        The counts; None stands for each that cannot be had for this variant and pass.

    Raises:
        Exception: whatever the subject raises.
    """
    work = PASSES[what](setting)
    for _ in range(WARM_CALLS):
        _prepared(work)()
    return warm_counts(work, setting, what)


def warm_counts(work: Work, setting: Setting, what: str) -> Counts:
    """Count what one call of a piece of work does that has been called before.

    Args:
        work: the pass built from the setting.
        setting: as for `exact_counts`.
        what: name of the pass.

    Raises:
        Exception: whatever the subject raises.
    """
    saving = what in SAVING_PASSES and setting.gradient is None and setting.transform is None
    saved = saved_bytes(setting) if saving else (None, None)
    if setting.fresh_graphs:
        return Counts(saved_bytes=saved[0], saved_input_bytes=saved[1])
    ledger, call = _Ledger(), _prepared(work)
    with ledger:
        kept = call()
    moved = ledger.bytes_moved()
    del kept
    return Counts(
        operators=tuple(sorted(ledger.operators.items())),
        flops=counted_flops(_prepared(work)),
        bytes_moved=moved,
        saved_bytes=saved[0],
        saved_input_bytes=saved[1],
    )


def _prepared(work: Work) -> Callable[[], object]:
    if work.before is not None:
        work.before(1)
    return work.call


class _Ledger(TorchDispatchMode):
    """Writes down every operator that runs, what it reads of tensors that were there before, and what it leaves."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: Counter[str] = Counter()
        self.read: dict[int, int] = {}
        self.written: dict[int, tuple[StorageWeakRef, int]] = {}
        self.made: dict[int, StorageWeakRef] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator and enter it."""
        result = func(*args, **(kwargs or {}))
        if func.namespace != "profiler":
            self.operators[str(func).removesuffix(".default")] += 1
            self._enter(func, args, kwargs or {}, result)
        return result

    def _enter(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Enter the storages an operator reads, writes and makes; a view does none of it."""
        given, results = _tensors((args, kwargs)), _tensors(result)
        known = {_key(tensor) for tensor in given}
        # Some operators that may copy, such as aten.to, count as views too.
        if func.is_view and all(_key(tensor) in known for tensor in results):
            return
        written = _written(func, args, kwargs)
        for tensor in written:
            self._write(tensor)
        for tensor in results:
            if _key(tensor) not in known:
                self.made.setdefault(_key(tensor), StorageWeakRef(tensor.untyped_storage()))
                self._write(tensor)
        name = func._schema.name.partition("::")[2]
        if name.endswith("_like") or name.startswith(("new_", "_new_")):
            return
        most = max((_bytes(tensor) for tensor in results), default=0) if name in _LOOKUPS else None
        unread = {_key(tensor) for tensor in written} if name in _OVERWRITING or "out" in kwargs else set()
        for place, tensor in enumerate(given):
            if _key(tensor) not in unread:
                self._read(tensor, most if place == 0 else None)

    def _read(self, tensor: Tensor, most: int | None) -> None:
        key = _key(tensor)
        if key not in self.made:
            size = _bytes(tensor) if most is None else min(most, _bytes(tensor))
            self.read[key] = max(self.read.get(key, 0), size)

    def _write(self, tensor: Tensor) -> None:
        key = _key(tensor)
        size = max(self.written[key][1] if key in self.written else 0, _bytes(tensor))
        self.written[key] = (StorageWeakRef(tensor.untyped_storage()), size)

    def bytes_moved(self) -> int:
        """Least traffic of the call: what it read of what was there before, and what it wrote that outlives it.

        Each storage counts once, by its largest view that was used. Intermediate values count nothing: a kernel
        that fuses everything keeps them in registers. Of a table that rows are looked up in, as many bytes count as
        come out of it.
        """
        left = sum(size for reference, size in self.written.values() if not reference.expired())
        return sum(self.read.values()) + left


def _written(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Find the tensors that an operator's schema says it writes to."""
    arguments = func._schema.arguments
    positional = [value for argument, value in zip(arguments, args, strict=False) if argument.is_write]
    named = [kwargs[argument.name] for argument in arguments if argument.is_write and argument.name in kwargs]
    return _tensors((positional, named))


def saved_bytes(setting: Setting) -> tuple[int, int]:
    """Add up what autograd saves in a forward pass for the backward pass, each storage once and whole.

    Returns:
        Bytes of storages made for it, and bytes of the inputs that are kept alive.
    """
    inputs = {_key(leaf) for leaf in setting.leaves.values()}
    held: dict[int, tuple[Tensor, int]] = {}

    def pack(tensor: Tensor) -> Tensor:
        # A detached tensor shares the storage but not the graph, which would hold itself alive otherwise.
        kept = tensor.detach()
        held.setdefault(_key(tensor), (kept, tensor.untyped_storage().nbytes()))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        outputs = setting.function(setting.leaves)
    del outputs
    new = sum(size for key, (_, size) in held.items() if key not in inputs)
    return new, sum(size for key, (_, size) in held.items() if key in inputs)


def _tensors(value: Any) -> list[Tensor]:
    """Find the strided tensors in nested arguments."""
    return [
        leaf
        for leaf in torch.utils._pytree.tree_leaves(value)
        if isinstance(leaf, Tensor) and leaf.layout is torch.strided
    ]


def _key(tensor: Tensor) -> int:
    """Tell storages apart; while a weak reference is held, no other storage is given the same number."""
    return int(tensor.untyped_storage()._cdata)


def _bytes(tensor: Tensor) -> int:
    """Bytes of the entries of a view; one that repeats entries has no more than its storage."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
