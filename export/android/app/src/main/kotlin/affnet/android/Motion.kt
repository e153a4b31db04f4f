/**
 * The numerics of the app, without any Android class: the sliding motion image, its resizing and scaling, and the face crop.
 *
 * Each function is the twin of one in Python, where the reference lies: affnet_tf/imaging/pooling.py (weights, normalise),
 * motion.py (SlidingMotion, resize_motion) and faces.py (align_crop). Images are flat arrays in row order, channels last.
 */
package affnet.android

import kotlin.math.atan2
import kotlin.math.ceil
import kotlin.math.cos
import kotlin.math.floor
import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round
import kotlin.math.sin
import kotlin.math.sqrt

const val CHANNELS = 3
const val BYTES_PER_PIXEL = 4 // RGBA, as the camera gives it

/** A face in units of the distance between the eyes, as in affnet_tf/imaging/faces.py. */
private const val FACE_SIDE = 2.6
private const val EYE_LEVEL = 0.28
private const val LEAST_EYE_DISTANCE = 0.3

/** Of a network that does not say how its training clips were cropped. */
const val MARGIN = 0.1

/** Standard deviations from 0 to 1. */
private const val SPAN = 8.0

/** |D| stays below 255 T^2 / 2, which 32 bits hold up to this T. */
private const val LONGEST_WINDOW = 4096

/** The weight of each frame of a clip of [length] frames, at least 2: `bilen`, `linear` or `published_port`. */
fun weights(length: Int, kind: String): DoubleArray {
    require(length in 2..LONGEST_WINDOW) { "a window must have 2 to $LONGEST_WINDOW frames. Received: $length" }
    if (kind == "linear") return DoubleArray(length) { 2.0 * (it + 1) - length - 1 }
    val factor = when (kind) {
        "bilen" -> length + 1
        "published_port" -> length
        else -> throw IllegalArgumentException("weights must be bilen, linear or published_port. Received: $kind")
    }
    val found = DoubleArray(length)
    var rest = 0.0 // H_T - H_{t-1}, smallest terms first
    for (t in length downTo 1) {
        rest += 1.0 / t
        found[t - 1] = 2.0 * (length - t + 1) - factor * rest
    }
    return found
}

/**
 * The signed motion of the last [window] frames of a stream, one frame at a time.
 *
 * With `linear` weights an update costs the same whatever the window: with S the sum over the window, D its motion, x the frame
 * that leaves and y the one that enters, S' = S - x + y and D' = D + (T-1)x + (T+1)y - 2S'. All in integers, so nothing drifts.
 * Other weights are summed anew over the window, in doubles. Not for several threads at once.
 *
 * @param size bytes of a frame.
 */
class SlidingMotion(val window: Int, private val kind: String, private val size: Int) {
    private val alpha = weights(window, kind)
    private val ring = Array(window) { ByteArray(size) }
    private val sum = IntArray(size)
    private val motion = IntArray(size)
    private val total = DoubleArray(if (kind == "linear") 0 else size)

    /** Frames since the last [reset]. */
    var seen = 0L
        private set

    /** Forget all frames. */
    fun reset() {
        seen = 0
    }

    /** Take the next frame, unsigned bytes: the motion in units of the frames' values; null until there are [window] frames. */
    fun push(frame: ByteArray): FloatArray? {
        require(frame.size == size) { "a frame must have $size bytes. Received: ${frame.size}" }
        val slot = ring[(seen % window).toInt()]
        val first = seen < window
        seen++
        if (kind == "linear") {
            if (first) enter(frame) else slide(slot, frame)
        }
        frame.copyInto(slot)
        return when {
            seen < window -> null
            kind == "linear" -> FloatArray(size) { motion[it].toFloat() }
            else -> pool()
        }
    }

    /** The window fills: its t-th frame has the weight 2t - T - 1. */
    private fun enter(frame: ByteArray) {
        if (seen == 1L) {
            sum.fill(0)
            motion.fill(0)
        }
        val weight = 2 * seen.toInt() - window - 1
        for (i in 0 until size) {
            val y = frame[i].toInt() and 0xff
            sum[i] += y
            motion[i] += weight * y
        }
    }

    private fun slide(leaving: ByteArray, entering: ByteArray) {
        for (i in 0 until size) {
            val x = leaving[i].toInt() and 0xff
            val y = entering[i].toInt() and 0xff
            sum[i] += y - x
            motion[i] += (window - 1) * x + (window + 1) * y - 2 * sum[i]
        }
    }

    private fun pool(): FloatArray {
        total.fill(0.0)
        val oldest = ring[(seen % window).toInt()]
        // Where the weights sum to 0, any still image may be taken off: a still face then leaves no trace of rounding.
        val still = kind != "published_port"
        for (t in 0 until window) {
            val frame = ring[((seen + t) % window).toInt()]
            for (i in 0 until size) {
                val value = (frame[i].toInt() and 0xff) - (if (still) oldest[i].toInt() and 0xff else 0)
                total[i] += alpha[t] * value
            }
        }
        return FloatArray(size) { total[it].toFloat() }
    }
}

/** Bring motion of [from] x [from] to [to] x [to]: bilinear, with half-pixel centres, without antialiasing. */
fun resizeMotion(motion: FloatArray, from: Int, to: Int): FloatArray {
    require(motion.size == from * from * CHANNELS) { "motion must have $from x $from x $CHANNELS values" }
    if (from == to) return motion
    val places = Array(to) { place(it, from, to) }
    val resized = FloatArray(to * to * CHANNELS)
    for (row in 0 until to) {
        val (top, bottom, down) = places[row]
        for (column in 0 until to) {
            val (left, right, across) = places[column]
            for (channel in 0 until CHANNELS) {
                val above = mixed(motion, top * from + left, top * from + right, channel, across)
                val below = mixed(motion, bottom * from + left, bottom * from + right, channel, across)
                resized[(row * to + column) * CHANNELS + channel] = above + (below - above) * down
            }
        }
    }
    return resized
}

private fun mixed(motion: FloatArray, one: Int, other: Int, channel: Int, share: Float): Float {
    val first = motion[one * CHANNELS + channel]
    return first + (motion[other * CHANNELS + channel] - first) * share
}

private fun place(index: Int, from: Int, to: Int): Triple<Int, Int, Float> {
    val exact = (index + 0.5f) * (from.toFloat() / to) - 0.5f
    val low = floor(exact)
    return Triple(max(low.toInt(), 0), min(ceil(exact).toInt(), from - 1), exact - low)
}

/**
 * Bring signed motion to [0, 1], over all pixels and channels.
 *
 * `minmax`: the least value becomes 0 and the greatest 1; a constant image becomes zeros. `standard`: the mean becomes 0.5 and
 * eight standard deviations span [0, 1], clipped; a constant image becomes 0.5.
 */
fun normalise(motion: FloatArray, scaling: String): FloatArray = when (scaling) {
    "minmax" -> {
        val low = motion.min()
        val span = motion.max() - low
        FloatArray(motion.size) { if (span > 0) (motion[it] - low) / span else 0f }
    }
    "standard" -> {
        val mean = motion.sumOf { it.toDouble() } / motion.size
        val deviation = sqrt(motion.sumOf { (it - mean) * (it - mean) } / motion.size)
        val unit = SPAN * (if (deviation > 0) deviation else 1.0)
        FloatArray(motion.size) { ((motion[it] - mean) / unit + 0.5).coerceIn(0.0, 1.0).toFloat() }
    }
    else -> throw IllegalArgumentException("scaling must be minmax or standard. Received: $scaling")
}

/** Real numbers as int8: real = [scale] * (integer - [zeroPoint]); to the nearest, ties to even, and kept within 8 bits. */
fun quantise(values: FloatArray, scale: Float, zeroPoint: Int): ByteArray = ByteArray(values.size) {
    (round(values[it] / scale).toInt() + zeroPoint).coerceIn(-128, 127).toByte()
}

/** What int8 stands for; see [quantise]. */
fun dequantise(stored: ByteArray, scale: Float, zeroPoint: Int): FloatArray =
    FloatArray(stored.size) { scale * (stored[it] - zeroPoint) }

/** A point of an image: pixels, centres at integers, y downwards. */
data class Point(val x: Double, val y: Double)

/** A face: the height of its box in pixels, and the eye on the image's left, then the one on its right. */
data class Face(val height: Double, val left: Point, val right: Point) {
    val eyeDistance = hypot(right.x - left.x, right.y - left.y)
    val centre = Point((left.x + right.x) / 2, (left.y + right.y) / 2)

    companion object {
        /** Whoever's eye is whose, and whichever way the camera looks: the order is that of the image. */
        fun of(height: Double, oneEye: Point, otherEye: Point): Face =
            if (oneEye.x <= otherEye.x) Face(height, oneEye, otherEye) else Face(height, otherEye, oneEye)
    }
}

/** (x, y) of an image to (a x + b y + c, d x + e y + f) of the crop. */
data class Crop(val a: Double, val b: Double, val c: Double, val d: Double, val e: Double, val f: Double)

/** The similarity transform that levels the eyes and puts the face, with a [margin], into a square of [size] pixels. */
fun alignCrop(face: Face, size: Int, margin: Double): Crop {
    val distance = max(face.eyeDistance, LEAST_EYE_DISTANCE * face.height)
    val scale = size / (FACE_SIDE * (1 + 2 * margin) * distance)
    val angle = atan2(face.right.y - face.left.y, face.right.x - face.left.x)
    val along = scale * cos(angle)
    val across = scale * sin(angle)
    val (x, y) = face.centre
    val targetX = 0.5 * size - 0.5 // the square's border lies half a pixel outside the first centre
    val targetY = (EYE_LEVEL + margin) / (1 + 2 * margin) * size - 0.5
    return Crop(along, across, targetX - along * x - across * y, -across, along, targetY + across * x - along * y)
}

/**
 * The crop of a frame, RGB bytes of [size] x [size].
 *
 * Every pixel is the mean of n x n points of its area, each interpolated bilinearly, n so large that no pixel of the frame is
 * skipped: fine texture would flicker otherwise as the face moves. What lies outside the frame is black.
 *
 * @param pixels RGBA, rows [stride] bytes apart.
 */
fun cropFrame(pixels: ByteArray, width: Int, height: Int, stride: Int, crop: Crop, size: Int): ByteArray {
    require(pixels.size >= (height - 1) * stride + width * BYTES_PER_PIXEL) {
        "a frame must have $height rows of $stride bytes. Received: ${pixels.size} bytes"
    }
    val squared = crop.a * crop.e - crop.b * crop.d
    val points = max(1, ceil(1 / sqrt(squared) - 1e-9).toInt())
    val share = 1.0 / (points * points)
    val out = ByteArray(size * size * CHANNELS)
    val mean = DoubleArray(CHANNELS)
    for (row in 0 until size) {
        for (column in 0 until size) {
            mean.fill(0.0)
            for (point in 0 until points * points) {
                val v = row + (point / points + 0.5) / points - 0.5 - crop.f
                val u = column + (point % points + 0.5) / points - 0.5 - crop.c
                val x = (crop.e * u - crop.b * v) / squared
                val y = (crop.a * v - crop.d * u) / squared
                addPoint(pixels, width, height, stride, x, y, mean)
            }
            for (channel in 0 until CHANNELS) {
                out[(row * size + column) * CHANNELS + channel] = (mean[channel] * share + 0.5).toInt().toByte()
            }
        }
    }
    return out
}

private fun addPoint(pixels: ByteArray, width: Int, height: Int, stride: Int, x: Double, y: Double, mean: DoubleArray) {
    val left = floor(x).toInt()
    val top = floor(y).toInt()
    if (left < -1 || top < -1 || left >= width || top >= height) return
    for (down in 0..1) {
        for (across in 0..1) {
            val column = left + across
            val row = top + down
            if (column !in 0 until width || row !in 0 until height) continue
            val weight = (if (across == 1) x - left else left + 1 - x) * (if (down == 1) y - top else top + 1 - y)
            val first = row * stride + column * BYTES_PER_PIXEL
            for (channel in 0 until CHANNELS) mean[channel] += weight * (pixels[first + channel].toInt() and 0xff)
        }
    }
}
