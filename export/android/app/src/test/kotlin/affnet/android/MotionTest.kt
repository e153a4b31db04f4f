package affnet.android

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class MotionTest {
    private val cases: List<Case> = checkNotNull(javaClass.getResourceAsStream("/vectors.txt")).reader().use { readCases(it) }

    @Test
    fun everyCaseIsAsPythonAnswersIt() {
        for (case in cases) {
            val bound = case.text("tolerance").toDouble()
            val found = case.deviation()
            assertTrue("$case: $found", found <= bound)
        }
    }

    @Test
    fun everyFunctionHasACase() {
        val names = setOf("weights", "sliding", "resize", "normalise", "quantise", "align", "crop")
        assertEquals(names, cases.map { it.name }.toSet())
    }

    @Test
    fun aStillFaceHasNoMotionHoweverLongItIsWatched() {
        val motion = SlidingMotion(5, "linear", 3)
        val frame = byteArrayOf(-1, 0, 100)
        repeat(4) { assertNull(motion.push(frame)) }
        repeat(1000) { assertTrue(checkNotNull(motion.push(frame)).all { it == 0f }) }
    }
}
