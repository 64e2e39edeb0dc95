"""The device of this machine, as the prediction knows it.

Measures nothing: `calibrate` does.
"""

import torch

from bench import machine
from bench.cost import devices, this_machine
from bench.cost.this_machine import KnownDevice
from bench.errors import UsageError


def device(name: str = "auto") -> KnownDevice:
    """This machine's card, or its CPU with the cores that this process may use.

    Args:
        name: `cpu` or `cuda`; `auto` takes the card where there is one.

    Raises:
        UsageError: nobody knows such a device.
    """
    cuda = name != "cpu" and torch.cuda.is_available()
    called = torch.cuda.get_device_name() if cuda else cpu_name()
    found = this_machine.here(called, None if cuda else machine.cores())
    if found is None:
        raise UsageError(f"nothing is known of {called}. Name a device: {', '.join(devices.DEVICES)}")
    return found


def cpu_name() -> str:
    """The processor as a run records it."""
    return f"{machine.cpu_model()} ({torch.backends.cpu.get_cpu_capability()})"
