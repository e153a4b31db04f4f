"""What lies in a TFLite file: the operators of each signature, which compute in integers, which a delegate takes over."""

from __future__ import annotations

import collections
import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from affnet_tf.export.join import read_file, write_file

__all__ = ["HEAVY", "Operators", "alone", "delegated", "operator_names", "operators"]

# Convolutions and dense layers; their second input is the kernel.
HEAVY = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_INTEGERS = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT4, schema.TensorType.INT16)


@dataclasses.dataclass(frozen=True)
class Operators:
    """The operators of one signature.

    Attributes:
        counts: how often each occurs. Those that are not built in (Flex and other custom ones) are named ``CUSTOM …``.
        integer: of the convolutions and dense layers, how many compute in integers throughout, and how many there are.
    """

    counts: dict[str, int]
    integer: tuple[int, int]

    @property
    def custom(self) -> list[str]:
        """Those that are not built in."""
        return [name for name in self.counts if name.startswith(("CUSTOM", "Flex"))]


def operators(file: bytes) -> dict[str, Operators]:
    """The operators of each signature of a file."""
    model = read_file(file)
    codes = operator_names(model)
    found = {}
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        counts = collections.Counter(codes[operator.opcodeIndex] for operator in graph.operators)
        heavy = [operator for operator in graph.operators if codes[operator.opcodeIndex] in HEAVY]
        integer = sum(
            all(graph.tensors[index].type in _INTEGERS for index in (*operator.inputs[:2], operator.outputs[0]))
            for operator in heavy
        )
        found[signature.signatureKey.decode()] = Operators(dict(counts.most_common()), (integer, len(heavy)))
    return found


def operator_names(model: Any) -> list[str]:
    """The name of each operator code of a file, as ``read_file`` gives it; of those not built in, ``CUSTOM …``."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    found = []
    for code in model.operatorCodes:
        name = names.get(code.builtinCode, f"CUSTOM {code.builtinCode}")
        found.append(f"CUSTOM {(code.customCode or b'').decode()}" if name == "CUSTOM" else name)
    return found


def alone(file: bytes) -> dict[str, bytes]:
    """By signature, a file with its graph and nothing else: the runtime's plain calls reach the first graph alone."""
    model = read_file(file)
    found = {}
    for signature in model.signatureDefs:
        single, entry = copy.copy(model), copy.copy(signature)
        single.subgraphs = [model.subgraphs[signature.subgraphIndex]]
        entry.subgraphIndex = 0
        single.signatureDefs = [entry]
        found[signature.signatureKey.decode()] = write_file(single)
    return found


def delegated(files: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
    """Of each signature's operators, how many the runtime hands to XNNPACK here on one thread, and how many there are.

    Reshapes of constants and whatever else the delegate leaves run as ordinary operators, which costs a copy at most.

    Args:
        files: what ``alone`` gave.
    """
    found = {}
    for signature, file in files.items():
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
        found[signature] = _taken_over(interpreter._get_ops_details())
    return found


def _taken_over(details: list[dict]) -> tuple[int, int]:
    """The listing keeps what a delegate replaced: it is all that lies between the delegate's outputs and its inputs."""
    plain = [each for each in details if each["op_name"] != "DELEGATE"]
    maker = {int(tensor): place for place, each in enumerate(plain) for tensor in each["outputs"]}
    taken: set[int] = set()
    for delegate in (each for each in details if each["op_name"] == "DELEGATE"):
        outside = {int(tensor) for tensor in delegate["inputs"]}
        pending = [int(tensor) for tensor in delegate["outputs"]]
        while pending:
            place = maker.get(pending.pop())
            if place is None or place in taken:
                continue
            taken.add(place)
            pending += [int(tensor) for tensor in plain[place]["inputs"] if int(tensor) not in outside]
    return len(taken), len(plain)
