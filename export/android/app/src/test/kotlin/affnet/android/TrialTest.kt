package affnet.android

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class TrialTest {
    private val images = trialImages(8)
    private val expected = images.map { floatArrayOf(it.average().toFloat(), 1 - it.average().toFloat()) }

    private fun answering(change: (Int, FloatArray) -> FloatArray): String? {
        var asked = 0
        return refusal(images, expected) { change(asked, expected[asked].copyOf()).also { asked++ } }
    }

    @Test
    fun trialImagesAreMotionImagesOfWhichNoTwoAreAlike() {
        for (image in images) {
            assertEquals(8 * 8 * CHANNELS, image.size)
            assertTrue(image.all { it in 0f..1f })
        }
        assertEquals(5, images.map { it.toList() }.toSet().size)
        assertEquals(images.map { it.toList() }, trialImages(8).map { it.toList() })
    }

    @Test
    fun whoAnswersAlmostAsTheCpuIsTrusted() {
        assertNull(answering { _, answer -> answer })
        assertNull(answering { _, answer -> answer.apply { this[0] += 0.04f } })
    }

    @Test
    fun oneOtherAnswerIsEnoughToBeRefused() {
        for (place in images.indices) {
            val reason = answering { asked, answer -> answer.apply { if (asked == place) this[1] -= 0.06f } }
            assertTrue("$reason", checkNotNull(reason).startsWith("changes a probability by 0.06"))
        }
    }

    /** A sum of 1 alone would let both of these pass. */
    @Test
    fun whoSwapsTheClassesOrKnowsOneAnswerOnlyIsRefused() {
        assertTrue(answering { asked, answer -> if (asked == 0) answer else floatArrayOf(1f, 0f) } != null)
        val lopsided = images.map { floatArrayOf(0.9f, 0.1f) }
        assertTrue(refusal(images, lopsided) { floatArrayOf(0.1f, 0.9f) } != null)
    }

    @Test
    fun whatIsNoNumberAndWhatIsNoAnswerIsRefused() {
        assertTrue(answering { _, _ -> floatArrayOf(Float.NaN, 0.5f) } != null)
        assertTrue(answering { _, _ -> floatArrayOf(0.5f, Float.NaN) } != null)
        assertEquals("gives 1 probabilities, and not 2", answering { _, _ -> floatArrayOf(1f) })
    }
}
