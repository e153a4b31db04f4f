/** Whether an accelerator can be trusted with a network: it is asked what the CPU has answered. No Android class. */
package affnet.android

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.sin
import kotlin.random.Random

/** The largest change of a probability that passes: a GPU may count with 16 bits. A lead of twice as much is then safe. */
const val TRUSTED_CHANGE = 0.05f

/** Made-up motion images, [size] x [size] x 3 in [0, 1], the same ones every time: plain grey, waves of three kinds, noise. */
fun trialImages(size: Int): List<FloatArray> {
    val waves = listOf(1.0 to 0.0, 0.0 to 3.0, 4.0 to 5.0).map { (down, across) ->
        image(size) { row, column, channel ->
            0.5 + 0.5 * sin(2 * PI * (down * row + across * column) / size + channel)
        }
    }
    val random = Random(1)
    return listOf(image(size) { _, _, _ -> 0.5 }, *waves.toTypedArray(), image(size) { _, _, _ -> random.nextDouble() })
}

/** Why an accelerator must not be trusted that answers [images] by [classify] where [expected] is right; null if it may be. */
fun refusal(images: List<FloatArray>, expected: List<FloatArray>, classify: (FloatArray) -> FloatArray): String? {
    for ((image, wanted) in images.zip(expected)) {
        val found = classify(image)
        if (found.size != wanted.size) return "gives ${found.size} probabilities, and not ${wanted.size}"
        val change = wanted.indices.maxOf { abs(found[it] - wanted[it]) } // not a number, if one of them is none
        if (!(change <= TRUSTED_CHANGE)) return "changes a probability by $change, which may be $TRUSTED_CHANGE"
    }
    return null
}

private fun image(size: Int, value: (Int, Int, Int) -> Double) = FloatArray(size * size * CHANNELS) {
    value(it / CHANNELS / size, it / CHANNELS % size, it % CHANNELS).toFloat()
}
