"""Several TFLite files into one: the network behind ``classify``, and in front of it what makes a motion image.

Why they are converted apart and joined here, and not converted as one model with several signatures: full-integer conversion
quantises the motion graph too, and a weighted sum of frames in 8 bits is coarse (on an edge network and 30 frames of noise a
probability moved by 0.05; joined, by 0.003). Quantisers that go operator by operator can leave the motion alone, but
calibrate the network twice, once for each signature, so that the two disagree. Joined, all signatures run the same
network, number for number, whatever recipe made it; its weights lie in the file once; and the motion graph stays float32
with any number of frames.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from affnet_tf.inference.runtime import CLASSIFY, MOTION_IMAGE, PROBABILITIES

__all__ = ["join", "read_file", "write_file"]

_FILE_IDENTIFIER = b"TFL3"
_RUNTIME = b"min_runtime_version"


def join(network: bytes, fronts: Mapping[str, bytes], others: Mapping[str, bytes] | None = None) -> bytes:
    """One TFLite file with ``classify``, with a signature for each graph in front of it, and with graphs of their own.

    Args:
        network: a file with one signature, motion image -> probabilities; float32, or any integer type in and out.
        fronts: by the name of the signature they will have, files with one signature that gives a motion image, float32.
        others: files with one signature each, by the name it will have: carried over as they are.

    Returns:
        The file. ``classify`` is ``network`` as it was. A signature with a front takes what the front takes, and gives the
        probabilities and the motion image, both float32: what the network takes and gives is quantised and dequantised
        within the graph.
    """
    model = read_file(network)
    graph = model.subgraphs[0]
    _shorten_names(graph)
    # Before anything is appended: the copies of the network's graph must not hold what the fronts bring.
    subgraphs = {CLASSIFY: (graph, {MOTION_IMAGE: graph.inputs[0]}, {PROBABILITIES: graph.outputs[0]})}
    for name, file in fronts.items():
        subgraphs[name] = _behind(model, graph, read_file(file))
    for name, file in (others or {}).items():
        other = read_file(file)
        taken, given = _names(other)
        subgraphs[name] = (_append(model, other), taken, given)
    for name, (each, _, _) in subgraphs.items():
        each.name = name.encode()
    model.subgraphs = [each for each, _, _ in subgraphs.values()]
    model.signatureDefs = [
        _signature(place, name, taken, given) for place, (name, (_, taken, given)) in enumerate(subgraphs.items())
    ]
    return write_file(model)


def _behind(model: Any, graph: Any, front: Any) -> tuple[Any, dict[str, int], dict[str, int]]:
    """A graph of ``model`` behind a front: the new graph, and the tensors of what it takes and gives, by name."""
    taken, given = _names(front)
    made = _append(model, front)
    motion_image = given[MOTION_IMAGE]
    offset = len(made.tensors)
    made.tensors += [copy.copy(tensor) for tensor in graph.tensors]
    for tensor in made.tensors[offset:]:
        # The names are for whoever looks at the file, and ``classify`` has them.
        tensor.name = None
    network_input = offset + graph.inputs[0]
    probabilities = offset + graph.outputs[0]
    operators = [_shifted(operator, offset) for operator in graph.operators]
    if _is_float(made.tensors[network_input]):
        for operator in operators:
            operator.inputs = [motion_image if index == network_input else index for index in operator.inputs]
    else:
        made.operators.append(_operator(model, schema.BuiltinOperator.QUANTIZE, motion_image, network_input))
    made.operators += operators
    if not _is_float(made.tensors[probabilities]):
        made.tensors.append(_float_copy(made.tensors[probabilities], PROBABILITIES))
        made.operators.append(_operator(model, schema.BuiltinOperator.DEQUANTIZE, probabilities, len(made.tensors) - 1))
        probabilities = len(made.tensors) - 1
    made.outputs = [probabilities, motion_image]
    return made, taken, {PROBABILITIES: probabilities, MOTION_IMAGE: motion_image}


def _names(model: Any) -> tuple[dict[str, int], dict[str, int]]:
    """The tensors that the one signature of a file takes and gives, by name."""
    signature = model.signatureDefs[0]
    return tuple(
        {entry.name.decode(): entry.tensorIndex for entry in side} for side in (signature.inputs, signature.outputs)
    )


def _append(model: Any, other: Any) -> Any:
    """The first graph of ``other``, with its buffers and operator codes carried over into ``model``."""
    graph = other.subgraphs[0]
    _keep_newer_runtime(model, other)
    _shorten_names(graph)
    offset = len(model.buffers)
    used = sorted({tensor.buffer for tensor in graph.tensors})
    model.buffers += [other.buffers[index] for index in used]
    for tensor in graph.tensors:
        tensor.buffer = offset + used.index(tensor.buffer)
    codes = [_code(model, code) for code in other.operatorCodes]
    for operator in graph.operators:
        operator.opcodeIndex = codes[operator.opcodeIndex]
    return graph


def _code(model: Any, code: Any) -> int:
    def key(each: Any) -> tuple:
        return each.builtinCode, each.customCode, each.version

    for index, known in enumerate(model.operatorCodes):
        if key(known) == key(code):
            return index
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _operator(model: Any, builtin: int, source: int, target: int) -> Any:
    code = schema.OperatorCodeT()
    # Readers older than the 32-bit field look at the 8-bit one.
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
    operator = schema.OperatorT()
    operator.opcodeIndex = _code(model, code)
    operator.inputs, operator.outputs = [source], [target]
    return operator


def _shifted(operator: Any, offset: int) -> Any:
    shifted = copy.copy(operator)
    for field in ("inputs", "outputs", "intermediates"):
        indices = getattr(operator, field)
        if indices is not None:
            # -1 stands for an optional input that is left out.
            setattr(shifted, field, [int(index) + offset if index >= 0 else -1 for index in indices])
    return shifted


def _float_copy(tensor: Any, name: str) -> Any:
    made = copy.copy(tensor)
    made.name, made.type, made.quantization, made.buffer = name.encode(), schema.TensorType.FLOAT32, None, 0
    return made


def _is_float(tensor: Any) -> bool:
    return tensor.type == schema.TensorType.FLOAT32


def _signature(subgraph: int, key: str, inputs: dict[str, int], outputs: dict[str, int]) -> Any:
    signature = schema.SignatureDefT()
    signature.subgraphIndex, signature.signatureKey = subgraph, key.encode()
    signature.inputs = [_tensor_map(name, index) for name, index in inputs.items()]
    signature.outputs = [_tensor_map(name, index) for name, index in outputs.items()]
    return signature


def _tensor_map(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(index)
    return entry


def _shorten_names(graph: Any) -> None:
    """The converter strings together the names of all that it fused; in a small file they weigh as much as the weights."""
    for tensor in graph.tensors:
        first = (tensor.name or b"").decode().split(";")[0]
        tensor.name = "/".join(first.split("/")[-2:]).encode()


def _keep_newer_runtime(model: Any, other: Any) -> None:
    ours, theirs = _runtime(model), _runtime(other)
    if ours is not None and theirs is not None and _version(theirs) > _version(ours):
        ours.data = theirs.data


def _runtime(model: Any) -> Any:
    return next((model.buffers[entry.buffer] for entry in model.metadata or [] if entry.name == _RUNTIME), None)


def _version(buffer: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in bytes(buffer.data).rstrip(b"\0").split(b".") if part.isdigit())


def read_file(file: bytes) -> Any:
    """A TFLite file as the objects of its schema."""
    return schema.ModelT.InitFromPackedBuf(bytearray(file), 0)


def write_file(model: Any) -> bytes:
    """The file of what ``read_file`` gave."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())
