"""Two TFLite files into one: the network behind ``classify``, and the motion graph in front of it for ``classify_clip``.

Why the two are converted apart and joined here, and not converted as one model with two signatures: full-integer conversion
quantises the motion graph too, and a weighted sum of frames in 8 bits is coarse (on an edge network and 30 frames of noise a
probability moved by 0.05; joined, by 0.003). Quantisers that go operator by operator can leave the motion alone, but
calibrate the network twice, once for each signature, so that the two disagree. Joined, both signatures run the same
network, number for number, whatever recipe made it; its weights lie in the file once; and the motion graph stays float32
with any number of frames.
"""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from affnet_tf.inference.runtime import CLASSIFY, CLASSIFY_CLIP, FRAMES, MOTION_IMAGE, PROBABILITIES

__all__ = ["join"]

_FILE_IDENTIFIER = b"TFL3"
_RUNTIME = b"min_runtime_version"


def join(network: bytes, motion: bytes) -> bytes:
    """One TFLite file with the signatures ``classify`` and ``classify_clip``.

    Args:
        network: a file with one signature, motion image -> probabilities; float32, or any integer type in and out.
        motion: a float32 file with one signature, frames -> motion image.

    Returns:
        The file. ``classify`` is ``network`` as it was. ``classify_clip`` takes frames and gives the probabilities and the
        motion image, both float32: what the network takes and gives is quantised and dequantised within the graph.
    """
    model, prefix = _read(network), _read(motion)
    graph = model.subgraphs[0]
    graph.name = CLASSIFY.encode()
    _shorten_names(graph)
    clip = _append(model, prefix)
    motion_image = clip.outputs[0]
    offset = len(clip.tensors)
    clip.tensors += [copy.copy(tensor) for tensor in graph.tensors]
    network_input = offset + graph.inputs[0]
    probabilities = offset + graph.outputs[0]
    operators = [_shifted(operator, offset) for operator in graph.operators]
    if _is_float(clip.tensors[network_input]):
        for operator in operators:
            operator.inputs = [motion_image if index == network_input else index for index in operator.inputs]
    else:
        clip.operators.append(_operator(model, schema.BuiltinOperator.QUANTIZE, motion_image, network_input))
    clip.operators += operators
    if not _is_float(clip.tensors[probabilities]):
        clip.tensors.append(_float_copy(clip.tensors[probabilities], PROBABILITIES))
        clip.operators.append(_operator(model, schema.BuiltinOperator.DEQUANTIZE, probabilities, len(clip.tensors) - 1))
        probabilities = len(clip.tensors) - 1
    clip.outputs = [probabilities, motion_image]
    clip.name = CLASSIFY_CLIP.encode()
    model.subgraphs = [graph, clip]
    model.signatureDefs = [
        _signature(0, CLASSIFY, {MOTION_IMAGE: graph.inputs[0]}, {PROBABILITIES: graph.outputs[0]}),
        _signature(
            1, CLASSIFY_CLIP, {FRAMES: clip.inputs[0]}, {PROBABILITIES: probabilities, MOTION_IMAGE: motion_image}
        ),
    ]
    _keep_newer_runtime(model, prefix)
    return _write(model)


def _append(model: Any, other: Any) -> Any:
    """The first graph of ``other``, with its buffers and operator codes carried over into ``model``."""
    graph = other.subgraphs[0]
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


def _read(file: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(bytearray(file), 0)


def _write(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())
