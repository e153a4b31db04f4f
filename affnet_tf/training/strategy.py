"""The device, the distribution over devices, and the precision: chosen here and nowhere else."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import keras

from affnet_tf.errors import InputError, unknown

__all__ = ["Devices", "choose_devices", "share_cores"]

DEVICES = ("auto", "cpu", "gpu", "tpu")
# Set on each host of several; Keras hands them to jax.distributed.
HOSTS = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID")
_GET_A_TPU = "a TPU comes with Colab (Runtime, Change runtime type) or a Cloud TPU VM with pip install 'jax[tpu]'"


@dataclasses.dataclass(frozen=True)
class Devices:
    """Where a network is trained, and in which precision.

    Attributes:
        kind: ``cpu``, ``gpu`` or ``tpu``.
        names: the devices used; a batch is split evenly over them.
        precision: the Keras precision policy.
        strategy: with several devices, TensorFlow's ``MirroredStrategy`` or Keras' ``DataParallel`` under JAX; else None.
        hosts: how many processes, each on a host of its own, train together.
    """

    kind: str
    names: tuple[str, ...]
    precision: str
    strategy: Any = None
    hosts: int = 1

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Networks built and trained inside live on these devices, under this precision policy."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            with self._placed(), self.strategy.scope() if self.strategy else contextlib.nullcontext():
                yield
        finally:
            keras.config.set_dtype_policy(before)

    def _placed(self) -> contextlib.AbstractContextManager:
        """Everything inside on the kind of device that was chosen, even where the backend's own choice is another."""
        if keras.backend.backend() == "jax":
            import jax

            return jax.default_device(jax.local_devices(backend=self.kind)[0])
        import tensorflow as tf

        # A GPU is TensorFlow's own first choice, and some operations have no kernel there.
        return tf.device(self.names[0]) if self.kind == "cpu" and not self.strategy else contextlib.nullcontext()

    @property
    def replicas(self) -> int:
        """Copies of the network, one on each device."""
        return len(self.names)

    @property
    def jit_compile(self) -> bool | str:
        """XLA for TensorFlow's training step: not on CPUs, where it was measured slower, nor across several devices."""
        if keras.backend.backend() == "jax":  # which compiles with nothing else, and without it not at all
            return "auto"
        return False if self.kind == "cpu" or self.strategy else "auto"

    def synchronise(self, model: keras.Model) -> keras.Model:
        """Let batch normalisation see the whole batch, as on one device. Under JAX it does already."""
        if self.strategy and keras.backend.backend() == "tensorflow":
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True
        return model

    def check_batch(self, size: int) -> None:
        """Raise if batches of so many clips cannot be split evenly.

        Raises:
            InputError: naming both numbers.
        """
        if size % self.replicas:
            raise InputError(
                f"train.batch_size must be a multiple of the number of devices, {self.replicas}; --device {self.kind}:1 takes "
                f"one. Received: {size}"
            )

    def memory(self) -> int:
        """Bytes of one device's memory, as JAX tells; 0 if it does not."""
        import jax

        return int((jax.local_devices(backend=self.kind)[0].memory_stats() or {}).get("bytes_limit", 0))

    def told(self, batch_size: int) -> str:
        """The choice in words, with the number of clips in a batch over all devices."""
        return f"{self}, global batch {batch_size}"

    def __str__(self) -> str:
        hosts = f" on {self.hosts} hosts" if self.hosts > 1 else ""
        return f"{len(self.names)} {self.kind.upper()} device(s){hosts}, {self.precision}"


def choose_devices(device: str = "auto", precision: str = "auto") -> Devices:
    """Choose what to train on.

    Several hosts train together under JAX, where each has the environment variables ``HOSTS``; they must be called here
    before JAX computes anything, and all of their devices are used.

    Args:
        device: ``auto`` takes a TPU (under JAX alone), else GPUs, else the CPU: all devices of a kind, but one CPU. A number
            behind the kind takes so many: ``gpu:1``, or ``cpu:2`` where the CPU was split into logical devices.
        precision: ``auto`` is mixed_bfloat16 on TPUs and on GPUs of compute capability 8 and above, mixed_float16, with a
            scaled loss, on older GPUs, and float32 on CPUs.

    Raises:
        InputError: unknown device, one that this machine does not have (the message says what was found, and how to get
            one), a TPU or several hosts under the TensorFlow backend, or a backend that was named after Keras was imported.
    """
    kind, count = _wanted(device)
    backend = keras.backend.backend()
    _check_backend(backend)
    if kind == "tpu" and backend == "tensorflow":
        raise InputError(
            "device 'tpu' must be used with KERAS_BACKEND=jax, since TensorFlow no longer supports TPUs; "
            f"{_GET_A_TPU}. Received: device 'tpu' with the tensorflow backend"
        )
    hosts = _join_hosts(backend)
    found = _jax_devices() if backend == "jax" else _tensorflow_devices()
    kind = next(each for each in ("tpu", "gpu", "cpu") if each in found) if kind == "auto" else kind
    if len(found.get(kind, ())) < (count or 1):
        inventory = ", ".join(f"{len(names)} {name}" for name, names in found.items())
        hint = f"; {_GET_A_TPU}" if kind == "tpu" else ""
        raise InputError(
            f"device must be one that the {backend} backend sees here: {inventory}{hint}. Received: {device!r}"
        )
    if backend == "jax" and kind != "cpu":
        _leave_to_jax()
    if hosts > 1:  # each takes its part in every step
        count = len(found[kind])
    names = found[kind][: count or (1 if kind == "cpu" else None)]
    if precision == "auto":
        precision = {"cpu": "float32", "tpu": "mixed_bfloat16"}.get(kind) or _gpu_precision()
    return Devices(kind, names, precision, _spread(names) if len(names) > 1 else None, hosts)


def _wanted(device: str) -> tuple[str, int | None]:
    """``gpu:2`` -> gpu, 2; ``gpu`` -> gpu, None."""
    kind, colon, count = device.partition(":")
    if kind not in DEVICES:
        raise unknown("device", device, DEVICES)
    if colon and (kind == "auto" or not count.isdecimal() or not int(count)):
        raise InputError(f"device must be a kind and a number, such as gpu:2. Received: {device!r}")
    return kind, int(count) if colon else None


def _check_backend(backend: str) -> None:
    named = os.environ.get("KERAS_BACKEND") or backend
    if backend not in ("tensorflow", "jax"):
        raise unknown("KERAS_BACKEND", backend, ("tensorflow", "jax"))
    if named != backend:
        raise InputError(
            "KERAS_BACKEND must be set before keras is imported: start Python anew (in a notebook, restart the runtime). "
            f"Received: KERAS_BACKEND={named} where keras runs on {backend}"
        )


def _join_hosts(backend: str) -> int:
    """Number of processes that train together; this one joins them first, if it has not yet."""
    if not any(name in os.environ for name in HOSTS):
        return 1
    if backend != "jax":
        raise InputError(f"several hosts must use KERAS_BACKEND=jax. Received: {HOSTS[0]} with the {backend} backend")
    import jax

    if not jax.distributed.is_initialized():
        try:
            keras.distribution.initialize()
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"hosts must find each other by {', '.join(HOSTS)}. Received: {str(error).strip().splitlines()[0]}"
            ) from None
    return jax.process_count()


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
            found[kind] = tuple(f"{kind}:{device.id}" for device in jax.devices(kind))
    return found


def _leave_to_jax() -> None:
    """TensorFlow, where it is installed, reads clips; at its first operation it would take all memory of the GPUs."""
    if importlib.util.find_spec("tensorflow") is None:
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # too late: it has taken it
        tf.config.set_visible_devices([], "GPU")


def _gpu_precision() -> str:
    if keras.backend.backend() == "jax":
        import jax

        capability = float(getattr(jax.local_devices(backend="gpu")[0], "compute_capability", 0) or 0)
    else:
        import tensorflow as tf

        details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        capability = details.get("compute_capability", (0, 0))[0]
    return "mixed_bfloat16" if capability >= 8 else "mixed_float16"


def _spread(names: tuple[str, ...]) -> Any:
    if keras.backend.backend() == "jax":
        return keras.distribution.DataParallel(devices=list(names))
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(names))
