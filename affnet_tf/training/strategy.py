"""The device, the distribution over devices, and the precision: chosen here and nowhere else."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import keras

from affnet_tf.errors import InputError, unknown

__all__ = ["Devices", "choose_devices", "share_cores"]

DEVICES = ("auto", "cpu", "gpu", "tpu")


@dataclasses.dataclass(frozen=True)
class Devices:
    """Where a network is trained, and in which precision.

    Attributes:
        kind: ``cpu``, ``gpu`` or ``tpu``.
        names: the devices used: several GPUs under TensorFlow, else the first device of its kind.
        precision: the Keras precision policy.
        strategy: TensorFlow's distribution strategy, or None for one device.
    """

    kind: str
    names: tuple[str, ...]
    precision: str
    strategy: Any = None

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Networks built and trained inside live on these devices, under this precision policy."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            with self.strategy.scope() if self.strategy else self._placed():
                yield
        finally:
            keras.config.set_dtype_policy(before)

    def _placed(self) -> contextlib.AbstractContextManager:
        """Everything inside on the one device that was chosen, even where the backend's own choice is another."""
        if keras.backend.backend() == "jax":
            import jax

            return jax.default_device(jax.devices(self.kind)[0])
        import tensorflow as tf

        # A GPU is TensorFlow's own first choice, and some operations have no kernel there.
        return tf.device(self.names[0]) if self.kind == "cpu" else contextlib.nullcontext()

    @property
    def jit_compile(self) -> bool | str:
        """XLA for the training step: not on CPUs, where it was measured slower, nor across several devices."""
        return False if self.kind == "cpu" or self.strategy else "auto"

    def __str__(self) -> str:
        return f"{len(self.names)} {self.kind.upper()} device(s), {self.precision}"


def choose_devices(device: str = "auto", precision: str = "auto") -> Devices:
    """Choose what to train on.

    Args:
        device: ``auto`` takes a TPU (under JAX alone), else GPUs, else the CPU.
        precision: ``auto`` is mixed_bfloat16 on TPUs and on GPUs of compute capability 8 and above, mixed_float16 on
            older GPUs, and float32 on CPUs.

    Raises:
        InputError: unknown device, one that this machine does not have (the message says what was found), or a TPU under
            the TensorFlow backend.
    """
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    if device == "tpu" and keras.backend.backend() == "tensorflow":
        raise InputError(
            "device 'tpu' must be used with KERAS_BACKEND=jax, since TensorFlow no longer supports TPUs. "
            "Received: device 'tpu' with the tensorflow backend"
        )
    found = _jax_devices() if keras.backend.backend() == "jax" else _tensorflow_devices()
    kind = next(each for each in ("tpu", "gpu", "cpu") if each in found) if device == "auto" else device
    if kind not in found:
        inventory = ", ".join(f"{len(names)} {name}" for name, names in found.items())
        raise InputError(
            f"device must be one that the {keras.backend.backend()} backend sees here: {inventory}. Received: {device!r}"
        )
    several = kind == "gpu" and keras.backend.backend() == "tensorflow"
    names = found[kind] if several else found[kind][:1]
    if precision == "auto":
        precision = {"cpu": "float32", "tpu": "mixed_bfloat16"}.get(kind) or _gpu_precision()
    return Devices(kind, names, precision, _mirrored(names) if len(names) > 1 else None)


def share_cores(place: int, processes: int) -> None:
    """Keep this process to its part of the cores; to be called before the backend computes anything.

    How TensorFlow splits a sum depends on its number of threads, so that a smaller pool would give other last digits. The
    pool keeps the size that it has in a process on its own, and its threads are kept to the part of the cores.

    Args:
        place: of this process, from 0.
        processes: how many share the machine.
    """
    if keras.backend.backend() != "tensorflow" or not hasattr(os, "sched_setaffinity"):
        return
    import tensorflow as tf

    cores = sorted(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(len(cores))
    tf.config.threading.set_inter_op_parallelism_threads(len(cores))
    os.sched_setaffinity(0, cores[place % len(cores) :: processes] or cores)


def _tensorflow_devices() -> dict[str, tuple[str, ...]]:
    import tensorflow as tf

    found = {kind.lower(): tuple(d.name for d in tf.config.list_logical_devices(kind)) for kind in ("GPU", "CPU")}
    return {kind: names for kind, names in found.items() if names}


def _jax_devices() -> dict[str, tuple[str, ...]]:
    import jax

    found = {}
    for kind in ("tpu", "gpu", "cpu"):
        with contextlib.suppress(RuntimeError):  # no such backend
            found[kind] = tuple(str(device) for device in jax.devices(kind))
    return found


def _gpu_precision() -> str:
    if keras.backend.backend() == "jax":
        import jax

        capability = float(getattr(jax.devices()[0], "compute_capability", 0) or 0)
    else:
        import tensorflow as tf

        details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        capability = details.get("compute_capability", (0, 0))[0]
    return "mixed_bfloat16" if capability >= 8 else "mixed_float16"


def _mirrored(names: tuple[str, ...]) -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(names))
