package affnet.android

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class LiveWindowTest {
    private val window = live(MARGIN)
    private var time = 0L

    private fun live(margin: Double) =
        LiveWindow(length = 3, weights = "linear", scaling = "minmax", frameSize = 8, inputSize = 4, margin = margin)

    private fun face(shift: Double = 0.0) = Face(20.0, Point(10.0 + shift, 12.0), Point(20.0 + shift, 12.0))

    private fun push(brightness: Int, width: Int = 32, wait: Long = 33_000_000): FloatArray? {
        time += wait
        val stride = width * BYTES_PER_PIXEL + 12
        val pixels = ByteArray(32 * stride) { (brightness * (it % 7)).toByte() }
        return window.push(pixels, width, 32, stride, time)
    }

    @Test
    fun thereIsNoAnswerWithoutAFace() {
        repeat(5) { assertNull(push(it)) }
        assertEquals(0, window.seen)
    }

    @Test
    fun aFullWindowAnswersWithEveryFrame() {
        window.see(face())
        assertNull(push(1))
        assertNull(push(2))
        for (brightness in 3..6) {
            val image = checkNotNull(push(brightness))
            assertEquals(4 * 4 * CHANNELS, image.size)
            assertEquals(0f, image.min())
            assertEquals(1f, image.max())
        }
    }

    @Test
    fun theCropHasTheMarginThatTheNetworkWasTrainedWith() {
        val (stride, side) = 32 * BYTES_PER_PIXEL to 32
        val frames = List(3) { time -> ByteArray(side * stride) { ((it * 7 + time * it) % 251).toByte() } }
        for (margin in listOf(MARGIN, 0.3)) {
            val motion = SlidingMotion(3, "linear", 8 * 8 * CHANNELS)
            val live = live(margin).apply { see(face()) }
            val crop = alignCrop(face(), 8, margin)
            for ((index, frame) in frames.withIndex()) {
                val expected = motion.push(cropFrame(frame, side, side, stride, crop, 8))
                val found = live.push(frame, side, side, stride, index.toLong())
                assertArrayEquals(expected?.let { normalise(resizeMotion(it, 8, 4), "minmax") }, found, 0f)
            }
        }
    }

    @Test
    fun aFaceThatIsLostBeginsTheWindowAnew() {
        window.see(face())
        repeat(3) { push(it) }
        window.see(null)
        assertFalse(window.watching)
        assertNull(push(4))
        window.see(face())
        assertNull(push(5))
        assertEquals(1, window.seen)
    }

    @Test
    fun aFaceMayMoveByAFifthOfTheDistanceBetweenItsEyes() {
        window.see(face())
        repeat(3) { push(it) }
        window.see(face(shift = 1.9))
        assertNotNull(push(4))
        window.see(face(shift = 2.1))
        assertTrue(window.watching)
        assertNull(push(5))
    }

    @Test
    fun slowDriftAddsUpUntilTheCropIsRenewed() {
        window.see(face())
        repeat(3) { push(it) }
        for (step in 1..3) window.see(face(shift = 0.9 * step))
        assertEquals(0, window.seen)
    }

    @Test
    fun aPauseOfTheCameraForgetsTheFrames() {
        window.see(face())
        repeat(3) { push(it) }
        assertNull(push(4, wait = 300_000_000))
        assertEquals(1, window.seen)
    }

    @Test
    fun aPhoneThatIsTurnedNeedsANewFace() {
        window.see(face())
        repeat(3) { push(it) }
        assertNull(push(4, width = 40))
        assertFalse(window.watching)
    }
}
