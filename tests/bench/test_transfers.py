"""Transfers on a fake device of 1 GB/s."""

import pytest
import torch

from harness.bench.cuda_clock import CudaClock
from harness.bench.transfers import transfers

INPUTS = (torch.ones(1000), torch.ones(500))
GRADIENTS = (torch.ones(250),)


def works(cuda, gradients=GRADIENTS):
    """Every transfer's work by what and variant."""
    return {(way.what, way.variant): way for way in transfers(INPUTS, gradients, cuda)}


def test_there_and_back_from_two_kinds_of_memory(make_fake_cuda):
    """Inputs go there, gradients come back, each from pageable and from page-locked memory."""
    ways = works(make_fake_cuda())
    assert list(ways) == [
        ("host_to_device", "pageable"),
        ("host_to_device", "pinned"),
        ("device_to_host", "pageable"),
        ("device_to_host", "pinned"),
    ]
    assert [way.moved_bytes for way in ways.values()] == [6000, 6000, 1000, 1000]


def test_without_gradients_nothing_comes_back(make_fake_cuda):
    """A subject without a gradient has only its inputs to move."""
    assert [what for what, _ in works(make_fake_cuda(), ())] == ["host_to_device"] * 2


def test_the_time_is_that_of_the_bytes(make_fake_cuda):
    """6000 bytes at 1 GB/s are 6 µs of device time, back 1 µs, with the launches hidden where nothing waits."""
    cuda = make_fake_cuda()
    clock, ways = CudaClock(cuda), works(cuda)
    times = {}
    for key in (("host_to_device", "pinned"), ("device_to_host", "pinned")):
        work = ways[key].make()
        block = clock.block(work.call, 10)
        times[key[0]] = block.time_s / 10
        assert block.observed.launch_hidden
    assert times == {"host_to_device": pytest.approx(6e-6), "device_to_host": pytest.approx(1e-6)}


def test_a_copy_to_pageable_memory_keeps_the_host_waiting(make_fake_cuda):
    """Each call has to wait, which is seen, and is in its time."""
    cuda = make_fake_cuda()
    clock, work = CudaClock(cuda), works(cuda)["device_to_host", "pageable"].make()
    block = [clock.block(work.call, 5) for _ in range(12)][-1]
    assert not block.observed.launch_hidden
    assert block.time_s / 5 == pytest.approx(6e-6, rel=0.1)


def test_memory_is_page_locked_before_and_not_within(make_fake_cuda):
    """Making the work prepares its memory; calling it moves and prepares nothing."""
    cuda = make_fake_cuda()
    work = works(cuda)["host_to_device", "pinned"].make()
    cuda.pinnable = False
    work.call()
    assert cuda.log == ["upload"] * len(INPUTS)


def test_no_page_locked_memory_raises_when_made(make_fake_cuda):
    """Where no such memory is to be had, the work cannot be made."""
    with pytest.raises(RuntimeError, match="cannot pin"):
        works(make_fake_cuda(pinnable=False))["host_to_device", "pinned"].make()
