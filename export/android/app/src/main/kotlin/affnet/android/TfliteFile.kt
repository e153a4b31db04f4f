package affnet.android

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A tensor at an end of a signature; for integers that stand for real numbers, real = [scale] * (integer - [zeroPoint]), and
 * [scale] is 0 for all others.
 */
data class Tensor(val type: Type, val shape: List<Int>, val scale: Float, val zeroPoint: Int) {
    /** With the codes of the file format. */
    enum class Type(val code: Int) { FLOAT32(0), FLOAT16(1), INT32(2), UINT8(3), INT16(7), INT8(9), OTHER(-1) }
}

/**
 * What a .tflite file says of its signatures: LiteRT's Kotlin interface tells types and shapes, but no quantisation.
 *
 * Reads the few tables of the FlatBuffer that this takes; field numbers are those of the TFLite schema. No Android class.
 */
class TfliteFile(content: ByteArray) {
    private val bytes: ByteBuffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    private val model: Int

    init {
        val whole = content.size > 8 && String(content, 4, 4, Charsets.US_ASCII) == "TFL3"
        require(whole) { "the model must be a TFLite file. Received: other content" }
        model = bytes.getInt(0)
    }

    /** The tensor called [name], an input or an output of [signature]. */
    fun input(signature: String, name: String): Tensor = tensor(signature, SIGNATURE_INPUTS, name)

    /** See [input]. */
    fun output(signature: String, name: String): Tensor = tensor(signature, SIGNATURE_OUTPUTS, name)

    private fun tensor(signature: String, side: Int, name: String): Tensor {
        val found = tables(model, MODEL_SIGNATURES).firstOrNull { text(it, SIGNATURE_KEY) == signature }
        requireNotNull(found) { "the model must have the signature '$signature'. Received: none of that name" }
        val entry = tables(found, side).firstOrNull { text(it, ENTRY_NAME) == name }
        requireNotNull(entry) { "signature '$signature' must have the tensor '$name'. Received: none of that name" }
        val graph = tables(model, MODEL_SUBGRAPHS)[int(found, SIGNATURE_SUBGRAPH)]
        return describe(tables(graph, SUBGRAPH_TENSORS)[int(entry, ENTRY_TENSOR)])
    }

    private fun describe(tensor: Int): Tensor {
        val code = place(tensor, TENSOR_TYPE)?.let { bytes.get(it).toInt() } ?: 0
        val shape = vector(tensor, TENSOR_SHAPE) { bytes.getInt(it) }
        val table = place(tensor, TENSOR_QUANTISATION)?.let { it + bytes.getInt(it) }
        val scales = table?.let { from -> vector(from, QUANTISATION_SCALE) { bytes.getFloat(it) } }.orEmpty()
        val zeros = table?.let { from -> vector(from, QUANTISATION_ZERO, 8) { bytes.getLong(it).toInt() } }.orEmpty()
        val type = Tensor.Type.entries.firstOrNull { it.code == code } ?: Tensor.Type.OTHER
        return Tensor(type, shape, scales.firstOrNull() ?: 0f, zeros.firstOrNull() ?: 0)
    }

    /** Where a table's field lies; null where it is left out, which means its default. */
    private fun place(table: Int, field: Int): Int? {
        val offsets = table - bytes.getInt(table)
        val entry = 4 + 2 * field
        if (entry >= bytes.getShort(offsets)) return null
        return bytes.getShort(offsets + entry).toInt().and(0xffff).takeIf { it != 0 }?.let { table + it }
    }

    private fun int(table: Int, field: Int): Int = place(table, field)?.let { bytes.getInt(it) } ?: 0

    private fun text(table: Int, field: Int): String? = place(table, field)?.let {
        val start = it + bytes.getInt(it)
        String(ByteArray(bytes.getInt(start)) { index -> bytes.get(start + 4 + index) }, Charsets.UTF_8)
    }

    private fun tables(table: Int, field: Int): List<Int> = vector(table, field) { it + bytes.getInt(it) }

    private fun <T> vector(table: Int, field: Int, width: Int = 4, read: (Int) -> T): List<T> {
        val start = place(table, field)?.let { it + bytes.getInt(it) } ?: return emptyList()
        return List(bytes.getInt(start)) { read(start + 4 + width * it) }
    }

    private companion object {
        const val MODEL_SUBGRAPHS = 2
        const val MODEL_SIGNATURES = 7
        const val SIGNATURE_INPUTS = 0
        const val SIGNATURE_OUTPUTS = 1
        const val SIGNATURE_KEY = 2
        const val SIGNATURE_SUBGRAPH = 4
        const val ENTRY_NAME = 0
        const val ENTRY_TENSOR = 1
        const val SUBGRAPH_TENSORS = 0
        const val TENSOR_SHAPE = 0
        const val TENSOR_TYPE = 1
        const val TENSOR_QUANTISATION = 4
        const val QUANTISATION_SCALE = 2
        const val QUANTISATION_ZERO = 3
    }
}
