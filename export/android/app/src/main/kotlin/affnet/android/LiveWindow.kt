package affnet.android

import kotlin.math.abs
import kotlin.math.hypot

/**
 * A window over the camera's frames, under one crop: the crop is fixed when the window begins, as a clip's is at its onset.
 *
 * The window begins anew, with a new crop, once an eye has moved by more than [MOVED] of the distance between the eyes; and it
 * is forgotten when the face is lost, when a frame comes more than [GAP_NANOS] after the last one, or when the frame's size
 * changes, as it does when the phone is turned. No Android class. Not for several threads at once.
 *
 * @param frameSize side of the crop in pixels; @param inputSize side of the motion image;
 * @param margin room around the face, as a share of its side, as in the clips that the network was trained on.
 */
class LiveWindow(
    length: Int,
    weights: String,
    private val scaling: String,
    private val frameSize: Int,
    private val inputSize: Int,
    private val margin: Double,
) {
    private val motion = SlidingMotion(length, weights, frameSize * frameSize * CHANNELS)
    private var face: Face? = null
    private var crop: Crop? = null
    private var last: Moment? = null

    private data class Moment(val nanos: Long, val width: Int, val height: Int)

    val length: Int get() = motion.window

    /** Frames in the window. */
    val seen: Int get() = minOf(motion.seen, motion.window.toLong()).toInt()

    /** Whether a face is being watched. */
    val watching: Boolean get() = crop != null

    /** What the detector found last; null if there is no face. */
    fun see(found: Face?) {
        val reference = face
        if (found != null && reference != null && moved(reference, found) <= MOVED) return
        forget()
        face = found
        crop = found?.let { alignCrop(it, frameSize, margin) }
    }

    /**
     * Take the next frame.
     *
     * @param pixels RGBA, upright, not mirrored, rows [stride] bytes apart.
     * @param nanos when it was taken.
     * @return the motion image, [inputSize] x [inputSize] x 3 in [0, 1]; null while there is no face or the window fills.
     */
    fun push(pixels: ByteArray, width: Int, height: Int, stride: Int, nanos: Long): FloatArray? {
        val before = last
        if (before != null) {
            if (before.width != width || before.height != height) forget()
            // The crop stays: where the camera paused, the detector's next answer says whether the face has moved.
            if (abs(nanos - before.nanos) > GAP_NANOS) motion.reset()
        }
        last = Moment(nanos, width, height)
        val place = crop ?: return null
        val signed = motion.push(cropFrame(pixels, width, height, stride, place, frameSize)) ?: return null
        return normalise(resizeMotion(signed, frameSize, inputSize), scaling)
    }

    private fun forget() {
        face = null
        crop = null
        motion.reset()
    }

    companion object {
        const val MOVED = 0.2
        const val GAP_NANOS = 250_000_000L

        /** How far the eye that moved most has moved, in distances between the eyes: shifting, turning and nearing in one. */
        fun moved(from: Face, to: Face): Double {
            val left = hypot(to.left.x - from.left.x, to.left.y - from.left.y)
            val right = hypot(to.right.x - from.right.x, to.right.y - from.right.y)
            return maxOf(left, right) / from.eyeDistance
        }
    }
}
