/** Questions and answers for Motion.kt, from a text file that Python writes (tests/android_vectors.py). */
package affnet.android

import java.io.File
import java.io.Reader
import kotlin.math.abs

/**
 * One call and what should come of it.
 *
 * @property name of what is called.
 * @property settings by name, as written.
 * @property inputs lines of numbers.
 * @property expected lines of numbers.
 */
class Case(val name: String, val settings: Map<String, String>) {
    val inputs = mutableListOf<DoubleArray>()
    val expected = mutableListOf<DoubleArray>()

    fun text(key: String): String = settings.getValue(key)

    fun int(key: String): Int = text(key).toInt()

    override fun toString() = "$name $settings"

    /** What Motion.kt answers, line by line. */
    fun answers(): List<DoubleArray> = when (name) {
        "weights" -> listOf(weights(int("length"), text("kind")))
        "sliding" -> sliding()
        "resize" -> inputs.map { resizeMotion(floats(it), int("size"), int("to")).toDoubles() }
        "normalise" -> inputs.map { normalise(floats(it), text("scaling")).toDoubles() }
        "quantise" -> inputs.flatMap { quantised(it) }
        "align" -> inputs.map { aligned(it) }
        "crop" -> listOf(cropped())
        else -> throw IllegalArgumentException("no such case: $name")
    }

    /** The largest |difference| from what is expected. */
    fun deviation(): Double {
        val found = answers()
        check(found.size == expected.size) { "$this: ${expected.size} lines expected. Received: ${found.size}" }
        return found.zip(expected).maxOf { (line, wanted) ->
            check(line.size == wanted.size) { "$this: ${wanted.size} numbers expected. Received: ${line.size}" }
            line.indices.maxOf { abs(line[it] - wanted[it]) }
        }
    }

    /** The motion image after every frame once the window is full; after the frame before `reset`, all is forgotten. */
    private fun sliding(): List<DoubleArray> {
        val size = int("size")
        val motion = SlidingMotion(int("window"), text("kind"), size * size * CHANNELS)
        return inputs.mapIndexedNotNull { index, frame ->
            if (index == int("reset")) motion.reset()
            motion.push(bytes(frame))?.let { normalise(resizeMotion(it, size, int("to")), text("scaling")).toDoubles() }
        }
    }

    private fun quantised(values: DoubleArray): List<DoubleArray> {
        val scale = text("scale").toFloat()
        val stored = quantise(floats(values), scale, int("zero_point"))
        val integers = DoubleArray(stored.size) { stored[it].toDouble() }
        return listOf(integers, dequantise(stored, scale, int("zero_point")).toDoubles())
    }

    private fun aligned(numbers: DoubleArray): DoubleArray {
        val (height, x0, y0, x1, y1) = numbers.toList()
        val crop = alignCrop(Face.of(height, Point(x0, y0), Point(x1, y1)), int("size"), text("margin").toDouble())
        return doubleArrayOf(crop.a, crop.b, crop.c, crop.d, crop.e, crop.f)
    }

    private fun cropped(): DoubleArray {
        val (matrix, pixels) = inputs
        val crop = Crop(matrix[0], matrix[1], matrix[2], matrix[3], matrix[4], matrix[5])
        val stride = int("width") * BYTES_PER_PIXEL + int("padding")
        val found = cropFrame(bytes(pixels), int("width"), int("height"), stride, crop, int("size"))
        return DoubleArray(found.size) { (found[it].toInt() and 0xff).toDouble() }
    }
}

/** The cases of a file: `case NAME key=value …`, then lines `input …` and `expected …`; lines with # are comments. */
fun readCases(reader: Reader): List<Case> {
    val cases = mutableListOf<Case>()
    reader.forEachLine { line ->
        val words = line.trim().split(' ').filter { it.isNotEmpty() }
        when (words.firstOrNull()) {
            null, "#" -> Unit
            "case" -> cases += Case(words[1], words.drop(2).associate { it.substringBefore('=') to it.substringAfter('=') })
            "input" -> cases.last().inputs += numbers(words)
            "expected" -> cases.last().expected += numbers(words)
            else -> throw IllegalArgumentException("a line must begin with case, input, expected or #. Received: ${words[0]}")
        }
    }
    return cases
}

private fun numbers(words: List<String>) = DoubleArray(words.size - 1) { words[it + 1].toDouble() }

private fun floats(values: DoubleArray) = FloatArray(values.size) { values[it].toFloat() }

private fun bytes(values: DoubleArray) = ByteArray(values.size) { values[it].toInt().toByte() }

private fun FloatArray.toDoubles() = DoubleArray(size) { this[it].toDouble() }

/**
 * Without a phone: `vectors FILE` prints the answers to a file's cases; `tensor FILE input|output SIGNATURE NAME` prints what
 * TfliteFile reads of a model.
 */
fun main(arguments: Array<String>) {
    val file = File(arguments[1])
    when (arguments[0]) {
        "vectors" -> for (case in readCases(file.reader())) {
            println("case ${case.name}")
            for (line in case.answers()) println(line.joinToString(" "))
        }
        "tensor" -> {
            val model = TfliteFile(file.readBytes())
            val (signature, name) = arguments.drop(3)
            val found = if (arguments[2] == "input") model.input(signature, name) else model.output(signature, name)
            println("${found.type} ${found.shape.joinToString(",")} ${found.scale} ${found.zeroPoint}")
        }
    }
}
